"""What Snakemake remembers of products: without it none can be told to be out of date."""

from __future__ import annotations

import base64
from pathlib import Path

from autoloss.errors import ConfigError
from autoloss.study.study import Study

LONGEST = 200  # longer names are split, by what the file system takes


def require_bookkeeping(study: Study, root: Path) -> None:
    """Refuse products of which Snakemake no longer knows with which configuration they were made.

    It would take them for those that are asked for now. (Runs are safe: the index compares each
    with the configuration.)

    Raises:
        ConfigError: there are tables, figures or indexes that no notes are of.
    """
    notes = root / ".snakemake"
    if (notes / "metadata.db").exists():
        return  # Snakemake's other backend: it is asked by Snakemake alone
    patterns = ("index/*.parquet", "tables/*.csv")
    places = (*(study.results / pattern for pattern in patterns), study.figures_folder / "*.pdf")
    made = [file.relative_to(root) for place in places for file in root.glob(str(place))]
    if folders := dict.fromkeys(str(file.parent) for file in made if not _noted(file, notes)):
        names = " ".join(folders)
        raise ConfigError(
            names,
            "holds what Snakemake has no notes of (.snakemake/metadata): it cannot tell whether "
            "that is of this configuration",
            f"`rm -r {names}`, then start snakemake again: it makes them anew, from the runs "
            "that are there",
        )


def _noted(file: Path, notes: Path) -> bool:
    """Whether Snakemake remembers how it made a file: in a note named by its path in base 64."""
    name = base64.urlsafe_b64encode(file.as_posix().encode()).decode()
    return (notes / "metadata" / name).exists() or len(name) > LONGEST
