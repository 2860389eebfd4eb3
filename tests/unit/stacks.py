"""Runs of a cell on splits of their own, for tests of stacks: alone, and as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from autoloss.config import Config, overlay
from autoloss.data.load.prepared import PreparedData
from autoloss.methods.load import load
from autoloss.training.loop import Trainer
from autoloss.training.stack import Stack
from tests.tiny import tiny_config, tiny_data

RUNS = 3
COUNTS = "epoch", "steps", "outer_steps", "examples", "forward_examples", "backward_examples"


def splits(folder, classes: int, runs: int = RUNS) -> list[PreparedData]:
    """Splits of tiny data, each with tables of another size: some rows more in each field."""
    made = []
    for s in range(runs):
        data = tiny_data(folder / f"split_{s}", classes, s)
        fields = data.manifest.fields
        wider = tuple(
            f.model_copy(update={"size": f.size + s * (k + 1)}) for k, f in enumerate(fields)
        )
        made.append(replace(data, manifest=data.manifest.model_copy(update={"fields": wider})))
    return made


def small(
    method: str, options: Mapping[str, object] = {}, *, batch_norm=True, **training
) -> Config:
    """A configuration of a few steps with dropout."""
    over = {
        "model": {"embedding_dim": 4, "hidden": [9, 6], "batch_norm": batch_norm},
        "methods": {method: dict(options)},
    }
    return overlay(
        tiny_config(**{"batch_size": 40, "monitor": "logloss", **training}), over, "test"
    )


def trainers(
    config, data, model, method, seeds: Iterable[int] | None = None, **how
) -> list[Trainer]:
    """A run for each split."""
    seeds = range(len(data)) if seeds is None else seeds
    pairs = zip(data, seeds, strict=True)
    return [Trainer(config, own, model, load(method), seed, **how) for own, seed in pairs]


def ended(run: Trainer) -> dict[str, Tensor]:
    """What a run that has been trained comes to: weights, curves, means, by name."""
    done = run.progress
    state = {**run.model.state_dict(), **run.method.state_dict()}
    found = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    for k in ("train_loss", "auc", "logloss"):
        found[k] = torch.tensor([curve[k] for curve in done.curves])
    found["weights"], found["selection"] = map(torch.tensor, (done.mean_weights, done.selection))
    found["counts"] = torch.tensor([getattr(done, name) for name in COUNTS])
    return found


def require_equal(
    stack: Trainer, alone: Trainer, *, batch_norm: bool = True, loose: float = 1.0
) -> None:
    """The same run, but for the rounding of float64, or `loose` times as much.

    A bias in front of batch norm has no gradient but rounding, which Adam makes steps of. AUC has
    ties of examples of the same ids or not, as a last bit falls; in evaluation such a bias counts.
    """
    found, right = ended(stack), ended(alone)
    assert found.keys() == right.keys()
    for name, value in right.items():
        normed = batch_norm or name.startswith("weighting.")
        still = normed and (name.endswith("linear.bias") or "running_mean" in name)
        limit = {"auc": 5e-3, "logloss": 1e-10}.get(name, 1e-8 if still else 1e-12)
        limit *= loose * max(1.0, float(value.double().abs().max()))
        assert found[name].shape == value.shape, name
        gap = float((found[name].double() - value.double()).abs().max()) if value.numel() else 0.0
        assert gap <= limit, f"{name}: {gap}"


def trained_both_ways(config, data, model, method) -> tuple[list[Trainer], list[Trainer]]:
    """Each run alone, and all in a stack, to the end."""
    alone, together = (trainers(config, data, model, method, in_stack=how) for how in (False, True))
    stack = Stack(together)
    for run in alone:
        run.train_to_the_end()
    stack.train_to_the_end()
    for run in (*alone, *together):
        run.judge_best()
    return alone, together
