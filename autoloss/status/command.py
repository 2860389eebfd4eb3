"""`autoloss status`: once, or again and again until it is stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from autoloss.arguments import Named, study_of
from autoloss.study.study import Study


def status(
    scale: Annotated[str | None, typer.Option(help="laptop, smoke or paper.")] = None,
    config: Annotated[Path | None, typer.Option(help="In place of the scale's last one.")] = None,
    named: Named = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    watch: Annotated[
        float | None, typer.Option(min=1, help="Look again every so many seconds.")
    ] = None,
    fresh: Annotated[
        float | None,
        typer.Option(help="Seconds without a sign until a job on another host counts as dead."),
    ] = None,
) -> None:
    """Show how far a study is, from its files alone: runs, jobs, rate, time left."""
    from rich.console import Console
    from rich.live import Live

    from autoloss.plan.page import wide
    from autoloss.status.page import page
    from autoloss.status.scan import scan

    study = _as_last_run(study_of(config, scale, name=named), config)
    console = wide(Console())
    if as_json:
        console.print_json(data=scan(study, fresh=fresh))
    elif watch is None:
        console.print(page(scan(study, fresh=fresh)))
    else:
        try:
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    live.update(page(scan(study, fresh=fresh)), refresh=True)
                    time.sleep(watch)
        except KeyboardInterrupt:
            return


def _as_last_run(study: Study, config: Path | None) -> Study:
    """Without a file of the user's, the configuration that the workflow last ran of the study."""
    last = study.config_file
    return study_of(last) if config is None and last.exists() else study
