"""A data set and a configuration small enough for a run in a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autoloss.config import Config, load_config, overlay
from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import (
    FieldStats,
    Manifest,
    Statistics,
    data_hash,
    digest,
    write_manifest,
)
from autoloss.methods.discover import discover
from autoloss.study.study import Study

ROOT = Path(__file__).parents[1]
FIELD_SIZES = (12, 9, 4)
SPLITS = {"train": 300, "validation": 80, "test": 80}
TASKS = {"binary": 2, "rating": 5}


def tiny_config(**training) -> Config:
    """Two epochs of five steps on a small model."""
    return load_config(
        {
            "scale": "smoke",
            "study": {"max_rows": None, "fail_fast": False},
            "model": {"embedding_dim": 4, "hidden": [8]},
            "training": {"batch_size": 64, "max_epochs": 2, "device": "cpu", **training},
        },
        ROOT,
    )


def with_needs(config: Config, method: str) -> Config:
    """`config`, its candidates followed by the losses that a method needs beside them."""
    candidates = config.losses.candidates
    more = [loss for loss in discover()[method].needs if loss not in candidates]
    return overlay(config, {"losses": {"candidates": [*candidates, *more]}}, method)


def project_methods() -> list[str]:
    """The methods of the project itself: a reader's own are not on docs/methods.md."""
    page = (ROOT / "docs" / "methods.md").read_text()
    return [name for name in discover() if f"| `{name}` |" in page]


def tiny_splits(study: Study, dataset: str, classes: int) -> None:
    """Every split of a data set that a study has, in the current folder."""
    for split in study.prepared_splits:
        tiny_data(study.prepared_folder(dataset, split), classes, split)


def tiny_data(folder: Path, classes: int, split: int = 0) -> PreparedData:
    """A prepared split whose labels follow the sum of two planted effects, with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(classes)
    rows = sum(SPLITS.values())
    ids = np.stack([random.integers(0, size, rows) for size in FIELD_SIZES], axis=1)
    score = random.normal(size=12)[ids[:, 0]] + random.normal(size=9)[ids[:, 1]]
    score = score + random.normal(size=rows)
    labels = np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score)
    order = np.roll(np.arange(rows), 150 * split)
    users = np.random.default_rng(classes).integers(0, 20, rows)[order][-SPLITS["test"] :]
    digests = save_arrays(folder, ids=ids[order], labels=labels[order], clusters=users)
    manifest = tiny_manifest(folder.parent.name, classes, rows, digests)
    write_manifest(folder, manifest.model_copy(update={"split": split, "cluster": "f0"}))
    return PreparedData.open(folder)


def save_arrays(folder: Path, **arrays: np.ndarray) -> dict[str, str]:
    """Write a prepared folder's arrays; their digests, for its manifest."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array.astype(np.int32))
    return {name: digest(folder / f"{name}.npy") for name in arrays}


def tiny_manifest(name: str, classes: int, rows: int, digests: dict[str, str]) -> Manifest:
    counts = {split: tuple([size // classes] * classes) for split, size in SPLITS.items()}
    return Manifest(
        dataset=name,
        title=f"Tiny {name}",
        stands_for="Criteo" if classes == 2 else "ML-20m",
        source="tiny",
        mirror="none",
        raw_files=(),
        raw_rows=rows,
        rows=rows,
        split=0,
        splits=SPLITS,
        fields=tuple(
            FieldStats(
                name=f"f{k}", kind="categorical", size=size, distinct=size, min_count=1, folded=0
            )
            for k, size in enumerate(FIELD_SIZES)
        ),
        classes=classes,
        class_counts=counts,
        statistics=Statistics(interactions=rows, fields=3, feature_values=25, encoded_features=25),
        arrays=digests,
        data_hash=data_hash(digests, FIELD_SIZES, classes, SPLITS),
    )
