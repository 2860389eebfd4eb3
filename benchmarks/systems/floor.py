"""The floor under all systems: a step's matrix products and nothing else, by oneDNN or by MKL."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import task
import torch
from torch import Tensor

from autoloss.ops import linear

MULTIPLY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "onednn": linear.multiply,
    "mkl": lambda a, b: a @ b.t(),
}


class System:
    """Forward, and backward to what goes into each layer and to its weights."""

    def __init__(self, vocabulary: int, hidden: tuple[int, ...], how: str) -> None:
        widths = [task.FIELDS * task.DIM, *hidden, 1]
        self.layers = [
            (torch.randn(task.BATCH, n), torch.randn(m, n), torch.randn(task.BATCH, m))
            for n, m in pairwise(widths)
        ]
        self.multiply = MULTIPLY[how]

    def train(self) -> None:
        for _ in range(task.TRAIN // task.BATCH):
            for x, weight, g in self.layers:
                self.multiply(x, weight)
                self.multiply(g, weight.t())
                self.multiply(g.t(), x.t())

    def predict(self) -> np.ndarray:
        return np.zeros(task.TEST)  # it has learned nothing
