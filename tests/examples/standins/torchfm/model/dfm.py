"""Of torchfm's interface what the example uses: the constructor, four members, probabilities."""

from __future__ import annotations

import torch
from torch import nn

from autoloss.layers.embedding import FieldEmbedding


class Pairs(nn.Module):
    def forward(self, embedded):
        fields = range(embedded.shape[1])
        products = [embedded[:, i] * embedded[:, j] for i in fields for j in fields if i < j]
        return sum(products).sum(dim=1, keepdim=True)


class Linear(FieldEmbedding):
    def forward(self, x):
        return super().forward(x).sum(dim=1)


class DeepFactorizationMachineModel(nn.Module):
    def __init__(self, field_dims, embed_dim, mlp_dims, dropout):
        super().__init__()
        self.linear, self.fm = Linear(field_dims, 1), Pairs()
        self.embedding = FieldEmbedding(field_dims, embed_dim)
        widths, layers = [len(field_dims) * embed_dim, *mlp_dims], []
        for a, b in zip(widths, mlp_dims, strict=False):
            layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(), nn.Dropout(p=dropout)]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, x):
        embedded = self.embedding(x)
        logits = self.linear(x) + self.fm(embedded) + self.mlp(embedded.flatten(1))
        return torch.sigmoid(logits.squeeze(1))
