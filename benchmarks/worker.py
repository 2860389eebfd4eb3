"""One system, trained on command: `python worker.py SYSTEM NETWORK VOCABULARY`.

Reads a command a line from standard input, `train` (one pass over the training rows, in the
system's own data loader and loop) or `evaluate`, and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import task

os.environ["OMP_NUM_THREADS"] = str(task.THREADS)
import torch


class System(Protocol):
    """What a benchmarked system does."""

    def train(self) -> None:
        """One pass over the training rows."""

    def predict(self) -> np.ndarray:
        """Scores of the test rows, higher for clicks."""


class AutoLoss:
    """This project's Trainer, with a method of it."""

    def __init__(self, sizes: list[int], hidden: tuple[int, ...], how: str) -> None:
        from autoloss.config import load_config
        from autoloss.data.manifest import FieldStats, Manifest
        from autoloss.data.prepared import PreparedData
        from autoloss.registry import load
        from autoloss.training.loop import Trainer

        method, _, updates = how.partition("/")
        model = {"hidden": list(hidden), "batch_norm": False, "dropout": 0.0}
        training = {
            "batch_size": task.BATCH,
            "device": "cpu",
            "threads": task.THREADS,
            "table_updates": updates or "auto",
        }
        root = Path(__file__).parents[1]
        config = load_config({"scale": "laptop", "model": model, "training": training}, root)
        manifest = Manifest.model_construct(
            splits={"train": task.TRAIN, "validation": task.VALIDATION, "test": task.TEST},
            fields=tuple(FieldStats.model_construct(size=size) for size in sizes),
            classes=2,
            data_hash="",
        )
        data = PreparedData(root, manifest, *task.make(VOCABULARY))
        self.trainer = Trainer(config, data, "deepfm", load(method), 0)

    def train(self) -> None:
        for _ in range(self.trainer.train.count):
            self.trainer.inner_step()

    def predict(self) -> np.ndarray:
        self.trainer.optimizer.settle()
        _, logits = self.trainer._predict("test")
        return logits


class DeepCTRTorch:
    """deepctr-torch: its `fit` on one array a field; regularisation off."""

    def __init__(self, sizes: list[int], hidden: tuple[int, ...], how: str) -> None:
        from deepctr_torch.inputs import SparseFeat  # type: ignore[import-not-found]
        from deepctr_torch.models import DeepFM  # type: ignore[import-not-found]

        columns = [SparseFeat(f"f{k}", n, embedding_dim=task.DIM) for k, n in enumerate(sizes)]
        off = {f"l2_reg_{part}": 0 for part in ("linear", "embedding", "dnn")}
        self.model = DeepFM(columns, columns, dnn_hidden_units=hidden, **off, dnn_dropout=0)
        self.model.compile("adam", "binary_crossentropy")
        ids, labels = task.make(VOCABULARY)
        self.inputs = {f"f{k}": ids[:, k] for k in range(len(sizes))}
        self.labels = labels

    def train(self) -> None:
        inputs = {name: column[: task.TRAIN] for name, column in self.inputs.items()}
        self.model.fit(
            inputs, self.labels[: task.TRAIN], batch_size=task.BATCH, epochs=1, verbose=0
        )

    def predict(self) -> np.ndarray:
        inputs = {name: column[-task.TEST :] for name, column in self.inputs.items()}
        return np.asarray(self.model.predict(inputs, batch_size=task.BATCH)).ravel()


class TorchFM:
    """torchfm's model (it forces batch norm) in the usual script: DataLoader, default Adam."""

    def __init__(self, sizes: list[int], hidden: tuple[int, ...], how: str) -> None:
        from torch.utils.data import DataLoader, TensorDataset
        from torchfm.model.dfm import (  # type: ignore[import-not-found]
            DeepFactorizationMachineModel,
        )

        self.model = DeepFactorizationMachineModel(sizes, task.DIM, hidden, dropout=0.0)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=task.LR)
        ids, labels = task.make(VOCABULARY)
        self.test = torch.from_numpy(ids[-task.TEST :])
        rows = torch.from_numpy(ids[: task.TRAIN]), torch.from_numpy(labels[: task.TRAIN]).float()
        self.loader: Any = DataLoader(TensorDataset(*rows), task.BATCH, shuffle=True)

    def train(self) -> None:
        self.model.train()
        for ids, labels in self.loader:
            loss = torch.nn.functional.binary_cross_entropy(self.model(ids), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def predict(self) -> np.ndarray:
        self.model.eval()
        return np.concatenate([self.model(part).numpy() for part in self.test.split(task.BATCH)])


SYSTEMS: dict[str, type[Any]] = {
    "autoloss": AutoLoss,
    "deepctr-torch": DeepCTRTorch,
    "torchfm": TorchFM,
}


def main(name: str, network: str) -> None:
    """Answer commands until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries talk
    torch.set_num_threads(task.THREADS)
    torch.manual_seed(0)
    kind, _, how = name.partition(":")
    sizes = task.field_sizes(VOCABULARY)
    system: System = SYSTEMS[kind](sizes, task.NETWORKS[network], how)
    print("ready", file=answers, flush=True)
    for command in sys.stdin:
        started = time.perf_counter()
        answer: dict[str, float] = {}
        if command.strip() == "train":
            system.train()
        else:
            labels = task.make(VOCABULARY)[1][-task.TEST :]
            answer["auc"] = task.auc(labels, np.asarray(system.predict(), dtype=np.float64))
        answer["seconds"] = time.perf_counter() - started
        answer["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    VOCABULARY = task.VOCABULARIES[sys.argv[3]]
    main(sys.argv[1], sys.argv[2])
