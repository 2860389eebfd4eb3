"""`autoloss status`: once, or again and again until it is stopped."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from autoloss.plan.command import study_of
from autoloss.status.page import page
from autoloss.status.scan import scan
from autoloss.study import Study


def run(
    scale: str | None,
    config: Path | None,
    console: Console,
    *,
    as_json: bool = False,
    watch: float | None = None,
    fresh: float | None = None,
) -> None:
    """Print the status; with `watch`, anew every so many seconds."""
    study = running_study(scale, config)
    if as_json:
        console.print_json(scan(study, fresh=fresh).model_dump_json())
    elif watch is None:
        console.print(page(scan(study, fresh=fresh)))
    else:
        _watch(study, console, watch, fresh)


def running_study(scale: str | None, config: Path | None) -> Study:
    """The study as it was last run, with the configuration that the workflow resolved for it."""
    if config is None:
        study = study_of(scale, None, Path())
        config = study.config_file if study.config_file.exists() else None
        if config is None:
            return study
        scale = None
    return study_of(scale, config, Path())


def _watch(study: Study, console: Console, seconds: float, fresh: float | None) -> None:
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(page(scan(study, fresh=fresh)), refresh=True)
                time.sleep(seconds)
    except KeyboardInterrupt:
        return
