"""Generated raw folders: a file in a data set's own format and the manifest that `prepare` reads.

Block by block, so that any number of rows needs the same memory. The first rows of a larger file
are a smaller file of the same seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import expit

from autoloss.data.folders import atomic_folder, require_replaceable, sole_owner
from autoloss.data.formats import formats
from autoloss.data.formats._table import Layout
from autoloss.data.manifest import (
    GENERATED,
    MANIFEST,
    RawFile,
    RawManifest,
    digest,
    read_manifest,
    write_manifest,
)
from autoloss.data.progress import Lines, Say, to_stderr
from autoloss.errors import ConfigError, DataError, did_you_mean
from autoloss.faults import machine_faults
from autoloss.synth.clicks import clicks
from autoloss.synth.planted import Planted, Ranks, Scores
from autoloss.synth.recipes import RECIPES, Recipe

BLOCK_ROWS = 1 << 16


class Generator:
    """Rows of a recipe, by seed."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        layout = formats()[recipe.format]
        assert isinstance(layout, Layout)
        self.layout = layout
        self.model = Planted([c.vocabulary for c in recipe.columns.values()], seed)
        self._labels = pl.Series(recipe.labels)
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
        labels = self._labelled(random, ranks, scores)
        rank_of = dict(zip(self.recipe.columns, enumerate(ranks), strict=True))
        frame = {}
        for name in self.layout.columns:
            if name == self.recipe.label:
                cells = self._labels.gather(labels)
            elif name in rank_of:
                salt, ranks_of_field = rank_of[name]
                cells = self.recipe.columns[name].cells(ranks_of_field, salt)
            else:
                rows_of_file = np.arange(BLOCK_ROWS) + number * BLOCK_ROWS
                cells = pl.Series(self.recipe.extra[name](rows_of_file))
            frame[name] = cells.head(rows)
        text = pl.DataFrame(frame).write_csv(
            include_header=False, separator=self.layout.separator, quote_style="never"
        )
        return text.encode(), scores[:rows], labels[:rows]

    def _labelled(self, random: np.random.Generator, ranks: Ranks, scores: Scores) -> Ranks:
        """The numbers of the labels."""
        if self.recipe.region is None:
            latent = self.recipe.strength * scores + random.logistic(size=len(scores))
            return np.searchsorted(self._thresholds, latent)
        name, rank = self.recipe.region
        inside = ranks[list(self.recipe.columns).index(name)] == rank
        return clicks(scores, inside, random).astype(np.int64)

    def text(self, rows: int) -> Iterator[bytes]:
        """The file of so many rows, in blocks."""
        if self.layout.header is not None:
            yield self.layout.header.encode() + b"\n"
        for number, start in enumerate(range(0, rows, BLOCK_ROWS)):
            yield self.block(number, min(BLOCK_ROWS, rows - start))[0]


def generate(name: str, rows: int, seed: int, out: Path, say: Say = to_stderr) -> RawManifest:
    """Write a raw folder of `rows` generated rows of the data set `name`.

    Raises:
        ConfigError: there is no such data set to generate, or no rows are asked for.
        DataError: `out` holds something that was not generated.
        MachineError: the disk is full or broken.
    """
    if name not in RECIPES:
        raise ConfigError("data set", f"cannot generate '{name}'", did_you_mean(name, RECIPES))
    if rows < 1:
        raise ConfigError("--rows", f"is {rows}", "ask for at least one row")
    _refuse_other_content(out)
    recipe, tell = RECIPES[name](), Lines(name, say)
    with machine_faults(out.parent), sole_owner(out, say), atomic_folder(out) as folder:
        with (folder / recipe.file).open("wb") as file:
            for block in Generator(recipe, seed).text(rows):
                file.write(block)
                tell(f"{file.tell() / 1e6:,.0f} MB written")
        size, sha256 = (folder / recipe.file).stat().st_size, digest(folder / recipe.file)
        manifest = RawManifest(
            source=recipe.source,
            mirror=f"{GENERATED}, seed {seed}" + (f", {name}" if recipe.region else ""),
            format=recipe.format,
            files=(RawFile(name=recipe.file, bytes=size, sha256=sha256),),
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
