"""This project's Trainer; `how` is a method and, after a slash, `training.table_updates`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import task

from autoloss.config import load_config
from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import FieldStats, Manifest
from autoloss.methods.load import load
from autoloss.training.loop import Trainer


class System:
    """DeepFM by `autoloss`."""

    def __init__(
        self,
        vocabulary: int,
        hidden: tuple[int, ...],
        how: str,
        *,
        device: str = "cpu",
        threads: int = task.THREADS,
        seed: int = 0,
        in_stack: bool = False,
        model: Mapping[str, object] = {},
    ) -> None:
        method, _, updates = how.partition("/")
        model = {"hidden": list(hidden), "batch_norm": False, "dropout": 0.0, **model}
        training = {
            "batch_size": task.BATCH,
            "device": device,
            "threads": threads,
            "table_updates": updates or "auto",
        }
        root = Path(__file__).parents[2]
        config = load_config({"scale": "laptop", "model": model, "training": training}, root)
        sizes = task.field_sizes(vocabulary)
        manifest = Manifest.model_construct(
            splits={"train": task.TRAIN, "validation": task.VALIDATION, "test": task.TEST},
            fields=tuple(
                FieldStats.model_construct(name=f"f{k}", size=size) for k, size in enumerate(sizes)
            ),
            classes=2,
            data_hash="",
        )
        data = PreparedData(root, manifest, *task.make(vocabulary))
        self.trainer = Trainer(config, data, "deepfm", load(method), seed, in_stack=in_stack)

    def train(self) -> None:
        for _ in range(self.trainer.train.count):
            self.trainer.inner_step()

    def predict(self) -> np.ndarray:
        self.trainer.optimizer.settle()
        _, logits = self.trainer._predict("test")
        return logits
