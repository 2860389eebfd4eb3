"""A study is kept: under its name, no other configuration takes the place of runs that are there.

`results/<name>/config.json` says with what they were made. Code and data may change (such runs are
made anew), and so may what is run: methods, data sets, seeds, statistics. But an option by which a
run that is there would be another run is for a study of another name. Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from autoloss.config import flat, load_config, read_overrides
from autoloss.errors import ClashError, ConfigError, UserError
from autoloss.models import MODELS
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study

SHOWN = 3  # keys that a message names
SEED = re.compile(r"seed_(\d+)\.json")


def require_kept(study: Study) -> None:
    """Refuse to make a study where its name stands for runs of another configuration.

    Raises:
        ConfigError: naming the options that differ; the mend is a name, or to give those runs up.
    """
    if why := other_runs(study):
        mend = (
            "give this study a name of its own, `study: {name: ...}`; or, if those runs may go, "
            f"delete {study.config_file}: what differs is then made anew"
        )
        raise ConfigError(str(study.results), why, mend)


def other_runs(study: Study) -> str:
    """In which options the runs under the study's name are of another configuration; "" if in none.

    A recorded configuration that this version cannot read says nothing: its runs are of other code.
    """
    before = _last_run(study)
    if before is None or before.config == study.config:
        return ""
    differing: dict[str, tuple[Any, Any]] = {}
    cells = []
    for cell, made in _made(study):
        seeds = [seed for seed in made if seed in before.seeds and seed in study.seeds]
        try:
            there, here = (dict(flat(_options(one, cell, seeds))) for one in (before, study))
        except (ClashError, KeyError):
            continue  # one of the two cannot have this cell
        if there != here:
            cells.append(cell)
            keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
            differing |= {key: (there.get(key), here.get(key)) for key in keys}
    if not cells:
        return ""
    shown = [f"{key} is {a} there, here {b}" for key, (a, b) in differing.items()]
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    of = f"{cells[0]}" + (f" and {len(cells) - 1} more" if len(cells) > 1 else "")
    return f"has runs of another configuration, of {of}: {'; '.join(shown[:SHOWN])}{more}"


def _last_run(study: Study) -> Study | None:
    """The study of this name that was last run; None without one, or if it cannot be read."""
    if not study.config_file.exists():
        return None
    try:
        return Study(load_config(read_overrides([study.config_file]), study.root), study.root)
    except UserError:
        return None


def _made(study: Study) -> Iterator[tuple[Cell, list[int]]]:
    """The cells of which there is a record or a search, with the seeds of their records."""
    for folder in sorted(study.results.glob("runs/*/*/*")):
        cell = Cell(*folder.parts[-3:])
        seeds = sorted(int(m[1]) for f in folder.iterdir() if (m := SEED.fullmatch(f.name)))
        if cell.model in MODELS and (seeds or study.search_file(cell).exists()):
            yield cell, seeds


def _options(study: Study, cell: Cell, seeds: list[int]) -> dict[str, Any]:
    """Of the configuration all that a cell's files depend on.

    Raises:
        KeyError: the study knows no such method.
        ClashError: it cannot have it.
    """
    options = identity.run_config(study, cell)
    options.pop("controller", None)  # that run's cell is another of those that are there
    splits = {f"split of seed {seed}": study.split_of(seed) for seed in seeds}
    options["study"] = {"max_rows": study.config.study.max_rows, **splits}
    if study.searches(cell):
        options["tuning"] = study.config.tuning.model_dump(mode="json")
        options["tuning"] |= {"space": study.search_space(cell.method)}
        options["study"]["split of the search"] = study.split_of(None)
    plain: dict[str, Any] = json.loads(json.dumps(options, default=list))
    return plain
