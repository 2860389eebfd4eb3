"""Tables trained by deferred Adam and by torch's dense one, step by step."""

from __future__ import annotations

import copy

import torch

from autoloss.layers.embedding import FieldEmbedding, Window
from autoloss.training.deferred import DeferredAdam

SIZES = (200, 5)  # the first is read now and then, the second nearly always


def tables(seed, dims=(3, 1)):
    torch.manual_seed(seed)
    return [FieldEmbedding(SIZES, dim).double() for dim in dims]


def train(ours, steps, scale, *, seed, weight_decay=0.0, eps=1e-8, dtype=torch.float64):
    """The same steps by both; `steps` are (number of examples, learning rate)."""
    ours = [table.to(dtype) for table in ours]
    dense = [copy.deepcopy(table).double() for table in ours]
    kind = torch.optim.AdamW if weight_decay else torch.optim.Adam
    reference = kind([t.weight for t in dense], lr=steps[0][1], weight_decay=weight_decay, eps=eps)
    adam = DeferredAdam(ours, steps[0][1], weight_decay=weight_decay, eps=eps)
    random, device = torch.Generator().manual_seed(seed), ours[0].weight.device
    for batch, _ in steps:
        ids = torch.stack([torch.randint(0, s, (batch,), generator=random) for s in SIZES], dim=1)
        pull = [
            scale * torch.randn(batch, 2, t.weight.shape[1], generator=random, dtype=torch.float64)
            for t in dense
        ]
        ids, pull = ids.to(device), [p.to(device) for p in pull]
        rows, (places,) = ours[0].distinct([ids])
        leaves = adam.open(rows)
        loss = 0.0
        for p, table, leaf in zip(pull, ours, leaves, strict=True):
            table.window = Window(leaf.requires_grad_(), places)
            loss += (p.to(dtype) * table(ids)).sum()
            table.window = None
        adam.step(torch.autograd.grad(loss, leaves))
        reference.zero_grad()
        sum((p * t(ids)).sum() for p, t in zip(pull, dense, strict=True)).backward()
        reference.step()
    adam.settle()
    return ours, dense
