"""Train the seeds of a cell: reuse what is done, record what fails, lose nothing."""

from __future__ import annotations

import json
import resource
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from autoloss.data.load.prepared import PreparedData
from autoloss.errors import MethodError, UserError
from autoloss.faults import fault_in, machine_faults
from autoloss.lock import Holder, sole_holder
from autoloss.methods.contract import Method
from autoloss.methods.frozen import save_controller
from autoloss.methods.learned import Parametric
from autoloss.methods.load import load
from autoloss.metrics import DERIVED
from autoloss.records.check import UnsoundError, check_kept
from autoloss.records.chosen import run_id_of, with_chosen
from autoloss.records.controllers import taken_controller
from autoloss.records.failures import place_of
from autoloss.records.predictions import write_predictions
from autoloss.records.provenance import provenance
from autoloss.records.schema import (
    Budget,
    Choice,
    Controller,
    Curve,
    Failure,
    Record,
    Weights,
)
from autoloss.records.shards import write_shard
from autoloss.records.store import read_record, read_search, remove_temporaries, write_record
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training import checkpoint
from autoloss.training.checkpoint import tensors_digest
from autoloss.training.device import select_device
from autoloss.training.loop import Trainer, TrainingDivergedError, refit_state
from autoloss.training.pace import Beat, Listener
from autoloss.training.stack import Stack
from autoloss.training.steps import Progress

# What a run's phases did together.
SUMMED = ("steps", "outer_steps", "examples", "forward_examples", "backward_examples", "seconds")


@dataclass
class Attempt:
    """A run, and what has come of it.

    `controller` is the one that it takes, else the one that it has learned, if any.
    """

    cell: Cell
    seed: int
    run_id: str
    data: PreparedData
    study: Study | None = None  # with all laid over it that the run takes from others
    phases: list[Trainer] = field(default_factory=list)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    failure: Failure | None = None
    controller: Controller | None = None

    @property
    def name(self) -> str:
        """As lines have it."""
        return f"{self.cell} seed {self.seed}"


@dataclass(frozen=True)
class Runner:
    """Trains runs of a study; `report` is given a line now and then, `beat` how far a run is."""

    study: Study
    report: Callable[[str], None] = print
    beat: Callable[[str, Beat], None] = lambda name, beat: None

    def train_shard(
        self, cell: Cell, first: int, last: int, data: Mapping[int, PreparedData] | None = None
    ) -> Path:
        """Runs of seeds `first` to `last`, then the file that lists them.

        Args:
            data: the splits of these seeds by number, if they are open already.

        Raises:
            MachineError: a disk, memory, a library or a driver failed, be it in a method's code.
        """
        with machine_faults(str(cell)):
            seeds = range(first, last + 1)
            data = data or {
                split: PreparedData.open(self.study.prepared_folder(cell.dataset, split))
                for split in dict.fromkeys(map(self.study.split_of, seeds))
            }
            stacks = groupby(seeds, lambda seed: self.study.place(seed)[0])
            records = [r for _, stack in stacks for r in self.train_seeds(cell, [*stack], data)]
            file = self.study.shard_file(cell, first, last)
            write_shard(cell, records, file)
            return file

    def train_seed(self, cell: Cell, seed: int, data: PreparedData) -> Record:
        """One run, on its split."""
        return self.train_seeds(cell, [seed], {self.study.split_of(seed): data})[0]

    def train_seeds(
        self, cell: Cell, seeds: Sequence[int], data: Mapping[int, PreparedData]
    ) -> list[Record]:
        """Runs of a stack's seeds at once, on `data` by split, or one run, where these are one.

        A finished one with the same identity is taken as it is. A run's bits depend on how many
        there are in its stack and on its place, not on the others: the places of finished runs, and
        those for which there is no seed, idle.

        One process at a time: an orphan of a killed workflow and its successor never write the same
        record, of this code or older; who comes second waits, and takes what the first one leaves
        where that is the run it wants.
        """
        runs = [self._attempt(cell, seed, data[self.study.split_of(seed)]) for seed in seeds]
        name = runs[0].name if len(runs) == 1 else f"{cell} seeds {seeds[0]}-{seeds[-1]}"
        with machine_faults(name), ExitStack() as locks:
            holders = [locks.enter_context(self._held(run)) for run in runs]
            done = [self._done(run) for run in runs]
            if all(done):
                return [record for record in done if record]

            def listen(beat: Beat) -> None:
                self.beat(name, beat)
                for held in holders:
                    held.note(epoch=beat.epoch, said=beat.position)

            def say(line: str) -> None:
                for run, held in zip(runs, holders, strict=True):
                    if line.startswith(f"{run.name}: "):
                        held.about["last"] = line.removeprefix(f"{run.name}: ")
                self.report(line)

            saying = replace(self, report=say)
            if self.study.stack == 1:
                return [saying._train(runs[0], listen)]
            states = saying._train_together(name, runs, done, listen)
            records = [record or self._written(run) for run, record in zip(runs, done, strict=True)]
            for state in states:
                checkpoint.remove(state)
            return records

    def _attempt(self, cell: Cell, seed: int, data: PreparedData) -> Attempt:
        return Attempt(cell, seed, run_id_of(self.study, cell, seed, data.data_hash), data)

    def _held(self, run: Attempt) -> AbstractContextManager[Holder]:
        """The run's lock."""
        lock = self.study.state_file(run.cell, f"seed_{run.seed}").with_suffix(".lock")
        return sole_holder(lock, lambda line: self.report(f"{run.name}: {line}"), resumes=True)

    def _done(self, run: Attempt) -> Record | None:
        """Its record, if it is finished; what killed processes left half-written is removed."""
        self._remove_leftovers(run.cell, run.seed, run.run_id)
        done = self._finished(run.cell, run.seed, run.run_id)
        if done is not None:
            self.report(f"{run.name}: already done ({run.run_id})")
        return done

    def _finished(self, cell: Cell, seed: int, run_id: str) -> Record | None:
        """The record that is here if it is a success of this very run, and so is what it kept."""
        try:
            record = read_record(self.study.record_file(cell, seed))
            if record.run_id != run_id or record.status != "ok":
                return None
            check_kept(self.study, cell, seed, record)
        except UnsoundError as error:
            self.report(f"{cell} seed {seed}: trained again: {error.problem}")
            return None
        except UserError:
            return None
        return record

    def _remove_leftovers(self, cell: Cell, seed: int, run_id: str) -> None:
        """What killed processes left half-written of this run; nobody writes it now."""
        state = self.study.state_file(cell, run_id)
        controller = self.study.controller_file(cell, seed)
        refit = refit_state(state)
        predictions = self.study.predictions_file(cell, seed)
        for file in (state, refit, controller, predictions, self.study.record_file(cell, seed)):
            remove_temporaries(file)

    def _train(self, run: Attempt, listener: Listener) -> Record:
        state = self.study.state_file(run.cell, run.run_id)
        self._take(run)
        with self._recording(run):
            run.phases.append(self._trainer(run, state=state, listener=listener))
            run.metrics = run.phases[0].run()
            if self._refits(run):
                run.phases.append(run.phases[0].refit())
                run.metrics = run.phases[1].run()
            self._keep_controller(run)
        record = self._written(run)
        for file in (state, refit_state(state)):
            checkpoint.remove(file)
        return record

    def _train_together(
        self,
        name: str,
        runs: Sequence[Attempt],
        done: Sequence[Record | None],
        listener: Listener,
    ) -> tuple[Path, Path]:
        """Phases, metrics and failures of the runs that are not done; where checkpoints are left.

        Each is of all these runs, done or not: who is killed while records are written goes on.
        """
        together = "/".join(run.run_id for run in runs)
        state = self.study.state_file(runs[0].cell, sha256(together.encode()).hexdigest()[:16])
        states = state, refit_state(state)
        for run in runs:
            self._take(run)
        at = {self.study.place(run.seed)[1]: run for run in runs}
        places = [at.get(s, runs[0]) for s in range(self.study.stack)]
        left = [run for run, record in zip(runs, done, strict=True) if record is None]
        stack = None
        with self._recording(*left):
            stack = Stack(
                [self._trainer(run, in_stack=True) for run in places],
                state=state,
                idle={*range(len(places))} - {self.study.place(run.seed)[1] for run in left},
                report=lambda line: self.report(f"{name}: {line}"),
                listener=listener,
            )
        while stack is not None:
            try:
                stack.train_to_the_end()
            except Exception as error:  # of all its runs: each records it
                stack.fail(error)
            for run in left:
                if run.failure:
                    continue
                s = self.study.place(run.seed)[1]
                with self._recording(run):
                    run.phases.append(stack.runs[s])
                    if s in stack.failures:
                        raise stack.failures[s]
                    run.metrics = stack.runs[s].judge_best()
            going_on = [run for run in left if not run.failure]
            first, stack = stack, None
            if going_on and first.state_file == state and self._refits(runs[0]):
                with self._recording(*going_on):
                    stack = first.refit(states[1])
        for run in left:
            with self._recording(run):
                self._keep_controller(run)
        return states

    @contextmanager
    def _recording(self, *runs: Attempt) -> Iterator[None]:
        """What goes wrong within is the result of these runs."""
        try:
            yield
        except UserError:
            raise  # wrong input is wrong for every seed: say so and stop
        except Exception as error:  # a run that fails is a result
            if fault_in(error) is not None:
                raise
            trace = traceback.format_exc()
            failure = Failure(kind=type(error).__name__, message=str(error), traceback=trace)
            if self.study.config.study.fail_fast and not isinstance(error, TrainingDivergedError):
                mend = "mend the code, or set study.fail_fast: false to record it and go on"
                problem = f"{failure.kind} in {runs[0].name}: {failure.message}"
                raise MethodError(place_of(trace) or str(runs[0].cell), problem, mend) from error
            for run in runs:
                run.failure = failure
                self.report(f"{run.name}: FAILED, {failure.kind}: {failure.message}")

    def _take(self, run: Attempt) -> None:
        """What its search chose, and the controller that it is of."""
        run.study = with_chosen(self.study, run.cell)
        if taken := taken_controller(self.study, run.cell, run.seed):
            file, run.controller = str(taken[0]), taken[1]
            over = {"method.controller": file}
            run.study = run.study.with_assignment(run.cell.method, over, file)

    def _trainer(self, run: Attempt, **how: Any) -> Trainer:
        assert run.study is not None
        return Trainer(
            run.study.config,
            run.data,
            run.cell.model,
            load(run.study.base(run.cell.method)),
            run.seed,
            report=lambda line: self.report(f"{run.name}: {line}"),
            **how,
        )

    def _refits(self, run: Attempt) -> bool:
        return self.study.entry(run.cell.method).info.refits

    def _keep_controller(self, run: Attempt) -> None:
        """Write what a run has learned; what it took is as it was."""
        if run.failure:
            return
        method = run.phases[-1].method
        if run.controller:
            _check_still(method, run.controller)
        elif isinstance(method, Parametric) and method.info.weights == "per example":
            digest = save_controller(method, self.study.controller_file(run.cell, run.seed))
            run.controller = Controller(
                run_id=run.run_id, cell=str(run.cell), seed=run.seed, sha256=digest
            )

    def _written(self, run: Attempt) -> Record:
        """Write a run's record, and its test predictions."""
        cell, failure, metrics = run.cell, run.failure, run.metrics
        trainer = run.phases[-1] if run.phases else None  # None: not even that could be built
        all_done = [phase.progress for phase in run.phases] or [Progress()]
        done, ended = all_done[-1], None if failure else trainer
        limited = bool(run.phases) and run.phases[0].stopped_by_limit
        record = Record(
            run_id=run.run_id,
            scale=self.study.config.scale,
            dataset=cell.dataset,
            model=cell.model,
            method=cell.method,
            seed=run.seed,
            split=run.data.manifest.split,
            rows=run.data.manifest.splits,
            status="failed" if failure else "ok",
            failure=failure,
            config=identity.run_config(run.study or self.study, cell),
            metrics=metrics,
            curves=[Curve.model_validate(curve) for curve in done.curves],
            weights=Weights(
                candidates=trainer.method.candidates.names if trainer else (),
                mean=done.mean_weights,
                selection=done.selection,
                choices=[Choice.model_validate(choice) for choice in done.choices],
            ),
            reliability=ended.reliability if ended else None,
            controller=run.controller,
            predictions=self._kept(cell, run.seed, ended),
            budget=self._budget(cell, all_done, limited),
            digest=_digest(metrics, ended.weights_digest()) if ended else None,
            provenance=provenance(
                data_hash=run.data.data_hash,
                code=identity.code(self.study, cell),
                device=select_device(self.study.config.training.device),
            ),
        )
        write_record(record, self.study.record_file(cell, run.seed))
        return record

    def _kept(self, cell: Cell, seed: int, trainer: Trainer | None) -> str | None:
        """Write a run's test predictions; of one that failed (None) there are none."""
        file = self.study.predictions_file(cell, seed)
        if trainer is None or trainer.predictions is None:
            file.unlink(missing_ok=True)
            return None
        return write_predictions(trainer.predictions, trainer.calibration, file)

    def _budget(self, cell: Cell, phases: Sequence[Progress], stopped_by_limit: bool) -> Budget:
        """What a run cost, all its phases together, and what its cell's search did."""
        search = read_search(self.study.search_file(cell)) if self.study.searches(cell) else None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sums: dict[str, Any] = {
            name: sum(getattr(done, name) for done in phases) for name in ("epoch", *SUMMED)
        }
        return Budget(
            epochs=sums.pop("epoch"),
            best_epoch=phases[0].best_epoch,
            peak_memory_mb=round(peak, 1),
            stopped_by_limit=stopped_by_limit,
            **sums,
            **(search.cost if search else {}),
        )


def _check_still(method: Method, taken: Controller) -> None:
    """A frozen controller has not moved by one bit."""
    assert isinstance(method, Parametric)
    if tensors_digest(method.weighting.state_dict()) != taken.sha256:
        raise RuntimeError(f"the controller of {taken.cell}, seed {taken.seed}, moved in training")


def _digest(metrics: dict[str, dict[str, float]], weights: str) -> str:
    """SHA-256 over a run's final weights and its predictions' metrics, to the last bit.

    What a fit derives from predictions is left out: its bits depend on the processor's model.
    """
    raw = {
        split: {name: value for name, value in judged.items() if name not in DERIVED}
        for split, judged in metrics.items()
    }
    return sha256((json.dumps(raw, sort_keys=True) + weights).encode()).hexdigest()
