"""Data whose right weighting is known, and runs of the real Trainer on them.

Field 0 is the region; the other fields carry the signal. `flipped` of the training labels of region
0, a third of the examples, are turned round; validation and test labels are clean.
"""

from __future__ import annotations

import numpy as np

from autoloss.config import load_config
from autoloss.data.atomic import digest
from autoloss.data.manifest import FieldStats, Manifest, Statistics, data_hash, write_manifest
from autoloss.data.prepared import PreparedData
from autoloss.registry import load
from autoloss.training.loop import Trainer
from tests.tiny import ROOT

FIELD_SIZES = (3, 12, 12, 12, 12)
SPLITS = {"train": 4096, "validation": 1024, "test": 4096}


def planted_data(folder, flipped=0.0, seed=0) -> PreparedData:
    """A prepared folder, and beside it `flipped.npy`: which training labels were turned round."""
    folder.mkdir(parents=True)
    random, rows = np.random.default_rng(seed), sum(SPLITS.values())
    ids = np.stack([random.integers(0, size, rows) for size in FIELD_SIZES], axis=1)
    score = sum(random.normal(size=12)[ids[:, k]] for k in range(1, len(FIELD_SIZES)))
    odd, dice = ids[:, 0] == 0, random.random(rows)
    labels = np.where(odd, score + 1.5 > 0, dice < 0.45 / (1 + np.exp(-score)))
    turned = (random.random(rows) < flipped) & odd
    turned[SPLITS["train"] :] = False
    np.save(folder / "flipped.npy", turned[: SPLITS["train"]])
    arrays = {"ids": ids.astype(np.int32), "labels": (labels ^ turned).astype(np.int32)}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    digests = {name: digest(folder / f"{name}.npy") for name in arrays}
    write_manifest(folder, _manifest(folder.name, rows, digests))
    return PreparedData.open(folder)


def _manifest(name, rows, digests) -> Manifest:
    return Manifest(
        dataset=name,
        title=name,
        stands_for="nothing",
        source="planted",
        mirror="none",
        raw_files=(),
        raw_rows=rows,
        rows=rows,
        split_seed=0,
        splits=SPLITS,
        fields=tuple(
            FieldStats(
                name=f"f{k}", kind="categorical", size=size, distinct=size, min_count=1, folded=0
            )
            for k, size in enumerate(FIELD_SIZES)
        ),
        classes=2,
        class_counts={split: (size // 2, size - size // 2) for split, size in SPLITS.items()},
        statistics=Statistics(interactions=rows, fields=5, feature_values=51, encoded_features=51),
        arrays=digests,
        data_hash=data_hash(digests, FIELD_SIZES, 2, SPLITS),
    )


def trained(data, method, options, candidates, *, epochs, seed=0) -> Trainer:
    """A run of `method` after `epochs` epochs, no early stopping."""
    config = load_config(
        {
            "scale": "smoke",
            "losses": {"candidates": list(candidates)},
            "model": {"embedding_dim": 4, "hidden": [16], "dropout": 0.0},
            "training": {"batch_size": 128, "max_epochs": epochs, "lr": 0.01, "device": "cpu"},
            "methods": {method: options} if options else {},
        },
        ROOT,
    )
    run = Trainer(config, data, "deepfm", load(method) if isinstance(method, str) else method, seed)
    for _ in range(epochs):
        run.run_epoch()
    return run


def weights_by_row(run) -> np.ndarray:
    """Shares `[rows, n]` of the candidates in one more epoch of training, of every training row."""
    run.model.train()
    first = run.progress.steps
    shares = np.empty((SPLITS["train"], len(run.method.candidates)))
    order, size = run.train.order(first // run.train.count), run.train.batch_size
    for k in range(run.train.count):
        rows = np.sort(order[k * size : (k + 1) * size])  # as Batches.batch reads them
        weights = run.inner_step()[1]
        total = weights.sum(-1, keepdim=True).clamp_min(1e-30)
        shares[rows] = (weights / total).numpy()
    return shares
