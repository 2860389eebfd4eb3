"""The benchmark's task: DeepFM on synthetic clicks with Criteo's shape. Needs numpy only."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

FIELDS, DIM, BATCH, LR, THREADS = 39, 16, 2048, 1e-3, 2
TRAIN, VALIDATION, TEST = 30 * BATCH, 20 * BATCH, 20_000  # rows; a round is one pass over TRAIN
NETWORKS = {"paper": (128, 128), "large": (400, 400, 400)}
VOCABULARIES = {"10k": 10_000, "100k": 100_000, "1m": 1_090_000}
CACHE = Path(__file__).parent / ".data"

Ids = npt.NDArray[np.int32]


def field_sizes(vocabulary: int) -> list[int]:
    """Log-spaced: most fields are small, a few hold nearly all values."""
    shares = np.exp(np.linspace(np.log(10), np.log(vocabulary / 6), FIELDS))
    return [max(4, int(size)) for size in shares * vocabulary / shares.sum()]


def make(vocabulary: int) -> tuple[Ids, Ids]:
    """Field-local Zipf-distributed ids `[rows, FIELDS]` and labels of a planted logistic model."""
    file = CACHE / f"{vocabulary}.npz"
    if not file.exists():
        random = np.random.default_rng(0)
        rows = TRAIN + VALIDATION + TEST
        logits, columns = np.zeros(rows), []
        for size in field_sizes(vocabulary):
            # Zipf's law: the k-th value has a share of 1 / k.
            ids = np.minimum(size ** random.random(rows) - 1, size - 1).astype(np.int32)
            columns.append(random.permutation(size).astype(np.int32)[ids])
            logits += random.normal(scale=0.3, size=size)[columns[-1]]
        labels = random.random(rows) < 1 / (1 + np.exp(-logits))
        CACHE.mkdir(exist_ok=True)
        np.savez(file, ids=np.stack(columns, axis=1), labels=labels.astype(np.int32))
    with np.load(file) as arrays:
        return arrays["ids"], arrays["labels"]


def seconds(function: Callable[[], object], repeats: int = 20) -> float:
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return median(times)


def auc(labels: Ids, scores: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve of scores without ties."""
    ranks = np.argsort(np.argsort(scores)) + 1.0
    positive = labels == 1
    n, m = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
