"""The README and docs/ as tests read them, and the files that they tell the reader to write."""

from __future__ import annotations

import re
from pathlib import Path

from tests.tiny import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FILE = re.compile(
    r"^(Write|Add to the end of) `([^`]+)`:\n\n```\w+\n(.*?)```", re.DOTALL | re.MULTILINE
)


def sections(page: Path) -> dict[str, str]:
    """A page's sections by their headings; its introduction is \"\"."""
    introduction, *parts = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    known = {heading: text for heading, _, text in (part.partition("\n") for part in parts)}
    return {"": introduction, **known}


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in a text."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands_of(text: str) -> list[tuple[str, str]]:
    """The lines of its shell blocks, each with its comment."""
    lines = "".join(blocks(text, "sh")).splitlines()
    parts = (re.split(r"(?:^|\s+)#\s*", line, maxsplit=1) for line in lines)
    return [(command.strip(), "".join(comment)) for command, *comment in parts if command]


def write_files(text: str, folder: Path) -> None:
    """Write the files that a text tells its reader to write, below `folder`."""
    for verb, name, content in FILE.findall(text):
        file = folder / name
        before = file.read_text() if verb.startswith("Add") else ""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(before + content)
