"""The plan of a study: its jobs by stage, and what they take in a low, a guessed and a high case.

The jobs are those that `autoloss/workflow/*.smk` declare; a test holds their number against
Snakemake's own. Wall time is no simulation: data, training and analysis follow each other, and each
takes the work of its jobs over what they may use, or its longest chain of jobs, if that is more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoloss.data.specs import Mirror, UrlMirror, load_source
from autoloss.plan.training import Three, Training
from autoloss.report.catalogue import figures, tables
from autoloss.study.cell import Cell

TRAINED = ("search", "train")  # stages that hold GPUs, or as many cores as a job has threads
PHASES = (("fetch", "prepare"), TRAINED, ("analyse",))
MADE = "generated"  # the kind of a mirror that downloads nothing
DAG_SECONDS = 0.0014  # of Snakemake's start, a job
ZERO = np.zeros(3)


@dataclass(frozen=True)
class Range:
    """Low, guess and high."""

    low: float
    guess: float
    high: float


def make_plan(training: Training) -> dict[str, Any]:
    """The plan of a target from nothing, as `--json` shows it; uncertain numbers as `Range`.

    Hours are of the cores or GPU places that jobs hold. `borrowed` names cells whose costs were not
    measured, with what they take instead.
    """
    study, use, costs = training.study, training.resources, training.costs.values()
    seeds, threads = study.config.study.seeds, study.config.training.threads
    mirrors, (jobs, chains) = _mirrors(training), _jobs(training)
    count = sum(map(len, jobs.values()))
    work = {stage: ZERO + np.sum(seconds, axis=0) for stage, seconds in jobs.items()}
    trained = _sum(work[stage] for stage in TRAINED)
    wall = ZERO + training.devices.fixed.workflow_start + DAG_SECONDS * count
    for stages, chain in zip(PHASES, chains, strict=True):
        at_once = max(1, use.cores // threads) if stages == TRAINED else use.cores
        if stages == TRAINED and use.places:
            at_once = min(at_once, use.places)
        wall += np.maximum(chain, _sum(work[stage] for stage in stages) / at_once)
    memory, rows = training.devices.memory, max(size.rows for size in training.sizes.values())
    preparing = memory.prepare + rows / 1e6 * memory.prepare_per_million_rows
    largest = max(cost.memory_gb for cost in costs)
    held = {**dict.fromkeys(jobs, memory.process), "prepare": preparing}
    held |= dict.fromkeys(TRAINED, largest)
    together = min(use.cores, use.places) if use.gpus else max(1, use.cores // threads)
    steps = _sum(cost.run_steps * seeds + cost.search_steps for cost in costs)
    disk = _disk(training, mirrors.values())
    return {
        "study": study.name,
        "target": ", ".join(training.groups),
        "device": use.device.title,
        "measured": use.device.measured,
        "cores": use.cores,
        "gpus": use.gpus,
        "jobs_per_gpu": use.jobs_per_gpu,
        "stack": study.stack,
        "wall_hours": _hours(wall),
        "critical_path_hours": _hours(_sum(chains)),
        "core_hours": _hours(_sum(work.values()) + trained * (threads - 1)),
        "gpu_hours": _hours(trained / use.jobs_per_gpu * (use.gpus > 0)),
        "jobs": count,
        "runs": len(costs) * seeds,
        "searches": len(jobs["search"]),
        "search_epochs": _range(_sum(cost.search_epochs for cost in costs)),
        "examples": _range(steps * study.config.training.batch_size),
        "memory_gb": round(max(together * largest, preparing), 2),
        "disk_bytes": sum(disk.values()) - min(disk["more_while_prepared"], disk["checkpoints"]),
        "download_bytes": disk["archives"],
        "stages": [
            {
                "stage": stage,
                "jobs": len(seconds),
                "hours": _hours(work[stage]),
                "longest_job_hours": _hours(np.max(seconds, axis=0)),
                "memory_gb": round(held[stage], 2),
            }
            for stage, seconds in jobs.items()
            if seconds
        ],
        "groups": [
            {"runs_of": group, "cells": len(cells), "runs": len(cells) * seeds}
            for group in training.groups or study.reported_groups()
            if (cells := study.cells(group))
        ],
        "data": [
            {
                "data_set": name,
                "rows": size.rows,
                "fields": size.fields,
                "ids": size.features,
                "sizes_are": size.known,
                "epochs": _range(training.run_epochs(name)),
            }
            for name, size in training.sizes.items()
        ],
        "disk": disk,
        "downloads": {k: _bytes(mirror) for k, mirror in mirrors.items() if mirror.kind != MADE},
        "assumptions": list(_assumptions(training)),
        "borrowed": _borrowed(training),
    }


def _jobs(training: Training) -> tuple[dict[str, list[Three]], list[Three]]:
    """Seconds of each stage's jobs; and of each phase's longest chain of jobs."""
    study, fixed = training.study, training.devices.fixed
    speed, per_job = training.devices.download_mb_per_s * 1e6, fixed.per_job
    per_value = fixed.read_per_value + fixed.prepare_per_value * len(study.prepared_splits)
    fetch = {
        name: ZERO + fixed.prepare_start + (_bytes(mirror) or 0) / speed
        for name, mirror in _mirrors(training).items()
    }
    prepare = {
        name: ZERO + fixed.prepare_start + size.values * per_value
        for name, size in training.sizes.items()
    }
    arrays = [
        fetch.get(study.dataset(name).source, ZERO) + seconds for name, seconds in prepare.items()
    ]

    # Searches, then a job per shard; a frozen method's shard waits for its controllers.
    shards = Counter(last - first + 1 for first, last in study.shards())
    search, train, records = list[Three](), list[Three](), dict[Cell, Three]()
    for cell in sorted(training.cells, key=lambda cell: study.controller_of(cell) is not None):
        cost, source = training.costs[cell], study.controller_of(cell)
        before = records[source] if source else ZERO
        if study.searches(cell):
            search.append(cost.search_seconds + per_job)
            before = before + search[-1]
        for runs, count in shards.items():
            train += [cost.job_seconds(runs) + per_job] * count
        records[cell] = before + cost.job_seconds(max(shards)) + per_job

    # A group's index, budget and comparisons, then a look for crashes; tables; the target.
    groups, seeds = training.groups or study.reported_groups(), study.config.study.seeds
    counts = [len(study.cells(name)) * seeds for name in groups]
    read = [fixed.analyse + fixed.analyse_per_run * count for count in counts]
    if training.groups:
        own = [sum(name in groups for name in products) for products in (tables(), figures())]
    else:
        own = [sum(table.in_all for table in tables().values()), len(study.figures())]
    whole = [] if training.groups else [fixed.report]
    made = [fixed.table] * own[0] + [fixed.figure] * own[1]
    looks = [0.0] * len(groups)
    analyse = [ZERO + seconds + per_job for seconds in (*read, *looks, *made, *whole)]
    report = ZERO + max(read) + fixed.figure + sum(whole) + 3 * per_job
    jobs = {
        "fetch": list(fetch.values()),
        "prepare": list(prepare.values()),
        "search": search,
        "train": train,
        "analyse": [*analyse, ZERO],
    }
    return jobs, [np.max(arrays, axis=0), np.max(list(records.values()), axis=0), report]


def _disk(training: Training, mirrors: Iterable[Mirror]) -> dict[str, int]:
    """Bytes: what stays, and what there is beside it while data are prepared and while jobs run."""
    study, use = training.study, training.resources
    prepared = [size.values * 4 for size in training.sizes.values()]  # of a split
    predicted = [training.sizes[cell.dataset].predicted for cell in training.cells]
    runs = len(training.cells) * len(study.seeds)
    checkpoint = max(cost.checkpoint_bytes for cost in training.costs.values())
    return {
        "archives": sum(_bytes(mirror) or 0 for mirror in mirrors),
        "raw_files": sum(member.limit for mirror in mirrors for member in mirror.members),
        "prepared_arrays": sum(prepared) * len(study.prepared_splits),
        "more_while_prepared": max(prepared) * 3 // 2,  # the raw columns, and those of a split
        "records": round(runs * training.devices.record_kb * 1e3),
        "predictions": sum(predicted) * 4 * len(study.seeds),
        "checkpoints": (use.places or use.cores) * checkpoint,
    }


def _mirrors(training: Training) -> dict[str, Mirror]:
    """The mirror that is tried first of each source of the data."""
    study = training.study
    specs = map(study.dataset, training.sizes)
    names = dict.fromkeys(spec.source for spec in specs if not spec.local)
    return {name: load_source(name, study.root).mirrors[0] for name in names}


def _bytes(mirror: Mirror) -> int | None:
    """Bytes to download; of a wheel they are not known."""
    return mirror.bytes if isinstance(mirror, UrlMirror) else None


def _assumptions(training: Training) -> Iterator[str]:
    """What the numbers rest on, each with how to change it."""
    study, measured, device = training.study, training.measured, training.resources.device
    options, borrowed = study.config.training, _borrowed(training)
    yield (
        f"Costs of a step: measured on {measured.machine}, {measured.date}"
        " (`--measure` measures here)."
    )
    yield f"Device: {device.title}; {device.source}."
    if study.stack > 1:
        yield (
            f"{study.stack} seeds train at once (`training.stack`): a step of all takes what the "
            "steps of each would together, but its kernels are started once. No stack was ever "
            "timed on a GPU."
        )
    if options.max_epochs > 1:
        how = "the best epoch is assumed (configs/devices.yaml; `--epochs`)"
        how = "as given" if training.epochs else how
        yield f"Epochs of a run: {how}, patience {options.patience}, at most {options.max_epochs}."
    spending = [
        cell.method
        for cell, cost in training.costs.items()
        if study.searches(cell) and cost.search_epochs[1] == study.search_budget(cell)
    ]
    if spending:
        trials, names = study.config.tuning.trials, ", ".join(dict.fromkeys(spending))
        yield (
            f"Searches that spend their whole budget, {trials} trials x {options.max_epochs} "
            f"epochs: {names} (`tuning.trials`, `training.max_epochs`)."
        )
    if borrowed:
        cell, instead = next(iter(borrowed.items()))
        yield (
            f"{len(borrowed)} cells were not measured and take the nearest that was, {cell} for one"
            f" from {instead} (`--json` lists them; `--measure`)."
        )
    sizes = [{**measured.model, **measured.model_of.get(name, {})} for name in training.sizes]
    if any(size != study.config.model.model_dump(mode="json") for size in sizes):
        yield "Costs were measured with other sizes of the model: `--measure` mends that."
    if options.threads > 1:
        yield f"{options.threads} threads a job are taken to be no faster than one."
    described = [size.name for size in training.sizes.values() if size.known != "prepared"]
    if described:
        yield f"Not prepared yet, sizes as described: {', '.join(described)}."
    yield (
        "Code: of methods, losses and models what they say of themselves is read, and nothing is "
        "run; `autoloss test NAME` tries a method's."
    )
    rate = training.devices.download_mb_per_s
    yield f"Downloads at {rate:g} MB/s; a wheel's size is not known and not counted."


def _borrowed(training: Training) -> dict[str, str]:
    """Cells that were not measured, and what they take instead."""
    return {str(cell): cost.borrowed for cell, cost in training.costs.items() if cost.borrowed}


def _sum(values: Iterable[Three]) -> Three:
    return sum(values, ZERO)


def _hours(seconds: Three) -> Range:
    return _range(seconds / 3600)


def _range(values: Three) -> Range:
    return Range(*(float(f"{value:.6g}") for value in values))
