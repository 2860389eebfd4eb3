"""Train the seeds of a cell: reuse what is done, record what fails, lose nothing."""

from __future__ import annotations

import hashlib
import json
import resource
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoloss.data.load.prepared import PreparedData
from autoloss.errors import MethodError, UserError
from autoloss.faults import fault_in, machine_faults
from autoloss.lock import sole_holder
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
    Provenance,
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
from autoloss.training.loop import Progress, Trainer, TrainingDivergedError, refit_state
from autoloss.training.pace import Beat, Listener

# What a run's phases did together.
SUMMED = ("steps", "outer_steps", "examples", "forward_examples", "backward_examples", "seconds")


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
            records = [self.train_seed(cell, s, data[self.study.split_of(s)]) for s in seeds]
            file = self.study.shard_file(cell, first, last)
            write_shard(cell, records, file)
            return file

    def train_seed(self, cell: Cell, seed: int, data: PreparedData) -> Record:
        """One run, on its split; a finished one with the same identity is taken as it is.

        One process at a time: an orphan of a killed workflow and its successor never write the same
        record, of this code or older; who comes second waits, and takes what the first one leaves
        where that is the run it wants.
        """
        run_id = run_id_of(self.study, cell, seed, data.data_hash)
        name = f"{cell} seed {seed}"
        lock = self.study.state_file(cell, f"seed_{seed}").with_suffix(".lock")
        with (
            machine_faults(name),
            sole_holder(lock, lambda line: self.report(f"{name}: {line}"), resumes=True) as held,
        ):
            self._remove_leftovers(cell, seed, run_id)
            if (done := self._finished(cell, seed, run_id)) is not None:
                self.report(f"{name}: already done ({run_id})")
                return done

            def listen(beat: Beat) -> None:
                self.beat(name, beat)
                held.note(epoch=beat.epoch, said=beat.position)

            def say(line: str) -> None:
                held.about["last"] = line.removeprefix(f"{name}: ")
                self.report(line)

            return replace(self, report=say)._train(cell, seed, run_id, data, listen)

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

    def _train(
        self, cell: Cell, seed: int, run_id: str, data: PreparedData, listener: Listener
    ) -> Record:
        study, state = with_chosen(self.study, cell), self.study.state_file(cell, run_id)
        taken = taken_controller(self.study, cell, seed)
        if taken:
            file = str(taken[0])
            study = study.with_assignment(cell.method, {"method.controller": file}, file)
        controller = taken[1] if taken else None
        phases: list[Trainer] = []
        metrics: dict[str, dict[str, float]] = {}
        failure = None
        try:
            phases.append(
                Trainer(
                    study.config,
                    data,
                    cell.model,
                    load(study.base(cell.method)),
                    seed,
                    state=state,
                    report=lambda line: self.report(f"{cell} seed {seed}: {line}"),
                    listener=listener,
                )
            )
            metrics = phases[0].run()
            if self.study.entry(cell.method).info.refits:
                phases.append(phases[0].refit())
                metrics = phases[1].run()
            if controller:
                _check_still(phases[-1].method, controller)
            else:
                controller = self._saved(cell, seed, run_id, phases[-1].method)
        except UserError:
            raise  # wrong input is wrong for every seed: say so and stop
        except Exception as error:  # a run that fails is a result
            if fault_in(error) is not None:
                raise
            trace = traceback.format_exc()
            failure = Failure(kind=type(error).__name__, message=str(error), traceback=trace)
            if self.study.config.study.fail_fast and not isinstance(error, TrainingDivergedError):
                mend = "mend the code, or set study.fail_fast: false to record it and go on"
                problem = f"{failure.kind} in {cell} seed {seed}: {failure.message}"
                raise MethodError(place_of(trace) or str(cell), problem, mend) from error
            self.report(f"{cell} seed {seed}: FAILED, {failure.kind}: {failure.message}")
        about = provenance(
            data_hash=data.data_hash,
            code=identity.code(self.study, cell),
            device=select_device(study.config.training.device),
        )
        config = identity.run_config(study, cell)
        record = self._record(cell, seed, run_id, data, config, phases, metrics, failure, about)
        record = record.model_copy(update={"controller": controller})
        write_record(record, self.study.record_file(cell, seed))
        for phase in phases:
            assert phase.state_file is not None
            checkpoint.remove(phase.state_file)
        return record

    def _record(
        self,
        cell: Cell,
        seed: int,
        run_id: str,
        data: PreparedData,
        config: dict[str, Any],
        phases: Sequence[Trainer],
        metrics: dict[str, dict[str, float]],
        failure: Failure | None,
        about: Provenance,
    ) -> Record:
        trainer = phases[-1] if phases else None  # None: not even that could be built
        all_done = [phase.progress for phase in phases] or [Progress()]
        done = all_done[-1]
        return Record(
            run_id=run_id,
            scale=self.study.config.scale,
            dataset=cell.dataset,
            model=cell.model,
            method=cell.method,
            seed=seed,
            split=data.manifest.split,
            rows=data.manifest.splits,
            status="failed" if failure else "ok",
            failure=failure,
            config=config,
            metrics=metrics,
            curves=[Curve.model_validate(curve) for curve in done.curves],
            weights=Weights(
                candidates=trainer.method.candidates.names if trainer else (),
                mean=done.mean_weights,
                selection=done.selection,
                choices=[Choice.model_validate(choice) for choice in done.choices],
            ),
            reliability=trainer.reliability if trainer and not failure else None,
            controller=None,
            predictions=self._kept(cell, seed, None if failure else trainer),
            budget=self._budget(cell, all_done, bool(phases) and phases[0].stopped_by_limit),
            digest=_digest(metrics, trainer.weights_digest()) if trainer and not failure else None,
            provenance=about,
        )

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

    def _saved(self, cell: Cell, seed: int, run_id: str, method: Method) -> Controller | None:
        """Write the controller of a method that has learned one."""
        if not isinstance(method, Parametric) or method.info.weights != "per example":
            return None
        sha256 = save_controller(method, self.study.controller_file(cell, seed))
        return Controller(run_id=run_id, cell=str(cell), seed=seed, sha256=sha256)


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
    return hashlib.sha256((json.dumps(raw, sort_keys=True) + weights).encode()).hexdigest()
