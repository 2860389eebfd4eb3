"""torchfm's model (it forces batch norm) in the usual script: DataLoader, default Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import task
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchfm.model.dfm import DeepFactorizationMachineModel


class System:
    """DeepFM by torchfm."""

    def __init__(self, vocabulary: int, hidden: tuple[int, ...], how: str) -> None:
        sizes = task.field_sizes(vocabulary)
        self.model = DeepFactorizationMachineModel(sizes, task.DIM, hidden, dropout=0.0)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=task.LR)
        ids, labels = task.make(vocabulary)
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
