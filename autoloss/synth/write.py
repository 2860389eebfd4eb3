"""Generated raw folders: a file in a data set's own format and the manifest that `prepare` reads.

Block by block, so that any number of rows needs the same memory. The first rows of a larger file
are a smaller file of the same seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from autoloss.data.atomic import atomic_folder, require_replaceable
from autoloss.data.fetch import to_stderr
from autoloss.data.fetching.space import local_problem
from autoloss.data.layouts import LAYOUTS
from autoloss.data.manifest import (
    GENERATED,
    MANIFEST,
    RawFile,
    RawManifest,
    read_manifest,
    write_manifest,
)
from autoloss.data.progress import Progress, Say
from autoloss.errors import ConfigError, DataError, did_you_mean
from autoloss.synth.planted import Planted, Ranks, Scores
from autoloss.synth.recipes import RECIPES, Recipe
from autoloss.synth.text import lines, words

BLOCK_ROWS = 1 << 16


class Generator:
    """Rows of a recipe, by seed."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.layout = recipe, LAYOUTS[recipe.format]
        self.model = Planted([c.vocabulary for c in recipe.columns.values()], seed)
        self._labels = words(recipe.labels)
        above = 1 - np.cumsum(recipe.shares) / np.sum(recipe.shares)
        self._thresholds = [self._threshold(float(share)) for share in above[:-1]]

    def _threshold(self, share: float) -> float:
        """What score and noise exceed together in this share of rows."""
        scores = self.recipe.strength * self.model.sample
        return float(brentq(lambda t: expit(scores - t).mean() - share, -100, 100))

    def block(self, number: int, rows: int = BLOCK_ROWS) -> tuple[bytes, Scores, Ranks]:
        """The first lines of a block, with their planted scores and the numbers of their labels."""
        random = self.model.random(number)
        ranks = self.model.ranks(random, BLOCK_ROWS)
        scores = self.model.scores(ranks)
        latent = self.recipe.strength * scores + random.logistic(size=BLOCK_ROWS)
        labels = np.searchsorted(self._thresholds, latent)
        rank_of = dict(zip(self.recipe.columns, enumerate(ranks), strict=True))
        cells = []
        for name in self.layout.columns:
            if name == self.recipe.label:
                cell = self._labels[labels]
            elif name in rank_of:
                salt, ranks_of_field = rank_of[name]
                cell = self.recipe.columns[name].cells(ranks_of_field, salt)
            else:
                cell = self.recipe.extra[name](np.arange(BLOCK_ROWS) + number * BLOCK_ROWS)
            cells.append(cell[:rows])
        return lines(cells, self.layout.table.separator), scores[:rows], labels[:rows]

    def text(self, rows: int) -> Iterator[bytes]:
        """The file of so many rows, in blocks."""
        if self.layout.table.header is not None:
            yield self.layout.table.header.encode() + b"\n"
        for number, start in enumerate(range(0, rows, BLOCK_ROWS)):
            yield self.block(number, min(BLOCK_ROWS, rows - start))[0]


def generate(name: str, rows: int, seed: int, out: Path, say: Say = to_stderr) -> RawManifest:
    """Write a raw folder of `rows` generated rows of the data set `name`.

    Raises:
        ConfigError: there is no such data set to generate, or no rows are asked for.
        DataError: `out` holds something that was not generated.
    """
    if name not in RECIPES:
        raise ConfigError("data set", f"cannot generate '{name}'", did_you_mean(name, RECIPES))
    if rows < 1:
        raise ConfigError("--rows", f"is {rows}", "ask for at least one row")
    try:
        _refuse_other_content(out)
        return _write(name, rows, seed, out, say)
    except OSError as error:
        raise local_problem(out.parent, error) from error


def _write(name: str, rows: int, seed: int, out: Path, say: Say) -> RawManifest:
    recipe, tell = RECIPES[name](), Progress(name, say)
    with atomic_folder(out) as folder:
        hashed, size = hashlib.sha256(), 0
        with (folder / recipe.file).open("wb") as file:
            for block in Generator(recipe, seed).text(rows):
                file.write(block)
                hashed.update(block)
                size += len(block)
                tell(f"{size / 1e6:,.0f} MB written")
        written = RawFile(name=recipe.file, bytes=size, sha256=hashed.hexdigest())
        manifest = RawManifest(
            source=recipe.source,
            mirror=f"{GENERATED}, seed {seed}",
            format=recipe.format,
            files=(written,),
            fetched=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_manifest(folder, manifest)
    return manifest


def _refuse_other_content(out: Path) -> None:
    """A DataError if `out` would lose data that cannot be generated again."""
    require_replaceable(out)
    if not (out / MANIFEST).exists():
        return
    mend = "give another folder to --out"
    raw = read_manifest(out, RawManifest, mend)
    if not raw.generated:
        raise DataError(str(out), f"holds data from {raw.mirror}, not generated data", mend)
