"""RecBole: its dataset, loader and trainer; tables of all values, not only of those seen."""

from __future__ import annotations

import numpy as np
import task
import torch
from recbole.config import Config
from recbole.data.dataloader import TrainDataLoader
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.model.context_aware_recommender.deepfm import DeepFM
from recbole.trainer import Trainer


class System:
    """DeepFM by RecBole."""

    def __init__(self, vocabulary: int, hidden: tuple[int, ...], how: str) -> None:
        name, names = f"recbole-{vocabulary}", [f"f{k}" for k in range(task.FIELDS)]
        options = {
            "data_path": str(task.CACHE),
            "checkpoint_dir": str(task.CACHE / name),
            "load_col": {"inter": [*names, "label"]},
            "USER_ID_FIELD": "f0",
            "ITEM_ID_FIELD": "f1",
            "LABEL_FIELD": "label",
            "train_neg_sample_args": None,
            "train_batch_size": task.BATCH,
            "learning_rate": task.LR,
            "embedding_size": task.DIM,
            "mlp_hidden_size": list(hidden),
            "dropout_prob": 0.0,
            "use_gpu": False,
            "show_progress": False,
            "save_dataset": False,
        }
        ids, labels = task.make(vocabulary)
        self._write(name, names, ids[:64], labels[:64])
        config = Config(model="DeepFM", dataset=name, config_dict=options)
        data = Dataset(config)
        sizes = task.field_sizes(vocabulary)
        for field, size in zip(names, sizes, strict=True):
            data.field2id_token[field] = np.arange(size)
        columns = torch.from_numpy(ids.astype(np.int64)).unbind(dim=1)
        fields = dict(zip(names, columns, strict=True))
        everything = Interaction({**fields, "label": torch.from_numpy(labels).float()})
        data.inter_feat = everything[: task.TRAIN]
        self.test = everything[len(labels) - task.TEST :]
        self.loader = TrainDataLoader(config, data, None, shuffle=True)
        self.trainer = Trainer(config, DeepFM(config, data))

    @staticmethod
    def _write(name: str, names: list[str], ids: np.ndarray, labels: np.ndarray) -> None:
        """The first rows as RecBole's file, for its dataset to know the fields."""
        folder = task.CACHE / name
        folder.mkdir(parents=True, exist_ok=True)
        head = "\t".join([*(f"{field}:token" for field in names), "label:float"])
        rows = np.column_stack((ids, labels))
        np.savetxt(folder / f"{name}.inter", rows, "%d", "\t", header=head, comments="")

    def train(self) -> None:
        self.trainer._train_epoch(self.loader, 0)

    def predict(self) -> np.ndarray:
        self.trainer.model.eval()
        parts = range(0, task.TEST, task.BATCH)
        scores = [self.trainer.model.predict(self.test[k : k + task.BATCH]) for k in parts]
        return np.concatenate([part.detach().numpy() for part in scores])
