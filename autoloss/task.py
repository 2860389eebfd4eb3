"""What a data set asks for: a click probability, or one of C ratings (paper §3.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A classification task.

    `classes` is 2 for a binary task (logits `[B]`, sigmoid, labels 0 and 1) and C > 2 for a
    C-class one (logits `[B, C]`, softmax, labels 0 .. C-1).
    """

    classes: int = 2

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"a task has at least 2 classes, not {self.classes}")

    @property
    def binary(self) -> bool:
        """Two classes: one logit, a sigmoid."""
        return self.classes == 2

    @property
    def outputs(self) -> int:
        """Width of a model's output: one logit for a binary task, else one per class."""
        return 1 if self.binary else self.classes
