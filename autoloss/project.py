"""One command works on one project: its configuration, data and results, and its code."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from autoloss.errors import ConfigError

PARTS = ("Snakefile", "autoloss", "baselines", "configs")


def project_root() -> Path:
    """The folder that holds `autoloss/`: of a checkout, or where a wheel is installed."""
    return Path(__file__).resolve().parents[1]


def methods_folder(root: Path) -> Path:
    """Where the baselines are: `baselines/` of a checkout, which a wheel has in its package."""
    packed = root / "autoloss" / "baselines"
    return packed if packed.is_dir() else root / "baselines"


def require_project(code: Path) -> None:
    """Refuse to work anywhere but in the folder of the project at `code`, whose code is running.

    Raises:
        ConfigError: the current folder is not that one: paths would be another project's, or none.
    """
    here, code = Path.cwd().resolve(), code.resolve()
    project = next((folder for folder in (here, *here.parents) if _is_project(folder)), code)
    if project != code:
        mend = f"run `python -m autoloss` in {shlex.quote(str(project))}: its code is then used"
        raise ConfigError(str(project), f"is a project, but the code running is of {code}", mend)
    if not _is_project(code):
        mend = "get a checkout and run `python -m autoloss` in its folder; a training loop of your "
        mend += "own needs none: `from autoloss import AutoLoss, OwnLoop`"
        problem = "is no checkout of the project: commands work on its configuration and data"
        raise ConfigError(str(here), problem, mend)
    if here != code:
        mend = f"run this in the project's folder: `cd {shlex.quote(str(code))}`"
        below = here.is_relative_to(code)
        problem = "is below the project's folder" if below else "is no project's folder"
        raise ConfigError(str(here), problem, mend)


def require_plain(folder: Path) -> None:
    """Refuse a path that Snakemake cannot have: it takes what is in braces for a wildcard.

    Raises:
        ConfigError: there are braces in it.
    """
    if set("{}") & set(str(folder)):
        mend = "rename the folder: other characters, spaces and quotes too, do no harm"
        raise ConfigError(str(folder), "Snakemake takes braces in a path for wildcards", mend)


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written: Snakemake keeps notes in it, for a dry run too.

    Raises:
        ConfigError: this user may not write there.
    """
    notes = folder / ".snakemake"
    if not os.access(notes if notes.exists() else folder, os.W_OK):
        mend = "work in a copy of the project; `autoloss plan` and `autoloss status` write nothing"
        raise ConfigError(str(folder), "cannot be written, and Snakemake keeps notes in it", mend)


def _is_project(folder: Path) -> bool:
    return all((folder / part).exists() for part in PARTS)
