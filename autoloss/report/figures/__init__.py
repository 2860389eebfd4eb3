"""The figures, a file each: `data(source)` from records to numbers, `draw(frame)` to a picture.

Literals at a file's top say what it shows (autoloss/report/catalogue.py); adding the file adds the
figure's target and its part of the report's page. `draw` sees nothing but the numbers, as they are
read back from the figure's own CSV: so the CSV reproduces the picture, byte for byte.
"""

from __future__ import annotations

import importlib
import io
import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from matplotlib.figure import Figure

from autoloss.errors import ConfigError
from autoloss.records.store import write_bytes, write_text
from autoloss.report.catalogue import product_of
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import PAGE, Style, published_style
from autoloss.report.frames import read_csv
from autoloss.study.study import Study
from autoloss.target import snakemake

# No time, no version: the same numbers give the same bytes.
METADATA = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None},
}


class Drawing(Protocol):
    """What a figure's module has: `TITLE` and `CAPTION` for the report, and two functions."""

    TITLE: str
    CAPTION: str

    def data(self, source: Source) -> pd.DataFrame:
        """The numbers, one row per mark."""

    def draw(self, frame: pd.DataFrame) -> Figure:
        """The picture of these numbers."""


def drawing(name: str) -> Drawing:
    """The module of a figure.

    Raises:
        ConfigError: no such figure.
    """
    product_of("figure", name)
    module: Drawing = importlib.import_module(f"{__name__}.{name}")  # type: ignore[assignment]
    return module


def write_figure(study: Study, name: str) -> Iterator[Path]:
    """A figure as `figures/<scale>/<name>.{csv,pdf,png,json}`, from records only."""
    frame, about = make_figure(study, name)
    folder, text = study.figures_folder, frame.to_csv(index=False)
    yield write_text(text, folder / f"{name}.csv")
    for kind, content in render(name, text).items():
        yield write_bytes(content, folder / f"{name}.{kind}")
    yield write_text(as_json(about), folder / f"{name}.json")


def make_figure(study: Study, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A figure's numbers, and what its JSON says of it.

    Raises:
        ConfigError: no such figure.
        RecordError: what it is made of is missing, or of another study.
    """
    module, source = drawing(name), Source(study, product_of("figure", name).groups)
    frame = module.data(source)
    return frame, {
        "figure": name,
        "title": module.TITLE,
        "caption": source.caption(module.CAPTION),
        "command": snakemake(study, name),
        "scale": study.name,
        "runs": source.runs,
    }


def as_json(about: dict[str, Any]) -> str:
    """What a figure's JSON holds."""
    return json.dumps(about, indent=1) + "\n"


def render(
    name: str,
    text: str,
    kinds: Iterable[str] = ("pdf", "png"),
    style: Style | None = None,
    width: float = PAGE,
) -> dict[str, bytes]:
    """The picture that a figure's CSV gives, by format.

    Args:
        name: of the figure.
        text: the CSV.
        kinds: formats, of `METADATA`.
        style: another than the project's.
        width: in inches.

    Raises:
        ConfigError: the figure cannot have that width, or not with text of that size.
    """
    with published_style(style, width), warnings.catch_warnings():
        if (style, width) != (None, PAGE):
            warnings.filterwarnings("error", "constrained_layout not applied")
        figure = drawing(name).draw(read_csv(io.StringIO(text)))
        pictures = {}
        try:
            for kind in kinds:
                buffer = io.BytesIO()
                figure.savefig(buffer, format=kind, metadata=METADATA[kind])
                pictures[kind] = buffer.getvalue()
        except UserWarning as warning:
            problem = f"the figure '{name}' has no room left for its panels"
            mend = "give more, or in the style file smaller sizes"
            raise ConfigError("--width", problem, mend) from warning
    if width != PAGE and abs(figure.get_figwidth() - width) > 0.01:
        problem = f"the figure '{name}' has one width, {figure.get_figwidth():.3g} in"
        mend = "leave it out: LaTeX scales a picture, \\includegraphics[width=85mm]{...}"
        raise ConfigError("--width", problem, mend)
    return pictures
