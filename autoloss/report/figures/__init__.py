"""The figures, one module each: `data(source)` from records to numbers, `draw(frame)` to a picture.

`draw` sees nothing but the numbers, as they are read back from the figure's own CSV: so the CSV
reproduces the picture, byte for byte.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from autoloss.errors import ConfigError, did_you_mean
from autoloss.records.store import write_bytes, write_text
from autoloss.registry import FIGURES
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import published_style
from autoloss.report.frames import read_csv
from autoloss.study import Study
from autoloss.target import snakemake

# No time, no version: the same numbers give the same bytes.
METADATA = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
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
    if name not in FIGURES:
        raise ConfigError("figure", f"there is no '{name}'", did_you_mean(name, FIGURES))
    found: Drawing = importlib.import_module(f"{__name__}.{name}")  # type: ignore[assignment]
    return found


def write_figure(study: Study, name: str) -> Iterator[Path]:
    """A figure as `figures/<scale>/<name>.{csv,pdf,png,json}`, from records only."""
    module, source = drawing(name), Source(study, FIGURES[name])
    folder = study.figures_folder
    text = module.data(source).to_csv(index=False)
    yield write_text(text, folder / f"{name}.csv")
    for kind, content in render(name, text).items():
        yield write_bytes(content, folder / f"{name}.{kind}")
    about = {
        "figure": name,
        "title": module.TITLE,
        "caption": module.CAPTION,
        "command": snakemake(study, name),
        "scale": study.name,
        "runs": source.runs,
    }
    yield write_text(json.dumps(about, indent=1) + "\n", folder / f"{name}.json")


def render(name: str, text: str) -> dict[str, bytes]:
    """The picture that a figure's CSV gives, by format."""
    with published_style():
        figure = drawing(name).draw(read_csv(io.StringIO(text)))
        found = {}
        for kind, metadata in METADATA.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            found[kind] = buffer.getvalue()
    return found
