"""The one training loop of the study (paper Algorithm 1): the same for every method.

An epoch of inner steps, each preceded by the method's own outer step if one is due; validation;
early stopping with the best weights restored; then one look at the test split. Every random draw
is made by its address (autoloss.seeds), so a run can stop after any step and go on elsewhere.

The steps themselves are in `autoloss.training.steps`, a stack of runs in `autoloss.training.stack`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from autoloss.config import Config, overlay
from autoloss.data.load.batches import Batch, Batches
from autoloss.data.load.prepared import PreparedData
from autoloss.methods.contract import Method
from autoloss.methods.promises import require_means, require_promised
from autoloss.metrics import METRICS
from autoloss.models import build_model
from autoloss.records.schema import Choice, Reliability
from autoloss.seeds import derive_seed, seeded
from autoloss.training.checkpoint import tensors_digest
from autoloss.training.device import keep_freed_memory, make_deterministic, select_device
from autoloss.training.evaluate import Array, Calibrator, Labels, judge, judge_fully, predict
from autoloss.training.observe import choice, reliability
from autoloss.training.pace import Listener, Pace
from autoloss.training.steps import Loop, Progress, Sums, Taken

EVALUATION_BATCH = 1024  # a matter of speed only: evaluation has no batch statistics


class TrainingDivergedError(Exception):
    """The training loss, or what the model puts out, is no longer a finite number."""


def refit_state(state: Path) -> Path:
    """The checkpoint of a run's second phase, beside that of its first."""
    return state.with_suffix(".refit.pt")


class Trainer(Loop):
    """One run: a model, a method, a seed, on prepared data.

    Args:
        model_name: a key of `autoloss.models.MODELS`.
        method_class: the method; its options come from `config.methods`.
        state: checkpoint file, or None for none.
        report: called with a line after each epoch.
        listener: told once a second how far the epoch, or an evaluation, is.
        train_on: the splits it trains on. If validation is among them, it can no longer choose or
            calibrate: the last weights are kept, not the best, and judged on the test split alone.
        in_stack: its steps are made by a `Stack`, which hands model and method back.

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
        in_stack: bool = False,
    ) -> None:
        options = config.training
        make_deterministic(options)
        keep_freed_memory()
        self.options, self.data = options, data
        self.seed: int = seed
        self.task, self.device = data.task, select_device(options.device)
        self.config, self.model_name = config, model_name
        self.what = f"{model_name} under {method_class.info.name}"
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
        self.method = method_class(
            self.task,
            config.losses,
            config.methods.get(method_class.info.name, {}),
            steps_per_epoch=self.train.count,
            seed=seed,
            fields={field.name: field.size for field in data.manifest.fields},
        ).to(self.device)
        self._progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.reliability: Reliability | None = None
        self.predictions: Array | None = None
        self.calibration: Array | None = None
        if not in_stack:
            self._begin()

    def run(self) -> dict[str, dict[str, float]]:
        """Train to the end and return `evaluate()` of the best weights on validation.

        Raises:
            TrainingDivergedError: the loss or logits became infinite or NaN.
            StoppedError: a signal asked for it; the checkpoint is written.
        """
        self.train_to_the_end()
        return self.judge_best()

    def judge_best(self) -> dict[str, dict[str, float]]:
        """`evaluate()` of the best weights, which the model has from now on."""
        self.model.load_state_dict(self.best)
        return self.evaluate()

    def refit(self, *, in_stack: bool = False) -> Trainer:
        """A run from the same start on training and validation data, for the epochs that were best.

        What early stopping would choose cannot be seen any more; that is the price of the data.
        """
        epochs = max(1, self.progress.best_epoch)  # 0: of a stack's run that failed or idles
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
            in_stack=in_stack,
        )

    def anew(self, *, in_stack: bool = False) -> Trainer:
        """The same run as it was before its first step, without checkpoint."""
        own = self.config, self.data, self.model_name, type(self.method), self.seed
        return Trainer(*own, in_stack=in_stack)

    @property
    def progress(self) -> Progress:
        """What it has done so far."""
        return self._progress

    @property
    def live(self) -> Sequence[Trainer]:
        """Itself."""
        return (self,)

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

    def batch(self, split: str, k: int) -> Batch:
        """The k-th of an endless run of batches, on the device."""
        batches: Batches = getattr(self, split)
        return batches.batch(k).to(self.device)

    def taken(self, t: int) -> Taken:
        """By a step that is looked at.

        Raises:
            MethodError: the weights are not what the method's Info says.
        """
        step = self.step(t)
        taken = self.take(step)
        require_promised(self.method, taken[1], step.batch, step.logits, t)
        return taken

    def close_epoch(self, sums: Sums) -> None:
        """Record an epoch, and look at validation.

        Raises:
            TrainingDivergedError: the loss, or what the model puts out, is not finite.
            MethodError: the weights are not what the method's Info says.
        """
        train_loss = self.count_epoch(sums)
        predicted = self._predict("validation")
        chosen = choice(self.method, *predicted, self.progress.steps, self.judged.ids)
        metrics = {"train_loss": train_loss, **judge(self.task, *predicted)}
        self.judge_epoch(metrics, chosen, lambda: copy.deepcopy(self.model.state_dict()))

    def count_epoch(self, sums: Sums) -> float:
        """Keep what the steps of an epoch came to; returns their mean loss.

        Raises:
            TrainingDivergedError: the loss is not finite.
            MethodError: the weights are not what the method's Info says.
        """
        done = self.progress
        train_loss = float(sums.loss) / self.train.count
        require_means(self.method, sums.weights, self.train.count)
        if not math.isfinite(train_loss):
            raise TrainingDivergedError(f"training loss is {train_loss} in epoch {done.epoch + 1}")
        done.epoch += 1
        done.examples += self.train.examples
        done.mean_weights.append((sums.weights / self.train.count).tolist())
        done.selection.append((sums.selected / self.train.count).tolist())
        return train_loss

    def judge_epoch(
        self,
        curve: Mapping[str, float],
        chosen: Choice | None,
        weights: Callable[[], dict[str, Tensor]],
    ) -> None:
        """Keep an epoch's training loss and metrics on validation, choices, the best's weights."""
        done, monitor = self.progress, METRICS[self.options.monitor]
        done.choices += [chosen.model_dump()] if chosen else []
        done.curves.append({"epoch": done.epoch, **curve})
        value = curve[monitor.name] if monitor.higher_is_better else -curve[monitor.name]
        if value > done.best_value or not self.keeps_best:
            done.best_value, done.best_epoch = value, done.epoch
            self.best = weights()
        seen = "" if self.keeps_best else " (trained on)"
        self.report(
            f"epoch {done.epoch}: train loss {curve['train_loss']:.4f}, validation{seen} "
            + ", ".join(f"{METRICS[k].label} {v:.4f}" for k, v in curve.items() if k in METRICS)
        )

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
        self.require_finite(np.isfinite(logits).all())
        return labels, logits

    def require_finite(self, finite: bool | np.bool_) -> None:
        """Raises TrainingDivergedError if what the model puts out is not."""
        if not finite:
            raise TrainingDivergedError(f"logits are not finite after epoch {self.progress.epoch}")

    def weights_digest(self) -> str:
        """SHA-256 over the model's and the method's parameters and buffers."""
        return tensors_digest(self.model.state_dict(), self.method.state_dict())

    def state(self) -> dict[str, Any]:
        """All that a run needs to go on with the same bits."""
        return {
            "progress": vars(self.progress),
            "best": self.best,
            "sums": vars(self.sums),
            "model": self.model.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.resume(state["progress"], state["best"])
        self.sums = Sums(**state["sums"])
        self.model.load_state_dict(state["model"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])

    def resume(self, progress: dict[str, Any], best: dict[str, Tensor]) -> None:
        """What is a run's own, in a stack too."""
        self._progress, self.best = Progress(**progress), best
