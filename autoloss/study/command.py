"""`autoloss methods NAME`: what it prints."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autoloss.arguments import study_of
from autoloss.config import layers, read_overrides
from autoloss.errors import require_known
from autoloss.study.resolved import resolved

WIDTH = 180  # no text is cut, on a narrow terminal lines go on below


def show_options(method: str, config: Path | None) -> None:
    """Print a method's options as a study has them: value, source, range when tuned, effect.

    Raises:
        ConfigError: the study has no such method or variant.
    """
    study = study_of(config)
    require_known([method], [*study.methods, *study.variants], "method", "NAME")
    overrides = read_overrides([config] if config else [])
    sources = {**layers(overrides, study.root), str(config): overrides}
    rows = resolved(study, method, sources)
    table = Table(*rows[0], box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    console = Console(soft_wrap=True, highlight=False)
    console.width = max(console.width, WIDTH)
    left_out = "" if study.takes(method) else ", which does not take it"
    console.print(f"{escape(study.label(method))}: options in the study '{study.name}'{left_out}")
    console.print(table)
