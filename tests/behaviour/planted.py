"""Two data sets whose right weighting is known, and runs of the real Trainer on them.

*regions*: field 0 says where an example is. In region 0, a third of them, the label follows from
the other fields, but a third of the training labels are turned round. Elsewhere it is a click: its
probability depends on the other fields and never reaches a half. Hinge on probabilities heads for
the likelier label: right where the rest are errors, ruinous where they are clicks. Validation and
test labels are not touched. *plain*: the other fields decide the label everywhere.
"""

from __future__ import annotations

import numpy as np
import torch

from autoloss.config import load_config
from autoloss.data.atomic import digest
from autoloss.data.manifest import FieldStats, Manifest, Statistics, data_hash, write_manifest
from autoloss.data.prepared import PreparedData
from autoloss.method import Method
from autoloss.registry import Info, discover, load, options_of
from autoloss.training.loop import Trainer
from tests.tiny import ROOT

FIELD_SIZES = (3, 12, 12, 12, 12)
SPLITS = {"train": 4096, "validation": 1024, "test": 4096}
STUDY = ("focal", "kl", "hinge", "ce")
EPOCHS = 8  # 256 steps at MODEL_LR: by then the validation AUC of cross-entropy has levelled off
MODEL_LR = 0.005
# Of any method that has the option: an outer step each step, xi the model's rate, tau from 1 to
# about 1/2. Per-example nets learn at the published rate, slower than the model as published
# (there every 7th step at the model's rate); global scores need more to get anywhere in 256 steps.
OPTIONS = {"every": 1, "xi_over_lr": 1.0, "tau_slope": 0.06}
GLOBAL_LR = 0.01


def planted_data(folder, kind, seed=0) -> PreparedData:
    """A prepared folder, and beside it `flipped.npy`: which training labels were turned round."""
    folder.mkdir(parents=True)
    random, rows = np.random.default_rng(seed), sum(SPLITS.values())
    ids = np.stack([random.integers(0, size, rows) for size in FIELD_SIZES], axis=1)
    effects = np.stack([random.permutation(np.linspace(-1.6, 1.6, 12)) for _ in FIELD_SIZES[1:]])
    score = sum(effect[column] for effect, column in zip(effects, ids.T[1:], strict=True))
    noise, dice, region = random.normal(size=rows), random.random((2, rows)), ids[:, 0] == 0
    labels, flipped = score + noise / 2 > 0, np.zeros(rows, dtype=bool)
    if kind == "regions":
        labels = np.where(region, score + 2 > 0, dice[0] < 0.45 / (1 + np.exp(-score)))
        flipped = region & (dice[1] < 1 / 3) & (np.arange(rows) < SPLITS["train"])
    np.save(folder / "flipped.npy", flipped[: SPLITS["train"]])
    arrays = {"ids": ids.astype(np.int32), "labels": (labels ^ flipped).astype(np.int32)}
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


class Oracle(Method):
    """Knows the regions: hinge in region 0, cross-entropy elsewhere."""

    info = Info(
        name="oracle",
        label="Oracle",
        summary="the planted answer",
        paper="none",
        weights="per example",
        learns_on="nothing",
    )

    def before_step(self, step):
        hinge = step.batch.ids[:, 0] == 0
        self.answer = torch.stack([hinge & False, hinge & False, hinge, ~hinge], dim=-1).float()
        return False

    def weights(self, labels, logits, draw):
        return self.answer


def trained(data, method, candidates=STUDY, *, seed=0, **options) -> Trainer:
    """A run of `method` (a name or a class) after all its epochs, without early stopping."""
    overrides = {}
    if isinstance(method, str):
        info, method = discover()[method].info, load(method)
        known = options_of(info, {}, discover())
        options = {**({"lr": GLOBAL_LR} if info.weights == "global" else {}), **OPTIONS, **options}
        overrides[info.name] = {k: options[k] for k in known if k in options}
    config = load_config(
        {
            "scale": "smoke",
            "losses": {"candidates": list(candidates)},
            "model": {"embedding_dim": 4, "hidden": [16], "dropout": 0.0},
            "training": {"batch_size": 128, "lr": MODEL_LR, "device": "cpu"},
            "methods": overrides,
        },
        ROOT,
    )
    run = Trainer(config, data, "deepfm", method, seed)
    for _ in range(EPOCHS):
        run.run_epoch()
    return run


def weights_by_row(run) -> np.ndarray:
    """The weights `[rows, n]` of every training example in one more epoch of training."""
    run.model.train()
    weights = np.empty((SPLITS["train"], len(run.method.candidates)))
    order, size = run.train.order(run.progress.epoch), run.train.batch_size
    for k in range(run.train.count):
        # Sorted, as Batches.batch reads them.
        weights[np.sort(order[k * size : (k + 1) * size])] = run.inner_step()[1].numpy()
    return weights
