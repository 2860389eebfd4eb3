"""The one training loop of the study (paper Algorithm 1): the same for every method.

An epoch of inner steps, each preceded by the method's own outer step if one is due; validation;
early stopping with the best weights restored; then one look at the test split. Every random draw
is made by its address (autoloss.seeds), so a run can stop after any step and go on elsewhere.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoloss.config import Config, overlay
from autoloss.data.load.batches import Batches
from autoloss.data.load.prepared import PreparedData
from autoloss.methods.contract import Method, Step
from autoloss.methods.promises import require_means, require_promised
from autoloss.metrics import METRICS
from autoloss.models import build_model
from autoloss.ops.weights import tally
from autoloss.records.schema import Reliability
from autoloss.seeds import derive_seed, seeded
from autoloss.training import checkpoint
from autoloss.training.checkpoint import tensors_digest
from autoloss.training.device import keep_freed_memory, make_deterministic, select_device
from autoloss.training.evaluate import Array, Calibrator, Labels, judge, judge_fully, predict
from autoloss.training.generators import Generators
from autoloss.training.observe import choice, reliability
from autoloss.training.optimizer import ModelAdam
from autoloss.training.pace import Listener, Pace
from autoloss.training.passes import Passes
from autoloss.training.stop import asked_to_stop, stop_if_asked

EVALUATION_BATCH = 1024  # a matter of speed only: evaluation has no batch statistics


class TrainingDivergedError(Exception):
    """The training loss, or what the model puts out, is no longer a finite number."""


def refit_state(state: Path) -> Path:
    """The checkpoint of a run's second phase, beside that of its first."""
    return state.with_suffix(".refit.pt")


@dataclass
class Progress:
    """What a run has done so far; all of it goes into checkpoints and the record."""

    epoch: int = 0
    steps: int = 0
    outer_steps: int = 0
    examples: int = 0
    forward_examples: int = 0
    backward_examples: int = 0
    seconds: float = 0.0
    best_value: float = -math.inf
    best_epoch: int = 0
    curves: list[dict[str, float]] = field(default_factory=list)
    mean_weights: list[list[float]] = field(default_factory=list)
    selection: list[list[float]] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Sums:
    """Over the steps of the epoch at hand: the loss, and each candidate's weight and share."""

    loss: Tensor
    weights: Tensor
    selected: Tensor

    @classmethod
    def zero(cls, candidates: int, device: torch.device) -> Sums:
        """Of no step: a scalar and twice `[n]`."""
        return cls(torch.zeros((), device=device), *torch.zeros(2, candidates, device=device))

    def add(self, loss: Tensor, weights: Tensor) -> None:
        """A step's loss (scalar) and weights, `[n]` or `[B, n]`.

        Raises:
            ValueError: the weights are not one for each candidate: torch would have spread them.
        """
        if weights.shape[-1] != len(self.weights):
            candidates = len(self.weights)
            shape = list(weights.shape)
            raise ValueError(
                f"weights of shape {shape}, expected [{candidates}] or [B, {candidates}]"
            )
        weights = weights.expand(1, -1) if weights.dim() == 1 else weights
        self.loss += loss
        tally(weights, self.weights, self.selected)


class Trainer:
    """One run: a model, a method, a seed, on prepared data.

    Args:
        model_name: a key of `autoloss.models.MODELS`.
        method_class: the method; its options come from `config.methods`.
        state: checkpoint file, or None for none.
        report: called with a line after each epoch.
        listener: told once a second how far the epoch, or an evaluation, is.
        train_on: the splits it trains on. If validation is among them, it can no longer choose or
            calibrate: the last weights are kept, not the best, and judged on the test split alone.

    With `training.validation: halves` weightings learn on one half of the validation split; what
    stops, calibrates and is recorded as validation is of the other.
    """

    def __init__(
        self,
        config: Config,
        data: PreparedData,
        model_name: str,
        method_class: type[Method],
        seed: int,
        *,
        state: Path | None = None,
        report: Callable[[str], None] = lambda line: None,
        listener: Listener | None = None,
        train_on: tuple[str, ...] = ("train",),
    ) -> None:
        options = config.training
        make_deterministic(options)
        keep_freed_memory()
        self.options, self.data, self.seed = options, data, seed
        self.task, self.device = data.task, select_device(options.device)
        self.config, self.model_name = config, model_name
        self.state_file, self.report = state, report
        self.listener, self.pace = listener, Pace(listener)
        self.keeps_best = "validation" not in train_on
        learned_on, judged_on = data.validation(options.validation == "halves")
        self.train, self.validation = (
            Batches(*rows, options.batch_size, seed=seed, name=name)
            for name, rows in (("train", data.split(*train_on)), ("validation", learned_on))
        )
        self.judged = Batches(*judged_on, EVALUATION_BATCH, seed=seed, name="validation")
        with seeded(derive_seed(seed, "model")):
            model = build_model(model_name, data.field_sizes, self.task, config.model)
        self.model = model.to(self.device)
        self.passes = Passes(self.model)
        self.method = method_class(
            self.task,
            config.losses,
            config.methods.get(method_class.info.name, {}),
            steps_per_epoch=self.train.count,
            seed=seed,
            fields={field.name: field.size for field in data.manifest.fields},
        ).to(self.device)
        self.optimizer = ModelAdam(
            self.model, options, self.train.ids.shape[1] * options.batch_size
        )
        self.progress = Progress()
        self.sums = Sums.zero(len(self.method.candidates), self.device)
        self.best: dict[str, Tensor] = {}
        self.reliability: Reliability | None = None
        self.predictions: Array | None = None
        self.calibration: Array | None = None
        self._saved_at = time.monotonic()
        if state and (saved := checkpoint.load_last(state, self.device, report)):
            self.load_state(saved)

    def run(self) -> dict[str, dict[str, float]]:
        """Train to the end and return `evaluate()` of the best weights on validation.

        Raises:
            TrainingDivergedError: the loss or logits became infinite or NaN.
            StoppedError: a signal asked for it; the checkpoint is written.
        """
        while not self.finished:
            self.run_epoch(self._between_steps)
        self.model.load_state_dict(self.best)
        return self.evaluate()

    def refit(self) -> Trainer:
        """A run from the same start on training and validation data, for the epochs that were best.

        What early stopping would choose cannot be seen any more; that is the price of the data.
        """
        epochs = self.progress.best_epoch
        over = {"training": {"max_epochs": epochs, "patience": epochs}}
        state = self.state_file
        return Trainer(
            overlay(self.config, over, "refit"),
            self.data,
            self.model_name,
            type(self.method),
            self.seed,
            state=state and refit_state(state),
            report=self.report,
            listener=self.listener,
            train_on=("train", "validation"),
        )

    @property
    def finished(self) -> bool:
        """Out of epochs, or of patience."""
        done = self.progress
        waited = done.epoch - done.best_epoch
        return done.epoch >= self.options.max_epochs or waited >= self.options.patience

    @property
    def stopped_by_limit(self) -> bool:
        """Out of epochs while there was patience left."""
        done = self.progress
        return self.finished and done.epoch - done.best_epoch < self.options.patience

    def run_epoch(self, between_steps: Callable[[], None] = stop_if_asked) -> None:
        """One pass over the training split, or what is left of it, then one over validation.

        Raises:
            ConfigError: the model or the method draws from torch's, numpy's or Python's generators.
            MethodError: the weights are not what the method's Info says.
        """
        self._started = time.perf_counter()
        done, generators = self.progress, Generators(self.device)
        drawer = f"{self.model_name} under {self.method.info.name}"
        self.model.train()
        self.method.train()
        first, steps = done.steps % self.train.count, self.train.count
        self.pace.begin("training", done.epoch + 1, first, steps, self.options.batch_size)
        for step in range(first, steps):
            between_steps()
            self.sums.add(*self.inner_step())
            if step == first:
                generators.require_unmoved(drawer, again=self.inner_step)
            self.pace.at(step + 1)
        sums, self.sums = self.sums, Sums.zero(len(self.method.candidates), self.device)
        train_loss = float(sums.loss) / self.train.count
        require_means(self.method, sums.weights, self.train.count)
        if not math.isfinite(train_loss):
            raise TrainingDivergedError(f"training loss is {train_loss} in epoch {done.epoch + 1}")
        done.epoch += 1
        done.examples += self.train.examples
        done.mean_weights.append((sums.weights / self.train.count).tolist())
        done.selection.append((sums.selected / self.train.count).tolist())
        self.optimizer.settle()
        self._validate(train_loss)
        generators.require_unmoved(f"a later step or the evaluation of {drawer}")
        self._count()

    def inner_step(self) -> tuple[Tensor, Tensor]:
        """One update of the DRS: returns the loss (scalar) and the weights, `[n]` or `[B, n]`."""
        done, step = self.progress, self.step(self.progress.steps)
        done.outer_steps += self.method.before_step(step)
        loss, weights, gradients = step.descent or self.method.descend(step)
        require_promised(self.method, weights, step)
        params, own = step.opened.params, self.method.inner_parameters()
        self.optimizer.step(dict(zip(params, gradients, strict=False)))
        for parameter, gradient in zip(own, gradients[len(params) :], strict=True):
            parameter.grad = gradient
        done.outer_steps += self.method.after_step()
        done.steps += 1
        return loss, weights

    def step(self, t: int) -> Step:
        """What a method sees of inner step `t`."""
        return Step(
            t=t,
            model=self.model,
            batch=self.train.batch(t).to(self.device),
            validation=lambda k: self.validation.batch(k).to(self.device),
            lr=self.optimizer.lr,
            seed=self.seed,
            opener=self.optimizer.open,
            advance=self.optimizer.advance,
        )

    def _validate(self, train_loss: float) -> None:
        done, monitor = self.progress, METRICS[self.options.monitor]
        predicted = self._predict("validation")
        metrics = judge(self.task, *predicted)
        chosen = choice(self.method, *predicted, done.steps, self.judged.ids)
        done.choices += [chosen.model_dump()] if chosen else []
        done.curves.append({"epoch": done.epoch, "train_loss": train_loss, **metrics})
        value = metrics[monitor.name] if monitor.higher_is_better else -metrics[monitor.name]
        if value > done.best_value or not self.keeps_best:
            done.best_value, done.best_epoch = value, done.epoch
            self.best = copy.deepcopy(self.model.state_dict())
        seen = "" if self.keeps_best else " (trained on)"
        self.report(
            f"epoch {done.epoch}: train loss {train_loss:.4f}, validation{seen} "
            + ", ".join(f"{METRICS[k].label} {v:.4f}" for k, v in metrics.items())
        )

    def _count(self) -> None:
        """Bring passes and seconds up to now."""
        forward, backward = self.passes.take()
        self.progress.forward_examples += forward
        self.progress.backward_examples += backward
        now = time.perf_counter()
        self.progress.seconds += now - self._started
        self._started = now

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Metrics of the current weights on validation and test.

        Sets `reliability` and `predictions` (logits `[n]` or `[n, C]`), both on test, and
        `calibration`, the affine map that recalibrates them.

        Of a run that has trained on validation only those on test, none of them recalibrated.
        """
        splits = ("validation", "test") if self.keeps_best else ("test",)
        predicted = {split: self._predict(split) for split in splits}
        self.reliability = reliability(self.task, *predicted["test"])
        self.predictions = predicted["test"][1]
        unseen = predicted.get("validation")
        calibrator = Calibrator.fit(self.task, *unseen) if unseen else None
        self.calibration = calibrator.affine if calibrator else None
        return {
            name: judge_fully(self.task, calibrator, *split) for name, split in predicted.items()
        }

    def _predict(self, split: str) -> tuple[Labels, Array]:
        batches = self.judged
        if split != "validation":
            rows = self.data.split(split)
            batches = Batches(*rows, EVALUATION_BATCH, seed=self.seed, name=split)
        self.pace.begin(split, self.progress.epoch, 0, batches.count, EVALUATION_BATCH)
        labels, logits = predict(self.model, batches, self.device, self.pace.at)
        if not np.isfinite(logits).all():
            raise TrainingDivergedError(f"logits are not finite after epoch {self.progress.epoch}")
        return labels, logits

    def weights_digest(self) -> str:
        """SHA-256 over the model's and the method's parameters and buffers."""
        return tensors_digest(self.model.state_dict(), self.method.state_dict())

    def state(self) -> dict[str, Any]:
        """All that a run needs to go on with the same bits (no generator: seeds are addresses)."""
        return {
            "progress": vars(self.progress),
            "sums": vars(self.sums),
            "model": self.model.state_dict(),
            "best": self.best,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.progress, self.sums = Progress(**state["progress"]), Sums(**state["sums"])
        self.model.load_state_dict(state["model"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = state["best"]

    def _between_steps(self) -> None:
        """Checkpoint if the last one is old enough, or if it is time to stop."""
        late = time.monotonic() - self._saved_at >= self.options.checkpoint_seconds
        if self.state_file is not None and (late or asked_to_stop()):
            self._count()
            checkpoint.save_next(self.state(), self.state_file)
            self._saved_at = time.monotonic()
        stop_if_asked()
