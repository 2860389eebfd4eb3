"""The tables, a file each: literals that say what it is made of, and `make(study, name)`.

Adding a file adds the table's target and its part of the report's page and of a reference.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from autoloss.records.store import write_text
from autoloss.report.catalogue import product_of
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.table import Table
from autoloss.study.study import Study


def write_table(study: Study, name: str) -> Iterator[Path]:
    """A table in three formats: `tables/<name>.{csv,md,tex}`."""
    table = make_table(study, name)
    texts = {
        "csv": table.long.to_csv(index=False),
        "md": to_markdown(table),
        "tex": to_latex(table, label=name),
    }
    for suffix, text in texts.items():
        yield write_text(text, study.results / "tables" / f"{name}.{suffix}")


def make_table(study: Study, name: str) -> Table:
    """A table's content, from the data's manifests or from an index and its comparisons.

    Raises:
        ConfigError: no such table.
        RecordError: what it is made of is missing, or of another study.
    """
    product_of("table", name)
    table: Table = importlib.import_module(f"{__name__}.{name}").make(study, name)
    return table
