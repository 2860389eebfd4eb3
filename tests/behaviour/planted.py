"""Two data sets whose right weighting is known, and what a method makes of them in a real run.

*regions*: field 0 says where an example is. In region 0, a third of them, the other fields decide
the label, mostly 1, but a third of the training labels are turned round. Elsewhere the label is a
click: its probability follows the other fields and stays below 0.45. The hinge on probabilities
heads for the likelier label: right where the others are errors, ruinous where they are clicks. So
the answer is hinge here and cross-entropy there, and (y, y_hat), all that a controller sees, tells
the two apart: only region 0 has likely positives. *plain*: the other fields decide the label
everywhere. Validation and test labels are never turned round.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from autoloss.config import load_config
from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import FieldStats, Manifest, data_hash, write_manifest
from autoloss.methods.contract import Method
from autoloss.methods.discover import discover
from autoloss.methods.info import Info
from autoloss.methods.load import load
from autoloss.methods.options import options_of
from autoloss.training.loop import Trainer
from tests.tiny import ROOT, save_arrays, tiny_manifest

FIELD_SIZES = (3, 12, 12, 12, 12)
SPLITS = {"train": 4096, "validation": 1024, "test": 4096}
SETS = {
    "study": ("focal", "kl", "hinge", "ce"),
    "destructive": ("focal", "kl", "ce", "anti"),
    "small": ("focal", "kl", "ce", "small_anti"),
}
# Cross-entropy against the other label: useless in full, and no better at a twentieth of it.
DESTRUCTIVE = {
    "anti": lambda prediction, options: -prediction.log_rest,
    "small_anti": lambda prediction, options: -0.05 * prediction.log_rest,
}
EPOCHS, MODEL_LR = 8, 0.005  # 256 steps: cross-entropy's validation AUC has levelled off
# Of any method that has the option: an outer step each step, xi the model's rate, tau from 1 to
# about 1/2. A controller keeps its published size and rate; it is then slower than the model by 5,
# as published by 7. Global scores learn faster than published, to get anywhere in 256 steps.
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
    digests = save_arrays(folder, ids=ids, labels=labels ^ flipped)
    write_manifest(folder, _manifest(folder.name, rows, digests))
    return PreparedData.open(folder)


def _manifest(name, rows, digests) -> Manifest:
    one = FieldStats(name="f", kind="categorical", size=3, distinct=3, min_count=1, folded=0)
    planted = {
        "splits": SPLITS,
        "fields": tuple(
            one.model_copy(update={"name": f"f{k}", "size": size})
            for k, size in enumerate(FIELD_SIZES)
        ),
        "class_counts": {split: (size // 2, size - size // 2) for split, size in SPLITS.items()},
        "data_hash": data_hash(digests, FIELD_SIZES, 2, SPLITS),
    }
    return tiny_manifest(name, 2, rows, digests).model_copy(update=planted)


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

    def weights(self, examples, draw):
        return torch.eye(4)[torch.where(examples.ids[:, 0] == 0, 2, 3)]


def trainer(data, method, candidates="study", seed=0, **options) -> Trainer:
    """A run of `method` (a name, or a class without options), under the options above."""
    overrides = {}
    if isinstance(method, str):
        info, method = discover()[method].info, load(method)
        known = options_of(info, {}, discover())
        options = {**({"lr": GLOBAL_LR} if info.weights == "global" else {}), **OPTIONS, **options}
        overrides[info.name] = {key: options[key] for key in known if key in options}
    config = load_config(
        {
            "scale": "smoke",
            "losses": {"candidates": SETS[candidates]},
            "model": {"embedding_dim": 4, "hidden": [16], "dropout": 0.0},
            "training": {"batch_size": 128, "lr": MODEL_LR, "device": "cpu"},
            "methods": overrides,
        },
        ROOT,
    )
    return Trainer(config, data, "deepfm", method, seed)


def outcome(run) -> SimpleNamespace:
    """Test metrics after all epochs, without early stopping, and where the weights went.

    `shares`: of the candidates in all weight, last epoch. With turned-round labels, also `region`
    and `flipped`: the hinge's share in region 0 less elsewhere, and on its turned-round labels less
    on its others; and `kept`: the weight of the former over that of the latter, all candidates
    together.
    """
    for _ in range(EPOCHS):
        run.run_epoch()
    shares = np.asarray(run.progress.mean_weights[-1])
    found = SimpleNamespace(shares=shares / shares.sum(), **run.evaluate()["test"])
    flipped = np.load(run.data.folder / "flipped.npy")
    if flipped.any():
        weights, region = _weights_by_row(run), run.data.split("train")[0][:, 0] == 0
        others = region & ~flipped

        def hinge(rows):
            return weights[rows, 2].sum() / weights[rows].sum()

        found.region = hinge(region) - hinge(~region)
        found.flipped = hinge(flipped) - hinge(others)
        found.kept = weights[flipped].sum(axis=1).mean() / weights[others].sum(axis=1).mean()
    return found


def _weights_by_row(run) -> np.ndarray:
    """The weights `[rows, n]` of every training example, in one more epoch of training."""
    run.model.train()
    weights = np.empty((SPLITS["train"], len(run.method.candidates)))
    order, size = run.train.order(run.progress.epoch), run.train.batch_size
    for k in range(run.train.count):
        rows = np.sort(order[k * size : (k + 1) * size])  # sorted, as Batches.batch reads them
        weights[rows] = run.inner_step()[1].numpy()
    return weights
