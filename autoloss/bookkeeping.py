"""What Snakemake remembers of products: without it none can be told to be out of date."""

from __future__ import annotations

from pathlib import Path

from autoloss.errors import ConfigError
from autoloss.study import Study


def require_bookkeeping(study: Study, root: Path) -> None:
    """Refuse products of which Snakemake no longer knows with which configuration they were made.

    It would take them for those that are asked for now. (Runs are safe: the index compares each
    with the configuration.)

    Raises:
        ConfigError: there are tables, figures or indexes, and `.snakemake/metadata` is gone.
    """
    folders = study.results / "index", study.results / "tables", study.figures_folder
    made = [folder for folder in folders if any((root / folder).glob("*"))]
    if made and not any((root / ".snakemake").glob("metadata*")):
        names = " ".join(map(str, made))
        raise ConfigError(
            names,
            "Snakemake's notes on how these were made (.snakemake/metadata) are gone",
            f"`rm -r {names}`, then start snakemake again: they are made anew in seconds, "
            "from the runs that are there",
        )
