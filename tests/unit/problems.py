"""Small float64 problems for the tests of the engine: a model, a method, a coming step."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.data.batches import Batch
from autoloss.learned import Learned
from autoloss.method import Step
from autoloss.models import build_model
from autoloss.registry import load
from autoloss.task import Task

FIELD_SIZES = (7, 5, 40, 3)  # 40: rows that no batch reads; 3: rows that every batch repeats
LR = 0.1  # large, so that the look-ahead step matters


def make_batch(task: Task, n: int, seed: int) -> Batch:
    """`n` random examples."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(k, (n,), generator=generator) for k in FIELD_SIZES], dim=1)
    return Batch(ids, torch.randint(task.classes, (n,), generator=generator))


class PlainModel(nn.Module):
    """Somebody's own model: one `nn.Embedding` a field, nothing of ours."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, 4) for size in FIELD_SIZES)
        self.norm = nn.BatchNorm1d(16)
        self.out = nn.Linear(16, task.outputs)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits."""
        parts = [table(ids[:, f]) for f, table in enumerate(self.tables)]
        return self.out(self.norm(torch.cat(parts, dim=1)).tanh()).squeeze(-1)


def make_model(name: str, task: Task, dropout: float = 0.2) -> nn.Module:
    """A small DRS with parameters of order one and batch-norm statistics of its own."""
    options = ModelOptions(embedding_dim=4, hidden=(9, 6), dropout=dropout)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        plain = name == "plain"
        model = PlainModel(task) if plain else build_model(name, FIELD_SIZES, task, options)
        model = model.double()
        with torch.no_grad():
            for key, value in (*model.named_parameters(), *model.named_buffers()):
                if "running_var" in key:
                    value.uniform_(0.5, 2.0)
                elif value.is_floating_point():
                    value.add_(0.3 * torch.randn_like(value))
    return model


def make_method(name: str, task: Task, seed: int = 3, **options: object) -> Learned:
    """A learned method in float64 whose V requires gradients, at step 7 of 10 an epoch."""
    method = load(name)(task, options=options, steps_per_epoch=10, seed=seed).double()
    assert isinstance(method, Learned)
    method.weighting.requires_grad_(True)
    return method


def make_step(model: nn.Module, task: Task, t: int = 7, n: int = 24) -> Step:
    """The step before inner step `t`, on random batches: `n` to train on, 20 to validate on."""
    return Step(
        t=t,
        model=model,
        batch=make_batch(task, n, seed=100 + t),
        validation=lambda k: make_batch(task, 20, seed=200 + k),
        lr=LR,
        seed=1000 + t,
    )


@contextmanager
def untouched(step: Step) -> Iterator[None]:
    """Neither parameters, gradients, mode, running statistics nor torch's generator change."""
    before, state = copy.deepcopy(step.model.state_dict()), torch.manual_seed(0).get_state()
    yield
    assert torch.equal(torch.get_rng_state(), state)
    for key, value in step.model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(p.grad is None and p.requires_grad for p in step.model.parameters())
    assert step.model.training


def flat(gradients: tuple[Tensor, ...]) -> Tensor:
    """Gradients as one vector."""
    return torch.cat([g.flatten() for g in gradients]).detach()


def smooth(module: nn.Module) -> nn.Module:
    """The module with every ReLU replaced by a tanh, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, nn.Tanh())
        else:
            smooth(child)
    return module
