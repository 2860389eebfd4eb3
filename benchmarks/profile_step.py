"""Where a training step goes: `python benchmarks/profile_step.py [METHOD NETWORK VOCABULARY]`.

Milliseconds a step by kind of operation, beside the floor: the step's matrix products at the speed
of this machine's, and the bytes that no implementation could spare at the speed of its memory.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Any

import task

os.environ["OMP_NUM_THREADS"] = str(task.THREADS)
import torch
from systems.autoloss import System
from torch.profiler import ProfilerActivity, profile, record_function

from autoloss.functional import tables_of
from autoloss.ops.kernels.runtime import Kernel
from autoloss.ops.linear import multiply

ONE_DNN = "mkldnn::_linear_pointwise"
STEPS = 21  # three rounds of outer steps
KINDS = {
    "matrix products": (ONE_DNN, "aten::mm", "aten::addmm", "aten::bmm"),
    "kernels: rows of deferred Adam": ("kernels.rows",),
    "kernels: tables": ("kernels.tables",),
    "kernels: hidden layers": ("kernels.hidden", "kernels.tower"),
    "kernels: losses and weights": ("kernels.losses", "kernels.weights"),
    "kernels: others": ("kernels.",),
    "Adam": ("fused_adam",),
}


def watch_kernels() -> None:
    """Have the profiler see kernels: they are no operations of torch's."""
    call = Kernel.__call__

    def watched(kernel: Kernel, *arguments: Any) -> None:
        function = kernel.function
        with record_function(f"{function.__module__}.{function.__name__}"):
            call(kernel, *arguments)

    Kernel.__call__ = watched  # type: ignore[method-assign]


def kind_of(operation: str) -> str:
    """The first kind that has the operation."""
    for kind, parts in KINDS.items():
        if operation in parts or any(part in operation for part in parts if ":" not in part):
            return kind
    return "other operations"


def flops_per_second() -> float:
    """Of the benchmark's largest matrix product."""
    a, b = torch.randn(task.BATCH, task.FIELDS * task.DIM), torch.randn(task.FIELDS * task.DIM, 400)
    return 2 * a.shape[0] * a.shape[1] * b.shape[1] / task.seconds(lambda: multiply(a, b.t()))


def flops_of(event: Any) -> float:
    """Of all calls of an operation with the same shapes; torch does not count oneDNN's."""
    if event.key != ONE_DNN:
        return float(event.flops)
    (rows, inner), (columns, _) = event.input_shapes[:2]
    return 2.0 * rows * inner * columns * event.count


def bytes_per_second() -> float:
    """Read and written, of a copy that no cache holds."""
    a, b = torch.ones(2, 1 << 25)
    return 2 * 4 * len(a) / task.seconds(lambda: b.copy_(a))


def bytes_spared_by_none(system: System) -> float:
    """Of a plain step: look-ups and their gradients, Adam on the rows in use and on the rest."""
    looked_up = task.BATCH * task.FIELDS * (task.DIM + 1)
    batch = system.trainer.train.batch(0).ids
    rows = sum(len(column.unique()) for column in batch.unbind(dim=1))
    model = system.trainer.model
    tables, named = tables_of(model), model.named_parameters()
    dense = sum(value.numel() for name, value in named if name not in tables)
    # Looked up, read, its gradient written and read; weight, mean and square read and written.
    return 4.0 * (4 * looked_up + 6 * (rows * (task.DIM + 1) + dense))


def main(method: str, network: str, vocabulary: str) -> None:
    """Print the tables."""
    torch.set_num_threads(task.THREADS)
    system = System(task.VOCABULARIES[vocabulary], task.NETWORKS[network], method)
    system.train()  # every page of memory has been touched
    step = system.trainer.inner_step
    whole = 1e3 * task.seconds(lambda: [step() for _ in range(7)], 6) / 7
    watch_kernels()
    options = {"activities": [ProfilerActivity.CPU], "with_flops": True, "record_shapes": True}
    with profile(**options) as recorded:
        for _ in range(STEPS):
            step()
    spent: Counter[str] = Counter()
    flops = 0.0
    for event in recorded.key_averages(group_by_input_shape=True):
        spent[kind_of(event.key)] += event.self_cpu_time_total / STEPS / 1e3
        flops += flops_of(event) / STEPS if kind_of(event.key) == "matrix products" else 0
    print(f"{method}, {network} network, {vocabulary} values: {whole:.1f} ms a step\n")
    print("| kind | ms a step, profiled |\n|---|---:|")
    for kind, spent_ms in spent.most_common():
        print(f"| {kind} | {spent_ms:.1f} |")
    products = 1e3 * flops / flops_per_second()
    memory = 1e3 * bytes_spared_by_none(system) / bytes_per_second()
    print(
        f"\nFloor: {flops / 1e9:.2f} GFLOP of matrix products in {products:.1f} ms, and at least "
        f"{memory:.1f} ms of memory in a plain step: {(products + memory) / whole:.0%} of the step."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", nargs="?", default="ce", help="a method, or METHOD/deferred")
    parser.add_argument("network", nargs="?", default="paper", choices=task.NETWORKS)
    parser.add_argument("vocabulary", nargs="?", default="1m", choices=task.VOCABULARIES)
    main(**vars(parser.parse_args()))
