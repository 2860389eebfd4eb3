"""Train the seeds of a cell: reuse what is done, record what fails, lose nothing."""

from __future__ import annotations

import hashlib
import json
import resource
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoloss.controller import save_controller
from autoloss.data.prepared import PreparedData
from autoloss.errors import RecordError, UserError
from autoloss.faults import fault_in, machine_faults
from autoloss.learned import Parametric
from autoloss.lock import sole_holder
from autoloss.method import Method
from autoloss.metrics import DERIVED
from autoloss.records.controllers import check_controller, owns_controller
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
from autoloss.records.store import (
    read_limited,
    read_record,
    read_search,
    remove_temporaries,
    write_record,
)
from autoloss.registry import load
from autoloss.study import Cell, Study
from autoloss.training import checkpoint
from autoloss.training.checkpoint import tensors_digest
from autoloss.training.device import select_device
from autoloss.training.loop import Progress, Trainer, refit_state
from autoloss.training.pace import Beat, Listener


@dataclass(frozen=True)
class Runner:
    """Trains runs of a study; `report` is given a line now and then, `beat` how far a run is."""

    study: Study
    report: Callable[[str], None] = print
    beat: Callable[[str, Beat], None] = lambda name, beat: None

    def train_shard(self, cell: Cell, first: int, last: int) -> Path:
        """Runs of seeds `first` to `last`, then the file that lists them.

        Raises:
            MachineError: a disk, memory, a library or a driver failed, be it in a method's code.
        """
        with machine_faults(str(cell)):
            data = PreparedData.open(self.study.prepared_folder(cell.dataset))
            records = [self.train_seed(cell, seed, data) for seed in range(first, last + 1)]
            file = self.study.shard_file(cell, first, last)
            write_shard(cell, records, file)
            return file

    def train_seed(self, cell: Cell, seed: int, data: PreparedData) -> Record:
        """One run; a finished one with the same identity is taken as it is.

        One process at a time: an orphan of a killed workflow and its successor never write the same
        record, of this code or older; who comes second waits, and takes what the first one leaves
        where that is the run it wants.
        """
        run_id = self.study.run_id(cell, seed, data.data_hash)
        file, name = self.study.record_file(cell, seed), f"{cell} seed {seed}"
        lock = self.study.state_file(cell, f"seed_{seed}").with_suffix(".lock")
        with (
            machine_faults(name),
            sole_holder(lock, lambda line: self.report(f"{name}: {line}")) as held,
        ):
            self._remove_leftovers(cell, seed, run_id)
            if (done := _finished(file, run_id)) is not None:
                self.report(f"{name}: already done ({run_id})")
                return done

            def listen(beat: Beat) -> None:
                self.beat(name, beat)
                held.note(epoch=beat.epoch, said=beat.position)

            return self._train(cell, seed, run_id, data, listen)

    def _remove_leftovers(self, cell: Cell, seed: int, run_id: str) -> None:
        """What killed processes left half-written of this run; nobody writes it now."""
        state = self.study.state_file(cell, run_id)
        controller = self.study.controller_file(cell, seed)
        refit = refit_state(state)
        for file in (state, refit, controller, self.study.record_file(cell, seed)):
            remove_temporaries(file)

    def _train(
        self, cell: Cell, seed: int, run_id: str, data: PreparedData, listener: Listener
    ) -> Record:
        study, state = self.study.chosen(cell), self.study.state_file(cell, run_id)
        controller = self._taken(cell, seed)
        if source := self.study.controller_of(cell):
            taken = str(self.study.controller_file(source, seed))
            study = study.with_assignment(cell, {"method.controller": taken}, taken)
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
            self.report(f"{cell} seed {seed}: FAILED, {failure.kind}: {failure.message}")
        about = provenance(
            data_hash=data.data_hash,
            code=self.study.code(cell.method),
            device=select_device(study.config.training.device),
        )
        config = study.run_config(cell)
        record = self._record(cell, seed, run_id, config, phases, metrics, failure, about)
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
            status="failed" if failure else "ok",
            failure=failure,
            config=config,
            metrics=metrics,
            curves=[Curve.model_validate(curve) for curve in done.curves],
            weights=Weights(
                candidates=trainer.method.candidates.names if trainer else (),
                mean=done.mean_weights,
                selection=done.selection,
                choices=[Choice.model_validate(found) for found in done.choices],
            ),
            reliability=trainer.reliability if trainer and not failure else None,
            controller=None,
            budget=self._budget(cell, all_done),
            digest=_digest(metrics, trainer.weights_digest()) if trainer and not failure else None,
            provenance=about,
        )

    def _budget(self, cell: Cell, phases: Sequence[Progress]) -> Budget:
        """What a run cost, all its phases together, and what its cell's search did."""
        search = read_search(self.study.search_file(cell)) if self.study.searches(cell) else None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return Budget(
            epochs=sum(done.epoch for done in phases),
            best_epoch=phases[0].best_epoch,
            steps=sum(done.steps for done in phases),
            outer_steps=sum(done.outer_steps for done in phases),
            examples=sum(done.examples for done in phases),
            forward_examples=sum(done.forward_examples for done in phases),
            backward_examples=sum(done.backward_examples for done in phases),
            seconds=sum(done.seconds for done in phases),
            peak_memory_mb=round(peak, 1),
            **(search.cost if search else {}),
        )

    # Controllers: a per-example method's own, saved; a frozen method's, taken from another run

    def _saved(self, cell: Cell, seed: int, run_id: str, method: Method) -> Controller | None:
        """Write the controller of a method that has learned one."""
        if not isinstance(method, Parametric) or method.info.weights != "per example":
            return None
        sha256 = save_controller(method, self.study.controller_file(cell, seed))
        return Controller(run_id=run_id, cell=str(cell), seed=seed, sha256=sha256)

    def _taken(self, cell: Cell, seed: int) -> Controller | None:
        """What a frozen method takes, checked against the record of the run that it is from.

        Raises:
            RecordError: there is no such controller, or not as that run left it.
        """
        source = self.study.controller_of(cell)
        if source is None:
            return None
        record = self.study.record_file(source, seed)
        found = read_record(record)
        if not owns_controller(found):
            mend = f"delete {record} and run snakemake again: {source} is trained anew"
            raise RecordError(str(record), "this run left no controller", mend)
        check_controller(read_limited(self.study.controller_file(source, seed)), found)
        return found.controller


def _finished(file: Path, run_id: str) -> Record | None:
    """The record in `file` if it is a success of this very run; anything else is run again."""
    try:
        record = read_record(file)
    except UserError:
        return None
    if record.run_id != run_id or record.status != "ok":
        return None
    lost = owns_controller(record) and not file.with_suffix(".controller.pt").exists()
    return None if lost else record


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
