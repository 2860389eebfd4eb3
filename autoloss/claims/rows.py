"""The standard error over test rows of a comparison, where its runs' predictions are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from autoloss.claims.verdict import Row
from autoloss.records.predictions import read_run
from autoloss.stats import Splits
from autoloss.stats.rows import PARTS, Predicted, difference_error
from autoloss.study.cell import Cell
from autoloss.study.study import Study

Kept = Callable[[Cell, int], Predicted | None]  # a run's predictions, by its cell and seed


def nothing_kept(cell: Cell, seed: int) -> Predicted | None:
    """Of a study that has kept no predictions."""
    return None


def kept_by(study: Study) -> Kept:
    """What a study's runs have kept, where the splits that they were tested on are here too."""

    def kept(cell: Cell, seed: int) -> Predicted | None:
        split = study.prepared_folder(cell.dataset, study.split_of(seed))
        if not study.predictions_file(cell, seed).exists() or not split.exists():
            return None
        run = read_run(study, cell, seed)
        return Predicted.by(run.labels, run.logits, run.clusters, run.calibration)

    return kept


@dataclass(frozen=True)
class RowErrors:
    """By comparison, each read once: claims share them."""

    kept: Kept
    known: dict[tuple[object, ...], float | None] = field(default_factory=dict)

    def of(self, row: Row, splits: Splits) -> float | None:
        """That of a comparison whose runs are of these splits; None where there is none."""
        if row.metric not in PARTS or row.dataset is None:
            return None
        key = (row.metric, row.dataset, row.model, row.ours, row.other)
        if key not in self.known:
            cells = [Cell(row.dataset, row.model, method) for method in (row.ours, row.other)]
            self.known[key] = self._read(row.metric, cells, splits)
        return self.known[key]

    def _read(self, metric: str, cells: list[Cell], splits: Splits) -> float | None:
        pairs = []
        for seed, split in splits.of.items():
            ours, other = (self.kept(cell, int(str(seed))) for cell in cells)
            if ours is None or other is None:
                return None
            pairs.append((split, ours, other))
        return difference_error(pairs, metric)
