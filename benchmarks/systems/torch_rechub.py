"""torch-rechub: its trainer and loader; it forces batch norm, and has no weight a value."""

from __future__ import annotations

import numpy as np
import task
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.ranking import DeepFM
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import DataGenerator


class System:
    """DeepFM by torch-rechub."""

    def __init__(self, vocabulary: int, hidden: tuple[int, ...], how: str) -> None:
        sizes = task.field_sizes(vocabulary)
        fields = [SparseFeature(f"f{k}", n, embed_dim=task.DIM) for k, n in enumerate(sizes)]
        model = DeepFM(fields, fields, {"dims": list(hidden), "dropout": 0.0, "activation": "relu"})
        self.trainer = CTRTrainer(model, optimizer_params={"lr": task.LR}, device="cpu")
        ids, labels = task.make(vocabulary)
        ids = ids.astype(np.int64)
        (train, *_), (test, *_) = (
            ({f"f{k}": x for k, x in enumerate(ids[rows].T)}, labels[rows])
            for rows in (slice(task.TRAIN), slice(-task.TEST, None))
        )
        generator = DataGenerator(train, labels[: task.TRAIN])
        self.loader, _, self.test = generator.generate_dataloader(
            x_val=test,
            y_val=labels[-task.TEST :],
            x_test=test,
            y_test=labels[-task.TEST :],
            batch_size=task.BATCH,
        )

    def train(self) -> None:
        self.trainer.train_one_epoch(self.loader)

    def predict(self) -> np.ndarray:
        return np.asarray(self.trainer.predict(self.trainer.model, self.test))
