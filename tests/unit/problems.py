"""Small float64 problems for the tests of the engine: a model, a method, a coming step."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autoloss.candidates import CandidateLosses
from autoloss.config import LossOptions, ModelOptions
from autoloss.data.load.batches import Batch
from autoloss.functional import FunctionalModel
from autoloss.layers.dropout import drawing, dropouts
from autoloss.methods.contract import Step
from autoloss.methods.learned import Learned
from autoloss.methods.load import load
from autoloss.models import build_model
from autoloss.seeds import Draw
from autoloss.task import Task
from autoloss.training.optimizer import ModelAdam
from tests.tiny import tiny_config

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


def make_method(
    name: str, task: Task, seed: int = 3, losses: LossOptions | None = None, **options: object
) -> Learned:
    """A learned method in float64 whose V requires gradients, at step 7 of 10 an epoch."""
    if name == "autoloss":  # tau is well below 1
        options = {"tau_unit": "epoch", "tau_slope": 0.91685, **options}
    method = load(name)(task, losses, options, steps_per_epoch=10, seed=seed).double()
    assert isinstance(method, Learned)
    method.weighting.requires_grad_(True)
    return method


def drawn(module: nn.Module, *inputs: Tensor, seed: int = 0) -> Tensor:
    """The module's output, its dropout masks those of `seed`."""
    with drawing(dropouts(module), Draw(0, seed)):
        return module(*inputs)


def make_step(model: nn.Module, task: Task, t: int = 7, n: int = 24) -> Step:
    """The step before inner step `t`, on random batches: `n` to train on, 20 to validate on."""
    return Step(
        t=t,
        model=model,
        batch=make_batch(task, n, seed=100 + t),
        validation=lambda k: make_batch(task, 20, seed=201 + k),
        lr=LR,
        seed=1000,
    )


def make_adam(
    model: nn.Module, task: Task, *, steps: int = 3, **training: object
) -> tuple[ModelAdam, list[dict[str, Tensor]]]:
    """The model's optimizer after `steps` steps of cross-entropy, and the gradients of these.

    They are those of whole tables, L2 included.
    """
    adam, past = ModelAdam(model, tiny_config(lr=LR, **training).training, 80), []
    for t in range(steps):
        batch = make_batch(task, 24, seed=300 + t)
        opened = adam.open(model, [batch.ids])
        logits = opened.current(Draw(t, 1))
        loss = CandidateLosses(task, LossOptions()).only("ce")(batch.labels, logits)
        gradients = torch.autograd.grad(loss.mean(), list(opened.params.values()))
        past.append(whole(model, opened, gradients, training))
        adam.step(dict(zip(opened.params, gradients, strict=True)))
    return adam, past


def whole(
    model: nn.Module,
    opened: FunctionalModel,
    gradients: Sequence[Tensor],
    training: Mapping[str, object],
) -> dict[str, Tensor]:
    """Gradients of what was opened as those of the model's whole tables, and with L2."""
    l2 = 0.0 if training.get("decoupled_weight_decay") else training.get("weight_decay", 0.0)
    dense = {}
    for name, gradient in zip(opened.params, gradients, strict=True):
        w = model.get_parameter(name).detach()
        if name in opened.tables:
            gradient = torch.zeros_like(w).index_copy_(0, opened.rows, gradient)
        dense[name] = gradient + l2 * w
    return dense


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
