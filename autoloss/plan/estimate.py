"""The plan of a study: its jobs, scheduled, in a low, a guessed and a high case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoloss.plan.costs import Devices, Measured
from autoloss.plan.jobs import ANALYSIS, Seconds, cells_of, jobs_of
from autoloss.plan.schedule import Job, critical_path, schedule
from autoloss.plan.sizes import DataSize, SourceSize, source_size
from autoloss.plan.training import CASES, Resources, Training
from autoloss.strict import Strict
from autoloss.study import Study

STAGES = ("fetch", "prepare", "search", "train", "analyse")
DAG_SECONDS = 0.0014  # of Snakemake's start, a job


class Range(Strict):
    """Low, guess and high."""

    low: float
    guess: float
    high: float


class Stage(Strict):
    """Jobs of a stage: how many, what they take together, the longest, and memory of one."""

    stage: str
    jobs: int
    hours: Range
    longest_job_hours: Range
    memory_gb: float


class Group(Strict):
    """A table or figure: its cells and runs (one cell can be in several groups)."""

    group: str
    cells: int
    runs: int


class Disk(Strict):
    """Bytes: raw files, prepared arrays, records, and checkpoints while jobs run."""

    archives: int
    raw: int
    prepared: int
    preparing: int
    results: int
    checkpoints: int

    @property
    def total(self) -> int:
        """All of it, at its peak."""
        kept = self.archives + self.raw + self.prepared + self.results
        return kept + max(self.preparing, self.checkpoints)


class Plan(Strict):
    """What a study will cost. Hours are of the cores or GPU places that jobs hold."""

    study: str
    device: str
    measured: bool
    cores: int
    gpus: int
    jobs_per_gpu: int
    jobs: int
    stages: tuple[Stage, ...]
    groups: tuple[Group, ...]
    data: tuple[DataSize, ...]
    sources: tuple[SourceSize, ...]
    runs: int
    searches: int
    epochs: dict[str, Range]
    search_epochs: Range
    examples: Range
    core_hours: Range
    gpu_hours: Range
    wall_hours: Range
    critical_path_hours: Range
    memory_gb: float
    disk: Disk
    download_bytes: int
    assumptions: tuple[str, ...]
    borrowed: dict[str, str]


@dataclass(frozen=True)
class _Case:
    """One of the three cases, scheduled."""

    training: Training
    jobs: Sequence[Job]
    makespan: float


def make_plan(
    study: Study,
    devices: Devices,
    measured: Measured,
    resources: Resources,
    *,
    epochs: tuple[int, int, int] | None = None,
) -> Plan:
    """The plan of `snakemake all` from nothing.

    Args:
        epochs: of every run, low, guess and high, in place of those of configs/devices.yaml.
    """
    cases = [
        _case(Training(study, devices, measured, resources, case, epochs[case] if epochs else None))
        for case in range(len(CASES))
    ]
    guess = cases[1].training
    cells, seeds = cells_of(study), study.config.study.seeds
    searched = [cell for cell in cells if study.searches(cell)]
    sources = [source_size(study, name) for name in _sources(study)]
    return Plan(
        study=study.name,
        device=resources.device.title,
        measured=resources.device.measured,
        cores=resources.cores,
        gpus=resources.gpus,
        jobs_per_gpu=resources.jobs_per_gpu,
        jobs=len(cases[1].jobs),
        stages=_stages(study, cases),
        groups=tuple(
            Group(group=group, cells=len(found), runs=len(found) * seeds)
            for group in study.reported_groups()
            if (found := study.cells(group))
        ),
        data=tuple(guess.sizes.values()),
        sources=tuple(sources),
        runs=len(cells) * seeds,
        searches=len(searched),
        epochs={
            name: _range(
                [
                    max(c.training.run_epochs(cell) for cell in cells if cell.dataset == name)
                    for c in cases
                ]
            )
            for name in dict.fromkeys(cell.dataset for cell in cells)
        },
        search_epochs=_range(
            [sum(c.training.search_epochs(cell) for cell in searched) for c in cases]
        ),
        examples=_range([_examples(c.training) for c in cases]),
        core_hours=_range([sum(j.seconds * j.cores for j in c.jobs) / 3600 for c in cases]),
        gpu_hours=_range(
            [
                sum(j.seconds * j.places for j in c.jobs) / 3600 / resources.jobs_per_gpu
                for c in cases
            ]
        ),
        wall_hours=_range([c.makespan / 3600 for c in cases]),
        critical_path_hours=_range([critical_path(c.jobs) / 3600 for c in cases]),
        memory_gb=_memory_together(study, guess),
        disk=_disk(study, guess, sources),
        download_bytes=sum(source.download_bytes or 0 for source in sources),
        assumptions=_assumptions(study, guess, measured, given=epochs is not None),
        borrowed=_borrowed(guess),
    )


def _case(training: Training) -> _Case:
    fixed, use = training.devices.fixed, training.resources
    speed = training.devices.download_mb_per_s * 1e6

    def analyse(stage: str, runs: int) -> float:
        seconds = {"index": fixed.index, "figure": fixed.figure, "report": fixed.report}
        reads = fixed.index_per_run * runs if stage == "index" else 0.0
        return seconds.get(stage, fixed.analyse) + reads + fixed.per_job

    seconds = Seconds(
        fetch=lambda name: (
            fixed.prepare_start + (source_size(training.study, name).download_bytes or 0) / speed
        ),
        prepare=lambda name: (
            fixed.prepare_start + training.sizes[name].values * fixed.prepare_per_value
        ),
        search=lambda cell: training.search_seconds(cell) + fixed.per_job,
        train=lambda cell, runs: training.job_seconds(cell, runs) + fixed.per_job,
        analyse=analyse,
    )
    jobs = jobs_of(training.study, seconds, places=1 if use.gpus else 0)
    start = fixed.workflow_start + DAG_SECONDS * len(jobs)
    return _Case(training, jobs, start + schedule(jobs, use.cores, use.places).makespan)


def _stages(study: Study, cases: Sequence[_Case]) -> tuple[Stage, ...]:
    training = cases[1].training
    trained = max(training.memory_gb(cell) for cell in cells_of(study))
    memory = {"search": trained, "train": trained, "prepare": _preparation_gb(training)}
    stages = []
    for stage in STAGES:
        taken = [[job.seconds / 3600 for job in c.jobs if _stage_of(job) == stage] for c in cases]
        if taken[1]:
            stages.append(
                Stage(
                    stage=stage,
                    jobs=len(taken[1]),
                    hours=_range([sum(hours) for hours in taken]),
                    longest_job_hours=_range([max(hours) for hours in taken]),
                    memory_gb=round(memory.get(stage, training.devices.memory.process), 2),
                )
            )
    return tuple(stages)


def _stage_of(job: Job) -> str:
    return "analyse" if job.stage in (*ANALYSIS, "all") else job.stage


def _examples(training: Training) -> float:
    """Training examples of all runs and searches."""
    study, batch_size = training.study, training.study.config.training.batch_size
    runs = sum(training.run_examples(cell) for cell in cells_of(study))
    searches = sum(training.search_steps(cell) for cell in cells_of(study) if study.searches(cell))
    return float(runs * study.config.study.seeds + searches * batch_size)


def _memory_together(study: Study, training: Training) -> float:
    """Memory of as many of the largest jobs as run at once."""
    use, threads = training.resources, study.config.training.threads
    at_once = min(use.cores, use.places) if use.gpus else max(1, use.cores // threads)
    largest = max(training.memory_gb(cell) for cell in cells_of(study))
    return round(max(at_once * largest, _preparation_gb(training)), 2)


def _preparation_gb(training: Training) -> float:
    memory, most = training.devices.memory, max(size.rows for size in training.sizes.values())
    return memory.prepare + most / 1e6 * memory.prepare_per_million_rows


def _disk(study: Study, training: Training, sources: Sequence[SourceSize]) -> Disk:
    prepared = {name: size.values * 4 for name, size in training.sizes.items()}
    use, cells = training.resources, cells_of(study)
    at_once = use.places or use.cores
    runs = len(cells) * study.config.study.seeds
    return Disk(
        archives=sum(source.download_bytes or 0 for source in sources),
        raw=sum(source.raw_bytes for source in sources),
        prepared=sum(prepared.values()),
        preparing=max(prepared.values()) // 2,
        results=round(runs * training.devices.record_kb * 1e3),
        checkpoints=at_once * max(training.checkpoint_bytes(cell) for cell in cells),
    )


def _sources(study: Study) -> list[str]:
    names = dict.fromkeys(cell.dataset for cell in study.all_cells())
    return list(dict.fromkeys(study.dataset(name).source for name in names))


def _assumptions(
    study: Study, training: Training, measured: Measured, *, given: bool
) -> tuple[str, ...]:
    """What the numbers rest on, each with how to change it."""
    options, device = study.config.training, training.resources.device
    stated = [
        f"Costs of a step: measured on {measured.machine}, {measured.date}"
        " (`--measure` measures here).",
        f"Device: {device.title}; {device.source}.",
    ]
    how = "as given" if given else "the best epoch is assumed (configs/devices.yaml; `--epochs`)"
    if options.max_epochs > 1:
        stated.append(
            f"Epochs of a run: {how}, patience {options.patience}, at most {options.max_epochs}."
        )
    spends = [
        cell.method
        for cell in cells_of(study)
        if study.searches(cell) and training.search_epochs(cell) == study.search_budget(cell)
    ]
    if spends:
        trials, epochs = study.config.tuning.trials, options.max_epochs
        names = ", ".join(dict.fromkeys(spends))
        stated.append(
            f"Searches that spend their whole budget, {trials} trials x {epochs} epochs: {names}"
            " (`tuning.trials`, `training.max_epochs`)."
        )
    borrowed = _borrowed(training)
    if borrowed:
        cell, instead = next(iter(borrowed.items()))
        stated.append(
            f"{len(borrowed)} cells were not measured and take the nearest that was, {cell} for one"
            f" from {instead} (`--json` lists them; `--measure`)."
        )
    if measured.model != study.config.model.model_dump(mode="json"):
        stated.append("Costs were measured with other sizes of the model: `--measure` mends that.")
    if options.threads > 1:
        stated.append(f"{options.threads} threads a job are taken to be no faster than one.")
    guessed = [size.name for size in training.sizes.values() if size.known != "prepared"]
    if guessed:
        stated.append(f"Not prepared yet, sizes as described: {', '.join(guessed)}.")
    rate = training.devices.download_mb_per_s
    stated.append(f"Downloads at {rate:g} MB/s; a wheel's size is not known and not counted.")
    return tuple(stated)


def _borrowed(training: Training) -> dict[str, str]:
    """Cells that were not measured, and what they take instead."""
    found = {str(cell): training.estimate(cell).borrowed for cell in cells_of(training.study)}
    return {cell: instead for cell, instead in found.items() if instead}


def _range(values: Sequence[float]) -> Range:
    low, guess, high = (float(f"{value:.6g}") if value else 0.0 for value in values)
    assert math.isfinite(high)
    return Range(low=low, guess=guess, high=high)
