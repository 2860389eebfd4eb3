"""Where a search tries things: one training per assignment, on validation, within a budget.

The same for grid, BOHB and tuning: a trial is a run of the study's own training loop with some
options changed, stopped early in the same way; its value is the best monitored validation value so
far, signed so that higher is better. All are on one split of the data, which is no run's; its test
rows are never looked at. Each trial is written down
as it goes, so that a search that was killed finds its trials again and goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoloss.data.load.prepared import PreparedData
from autoloss.errors import ConfigError
from autoloss.methods.fixed import Assignment, BudgetSpentError
from autoloss.methods.load import load
from autoloss.metrics import METRICS
from autoloss.records.chosen import controller_run, seed_of_search
from autoloss.records.controllers import taken_controller
from autoloss.records.schema import Search, Trial
from autoloss.records.store import read_search, write_record
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training import checkpoint
from autoloss.training.loop import Trainer, TrainingDivergedError
from autoloss.training.pace import Listener


@dataclass
class CellLab:
    """The trials of one cell's search: the `Lab` that its method is handed.

    A frozen method's trials all take the controller of one run of its source.

    Args:
        journal: file that holds the trials so far; checkpoints of unfinished ones lie beside it.
    """

    study: Study
    cell: Cell
    data: PreparedData
    journal: Path
    report: Callable[[str], None] = lambda line: None
    listener: Listener | None = None
    tried: list[Trial] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        config = self.study.config
        self.candidates, self.monitor = config.losses.candidates, config.training.monitor
        self.max_epochs = config.training.max_epochs
        self.trials, self.seed = config.tuning.trials, config.tuning.seed
        self.space = self.study.search_space(self.cell.method)
        self.published = self.study.published(self.cell.method)
        if self.journal.exists():
            self.tried = list(read_search(self.journal).trials)

    def record(self, chosen: Assignment | None = None) -> Search:
        """The search so far, or in the end with what was chosen."""
        return Search(
            cell=str(self.cell),
            key=identity.search_key(self.study, self.cell),
            data_hash=self.data.data_hash,
            controller=controller_run(self.study, self.cell),
            monitor=self.monitor,
            budget=self.study.search_budget(self.cell),
            trials=self.tried,
            chosen=dict(chosen or {}),
        )

    @property
    def epochs_left(self) -> int:
        """Epochs of the budget that are not spent yet."""
        spent = sum(trial.epochs for trial in self.tried)
        return self.study.search_budget(self.cell) - spent

    def train(self, assignment: Assignment, epochs: int | None = None) -> float:
        """The value of `assignment` after `epochs` epochs (all, if left out); -inf if it diverged.

        A trial that had fewer epochs before goes on from there; one that had them costs nothing.

        Raises:
            BudgetSpentError: it may need more epochs than are left. Nothing was trained.
        """
        target = self.max_epochs if epochs is None else min(epochs, self.max_epochs)
        wanted = json.loads(json.dumps(assignment))  # as it is read back from the journal
        known = [k for k, trial in enumerate(self.tried) if trial.assignment == wanted]
        number = known[0] if known else len(self.tried)
        trial = self.tried[number] if known else Trial(assignment=wanted, values=[])
        if not trial.over and len(trial.values) < target:
            if target - len(trial.values) > self.epochs_left:
                raise BudgetSpentError
            trial = self._train(wanted, number, target)
            self.tried[number : number + 1] = [trial]
            write_record(self.record(), self.journal)
        return self.value(trial)

    def value(self, trial: Trial) -> float:
        """A trial's best validation value so far, higher is better; -inf if it diverged."""
        if trial.diverged or not trial.values:
            return -math.inf
        higher = METRICS[self.monitor].higher_is_better
        return max(trial.values) if higher else -min(trial.values)

    def choose(self) -> Assignment:
        """The assignment of the best trial that is over (of the best one, if none is).

        Raises:
            ConfigError: every trial diverged.
        """
        trials = [trial for trial in self.tried if trial.over] or self.tried
        best = max(trials, key=self.value)  # the first of equals
        if self.value(best) == -math.inf:
            where = f"the search of {self.cell}"
            raise ConfigError(where, "every trial diverged", "lower the learning rates")
        return best.assignment

    def _train(self, assignment: Assignment, number: int, target: int) -> Trial:
        state = self.journal.with_suffix(f".{number}.pt")
        plan = self.study.with_assignment(self.cell.method, assignment, f"trial {number}")
        if taken := taken_controller(self.study, self.cell, seed_of_search(self.study, self.cell)):
            file = str(taken[0])
            plan = plan.with_assignment(self.cell.method, {"method.controller": file}, file)
        method = load(self.study.base(self.cell.method))
        trainer = Trainer(
            plan.config,
            self.data,
            self.cell.model,
            method,
            self.seed,
            state=state,
            listener=self.listener,
        )
        diverged = False
        try:
            while trainer.progress.epoch < target and not trainer.finished:
                trainer.run_epoch()
        except TrainingDivergedError:
            diverged = True
        done = trainer.progress
        trial = Trial(
            assignment=dict(assignment),
            values=[curve[self.monitor] for curve in done.curves],
            over=diverged or trainer.finished,
            diverged=diverged,
            forward_examples=done.forward_examples,
            backward_examples=done.backward_examples,
            seconds=done.seconds,
        )
        if trial.over:
            state.unlink(missing_ok=True)
        else:
            checkpoint.save(trainer.state(), state)
        shown = ", ".join(f"{key} {_short(value)}" for key, value in assignment.items())
        self.report(
            f"{self.cell} trial {number} ({shown}): "
            f"{self.monitor} {self.value(trial):.4f} after {len(trial.values)} epochs"
        )
        return trial


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "/".join(map(_short, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
