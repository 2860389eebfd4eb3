"""The figures, a file each: `data(source)` from records to numbers, `draw(frame)` to a picture.

Literals at a file's top say what it shows (autoloss/report/catalogue.py); adding the file adds the
figure's target and its part of the report's page. `draw` sees nothing but the numbers, as they are
read back from the figure's own CSV: so the CSV reproduces the picture, byte for byte.
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

from autoloss.records.store import write_bytes, write_text
from autoloss.report.catalogue import product_of
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import published_style
from autoloss.report.frames import read_csv
from autoloss.study.study import Study
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
    product_of("figure", name)
    module: Drawing = importlib.import_module(f"{__name__}.{name}")  # type: ignore[assignment]
    return module


def write_figure(study: Study, name: str) -> Iterator[Path]:
    """A figure as `figures/<scale>/<name>.{csv,pdf,png,json}`, from records only."""
    module, source = drawing(name), Source(study, product_of("figure", name).groups)
    folder = study.figures_folder
    text = module.data(source).to_csv(index=False)
    yield write_text(text, folder / f"{name}.csv")
    for kind, content in render(name, text).items():
        yield write_bytes(content, folder / f"{name}.{kind}")
    about = {
        "figure": name,
        "title": module.TITLE,
        "caption": source.caption(module.CAPTION),
        "command": snakemake(study, name),
        "scale": study.name,
        "runs": source.runs,
    }
    yield write_text(json.dumps(about, indent=1) + "\n", folder / f"{name}.json")


def render(name: str, text: str) -> dict[str, bytes]:
    """The picture that a figure's CSV gives, by format."""
    with published_style():
        figure = drawing(name).draw(read_csv(io.StringIO(text)))
        pictures = {}
        for kind, metadata in METADATA.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            pictures[kind] = buffer.getvalue()
    return pictures
