"""What a GPU makes of stacks; `benchmarks/gpu.sh` starts it and says how.

Most telling first: bits, then milliseconds and examples a second of all runs, by graphs and kernel
by kernel, with peak memory, then `pytest -m gpu`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts

STARTED = time.monotonic()
OLDEST = (2, 11)  # torch
BITS_STEPS, WARM_STEPS, MOST_STEPS = 40, 30, 300
HEIGHTS = (12, 4, 1)
VALUES = {"100k": 100_000, "1m": 1_090_000}
Say = Callable[..., None]


def say(what: str, **facts: Any) -> None:
    """A line of JSON, with the seconds since the start."""
    line = {"seconds": round(time.monotonic() - STARTED, 1), "what": what, **facts}
    print(json.dumps(line), flush=True)


def require_gpu() -> None:
    """Leave with a sentence where nothing can be measured."""
    try:
        import torch
    except ImportError as error:
        sys.exit(
            f"benchmarks/gpu.sh: torch cannot be imported ({error}): set PYTHON to one that has it"
        )
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < OLDEST:
        sys.exit(f"benchmarks/gpu.sh: torch is {torch.__version__}, and 2.11 or newer is needed")
    if not torch.cuda.is_available():
        sys.exit(
            f"benchmarks/gpu.sh: torch {torch.__version__} sees no GPU here: nothing was measured"
        )
    try:
        import autoloss.training.stack  # noqa: F401
    except ImportError as error:
        sys.exit(
            f"benchmarks/gpu.sh: {error}: install requirements.lock, or give what is missing as "
            "wheels in a folder: WHEELS=folder sh benchmarks/gpu.sh"
        )


def stack_of(
    method: str, seeds: Sequence[int], vocabulary: int, *, norm: bool, updates: str = "auto"
) -> Any:
    """DeepFM, 2 x 128, on the synthetic task of Criteo's shape (benchmarks/task.py)."""
    from systems.autoloss import System

    from autoloss.training.stack import Stack

    model = {"batch_norm": norm, "dropout": 0.2 if norm else 0.0}
    how = {"device": "cuda", "threads": 4, "in_stack": True, "model": model}
    runs = [
        System(vocabulary, (128, 128), f"{method}/{updates}", seed=seed, **how).trainer
        for seed in seeds
    ]
    return Stack(runs, report=lambda line: say("stack says", line=line))


def train(stack: Any, steps: int) -> None:
    for _ in range(steps):
        stack.sums.add(*stack.inner_step())


def digests(stack: Any) -> list[str]:
    """Of each run's weights."""
    from autoloss.layers.stack import part
    from autoloss.training.checkpoint import tensors_digest

    stack.optimizer.settle()
    return [
        tensors_digest(part(stack.model, s), part(stack.method, s)) for s in range(len(stack.runs))
    ]


def bits(method: str, updates: str) -> None:
    """Twice the same bits, by graphs and kernel by kernel, whoever the neighbours are."""

    def trained(seeds: Sequence[int], *, graphs: bool = True) -> tuple[list[str], str | None]:
        stack = stack_of(method, seeds, 10_000, norm=True, updates=updates)
        made = stack.graphs
        if not graphs:
            stack.graphs = None
        train(stack, BITS_STEPS)
        return digests(stack), made.why

    first, why = trained((0, 1, 2))
    again, eager = trained((0, 1, 2))[0], trained((0, 1, 2), graphs=False)[0]
    others = trained((5, 1, 7))[0]
    say(
        "bits",
        method=method,
        updates=updates,
        twice=first == again,
        by_graph_and_eagerly=first == eager,
        whoever_the_neighbours=first[1] == others[1],
        no_graph_because=why,
    )


def speed(method: str, height: int, values: str, *, norm: bool, graphs: bool) -> None:
    """Milliseconds a step and examples a second of all runs; bytes at most."""
    import task
    import torch

    from autoloss.training.steps import Sums

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    stack = stack_of(method, range(height), VALUES[values], norm=norm)
    made = stack.graphs
    if not graphs:
        stack.graphs = None
    train(stack, WARM_STEPS)  # all kinds of steps are recorded by then
    torch.cuda.synchronize()
    began, steps = time.perf_counter(), 0
    while steps < MOST_STEPS and time.perf_counter() - began < 3:
        train(stack, 21)  # plain and outer steps in their proportion
        steps += 21
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    share = stack.train.count / (WARM_STEPS + steps)  # as of the steps of an epoch
    sums = Sums(*(share * part for part in vars(stack.sums).values()))
    began = time.perf_counter()
    stack.optimizer.settle()
    stack.close_epoch(sums)
    say(
        "speed",
        method=method,
        runs=height,
        values=values,
        batch_norm=norm,
        graphs=graphs,
        ms_a_step=round(1e3 * seconds / steps, 3),
        examples_a_second=round(height * task.BATCH * steps / seconds),
        epoch_end_ms=round(1e3 * (time.perf_counter() - began), 1),
        peak_gb=round(torch.cuda.max_memory_allocated() / 1e9, 2),
        no_graph_because=made.why if graphs else None,
    )


def tests(seconds: float) -> None:
    """`pytest -m gpu`, as far as there is time."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-x", "tests/unit/test_gpu.py"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as late:
        so_far = (late.stdout or b"").decode(errors="replace").splitlines()[-1:]
        say("tests", passed=None, said=f"not through after {seconds:.0f} s: {' '.join(so_far)}")
        return
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    say(
        "tests",
        passed=done.returncode == 0,
        said=lines[-1:] if not done.returncode else lines[-25:],
    )


def parts() -> Iterator[tuple[str, float, Callable[[], None]]]:
    """What is measured: a name, about how many seconds it takes, and the work."""
    yield "bits", 20, partial(bits, "autoloss", "dense")
    for method in ("autoloss", "ce"):
        for values in VALUES:
            for norm in (True, False):
                how = {"norm": norm, "graphs": True}
                yield method, 12, partial(speed, method, 12, values, **how)
    yield "autoloss", 12, partial(speed, "autoloss", 12, "100k", norm=True, graphs=False)
    yield "ce", 12, partial(speed, "ce", 12, "100k", norm=True, graphs=False)
    yield "bits", 20, partial(bits, "autoloss", "deferred")
    yield "tests", 60, lambda: None
    for method in ("autoloss", "ce"):
        for height in HEIGHTS[1:]:
            for graphs in (True, False):
                how = {"norm": True, "graphs": graphs}
                yield method, 8, partial(speed, method, height, "100k", **how)
    for method in ("slf", "l2rw", "dwa", "gradnorm", "melu"):
        yield "bits", 20, partial(bits, method, "dense")


def main() -> None:
    """Measure in turn, as long as there is time."""
    parser = argparse.ArgumentParser(description=__doc__.partition(";")[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--only", nargs="+", choices=("bits", "autoloss", "ce", "tests"))
    options = parser.parse_args()
    require_gpu()
    import torch

    device = torch.cuda.get_device_properties(0)
    say("device", name=device.name, gb=round(device.total_memory / 1e9), torch=torch.__version__)
    failed = False
    for name, takes, work in parts():
        about = {"part": name, **getattr(work, "keywords", {}), "args": getattr(work, "args", ())}
        if options.only and name not in options.only:
            continue
        left = options.seconds - (time.monotonic() - STARTED)
        if left < takes:
            say("no time left for", **about)
            continue
        try:
            if name == "tests":
                tests(min(left - 5, 120))
            else:
                work()
        except Exception as error:  # the others can be measured all the same
            failed = True
            say("failed", **about, error=repr(error), at=traceback.format_exc().splitlines()[-3:])
    say("done", failed=failed)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
