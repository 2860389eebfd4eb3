"""FuxiCTR: its base model and npz loader; a DeepFM of its layers, for its package has none."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import task
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader
from fuxictr.pytorch.layers import FactorizationMachine, FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel


class DeepFM(BaseModel):
    """FM and MLP on shared embeddings."""

    def __init__(self, features: FeatureMap, hidden: tuple[int, ...]) -> None:
        folder = str(task.CACHE)
        super().__init__(features, gpu=-1, verbose=0, model_root=folder, metrics=["AUC"])
        self.embedding = FeatureEmbedding(features, task.DIM)
        self.fm = FactorizationMachine(features)
        self.mlp = MLP_Block(features.sum_emb_out_dim(), output_dim=1, hidden_units=list(hidden))
        self.compile("adam", "binary_crossentropy", task.LR)
        self.reset_parameters()

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        fields = self.get_inputs(inputs)
        embedded = self.embedding(fields)
        scores = self.fm(fields, embedded) + self.mlp(embedded.flatten(start_dim=1))
        return {"y_pred": self.output_activation(scores)}


class System:
    """DeepFM by FuxiCTR."""

    def __init__(self, vocabulary: int, hidden: tuple[int, ...], how: str) -> None:
        features = FeatureMap("benchmark", str(task.CACHE))
        features.features = OrderedDict(
            (f"f{k}", {"type": "categorical", "source": "", "vocab_size": size})
            for k, size in enumerate(task.field_sizes(vocabulary))
        )
        features.labels, features.num_fields = ["label"], task.FIELDS
        features.default_emb_dim = task.DIM
        features.set_column_index()
        ids, labels = task.make(vocabulary)
        parts = {"train": slice(task.TRAIN), "test": slice(-task.TEST, None)}
        self.loaders = {}
        for name, rows in parts.items():
            file = str(task.CACHE / f"fuxictr-{vocabulary}-{name}.npz")
            np.savez(file, label=labels[rows], **{f"f{k}": x for k, x in enumerate(ids[rows].T)})
            # In this process: a worker process is slower on two cores.
            self.loaders[name] = NpzDataLoader(
                features, file, task.BATCH, shuffle=name == "train", num_workers=0
            )
        self.model = DeepFM(features, hidden)
        # What `fit` sets, without its validation and checkpoints.
        self.model._max_gradient_norm, self.model._stop_training = 10.0, False
        self.model._total_steps, self.model._eval_steps = 0, 10**9

    def train(self) -> None:
        self.model.train_epoch(self.loaders["train"])

    def predict(self) -> np.ndarray:
        return np.asarray(self.model.predict(self.loaders["test"]))
