"""deepctr-torch: its `fit` on one array a field; regularisation off."""

from __future__ import annotations

import numpy as np
import task
from deepctr_torch.inputs import SparseFeat
from deepctr_torch.models import DeepFM


class System:
    """DeepFM by deepctr-torch."""

    def __init__(self, vocabulary: int, hidden: tuple[int, ...], how: str) -> None:
        sizes = task.field_sizes(vocabulary)
        columns = [SparseFeat(f"f{k}", n, embedding_dim=task.DIM) for k, n in enumerate(sizes)]
        off = {f"l2_reg_{part}": 0 for part in ("linear", "embedding", "dnn")}
        self.model = DeepFM(columns, columns, dnn_hidden_units=hidden, **off, dnn_dropout=0)
        self.model.compile("adam", "binary_crossentropy")
        ids, self.labels = task.make(vocabulary)
        self.inputs = {f"f{k}": ids[:, k] for k in range(len(sizes))}

    def train(self) -> None:
        inputs = {name: column[: task.TRAIN] for name, column in self.inputs.items()}
        labels = self.labels[: task.TRAIN]
        self.model.fit(inputs, labels, batch_size=task.BATCH, epochs=1, verbose=0)

    def predict(self) -> np.ndarray:
        inputs = {name: column[-task.TEST :] for name, column in self.inputs.items()}
        return np.asarray(self.model.predict(inputs, batch_size=task.BATCH)).ravel()
