"""What a benchmarked system does."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class System(Protocol):
    """A DeepFM on the benchmark's task, in a library's own loader and training loop."""

    def __init__(self, vocabulary: int, hidden: tuple[int, ...], how: str) -> None:
        """`how` is a variant, of systems that have some."""

    def train(self) -> None:
        """One pass over the training rows."""

    def predict(self) -> np.ndarray:
        """Scores of the test rows, higher for clicks."""
