"""The figures that are drawn, as the report shows them: embedded, captioned and traceable."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoloss.errors import RecordError
from autoloss.report.catalogue import figures
from autoloss.report.page.runs import relative
from autoloss.study.study import Study
from autoloss.target import snakemake

HEAD, TAIL = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\0\0IEND\xaeB`\x82"  # of a whole PNG file
SCREEN = 2 / 3  # of the picture's own pixels, which are for print: 300 to the inch


@dataclass(frozen=True)
class Picture:
    """A figure: the PNG as a data URI with its size on screen in pixels, and what its JSON says.

    `unknown` counts its runs that are not there.
    """

    name: str
    title: str
    caption: str
    command: str
    runs: int
    unknown: int
    source: str
    width: int
    height: int
    links: dict[str, str]


def pictures(study: Study, known: Set[str]) -> Iterator[Picture]:
    """Every figure that has been drawn; `known` are the ids of the report's runs.

    Raises:
        RecordError: a figure's file is damaged.
    """
    for name in figures():
        files = {kind: study.figures_folder / f"{name}.{kind}" for kind in ("png", "json")}
        if all(file.exists() for file in files.values()):
            yield _picture(study, name, files["png"], _about(study, name, files["json"]), known)


def missing(study: Study, shown: Set[str]) -> list[str]:
    """The figures that this study can have and the report does not show."""
    return [name for name in study.figures() if name not in shown]


def _picture(study: Study, name: str, png: Path, about: dict[str, Any], known: Set[str]) -> Picture:
    content = png.read_bytes()
    width, height = _size(study, name, png, content)
    links = {kind: png.with_suffix(f".{kind}") for kind in ("pdf", "csv", "json")}
    return Picture(
        name=name,
        title=about["title"],
        caption=about["caption"],
        command=about["command"],
        runs=len(about["runs"]),
        unknown=len(set(about["runs"]) - known),
        source="data:image/png;base64," + base64.b64encode(content).decode(),
        width=round(width * SCREEN),
        height=round(height * SCREEN),
        links={kind: relative(study, file) for kind, file in links.items() if file.exists()},
    )


def _about(study: Study, name: str, file: Path) -> dict[str, Any]:
    """What a figure's JSON says of it."""
    mend = _mend(study, name)
    try:
        about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        lacking = {"title", "caption", "command", "runs"} - set(about)
    except (ValueError, TypeError) as error:
        raise RecordError(str(file), f"is not a figure's JSON: {error}", mend) from error
    if lacking:
        raise RecordError(str(file), f"lacks {', '.join(sorted(lacking))}", mend)
    return about


def _size(study: Study, name: str, file: Path, content: bytes) -> tuple[int, int]:
    """Width and height in pixels, from a PNG's first chunk."""
    if not (content.startswith(HEAD) and content.endswith(TAIL)):
        raise RecordError(str(file), "is not a PNG picture", _mend(study, name))
    width, height = struct.unpack_from(">II", content, len(HEAD))
    return width, height


def _mend(study: Study, name: str) -> str:
    return f"delete it and run `{snakemake(study, name)}`: it is drawn again"
