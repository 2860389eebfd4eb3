"""A new method's file, written from the template."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable
from pathlib import Path

from autoloss.errors import ConfigError
from autoloss.methods.discover import discover
from autoloss.methods.info import OWN
from autoloss.names import name_problem, plain
from autoloss.project import project_root


def write_baseline(name: str, root: Path | None = None) -> Path:
    """Write `baselines/<name>.py` from the template; returns its path.

    Raises:
        ConfigError: `name` is taken, a variant's, or no lower-case Python name.
    """
    root = root or project_root()
    problem = name_problem(name, OWN)
    if problem:
        raise ConfigError("name", *problem)
    file, methods = root / "baselines" / f"{name}.py", discover(root)
    if name in methods or file.exists():
        raise ConfigError("name", f"'{name}' is taken", "choose another, or delete its file")
    title = title_of(name, (entry.info.label for entry in methods.values()))
    text = (root / "baselines" / "_template.py").read_text(encoding="utf-8")
    class_of = class_name(name, text)
    text = text.replace('"_template"', f'"{name}"').replace('"Template"', f'"{title}"')
    file.write_text(text.replace("class Template", f"class {class_of}"), "utf-8")
    return file


def title_of(name: str, labels: Iterable[str]) -> str:
    """`Two words` of `two_words`, with the name behind it if another has that label."""
    title = name.replace("_", " ").strip().capitalize()
    return f"{title} ({name})" if plain(title) in map(plain, labels) else title


def class_name(name: str, template: str, kind: str = "Method") -> str:
    """`TwoWords` of `two_words`, but none that Python, a builtin or the template has already."""
    words = name.replace("_", " ").title().replace(" ", "")
    taken = keyword.iskeyword(words) or hasattr(builtins, words)
    return f"{words}{kind}" if taken or re.search(rf"\b{words}\b", template) else words
