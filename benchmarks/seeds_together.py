"""Seeds side by side on one device: `python benchmarks/seeds_together.py [--stacks 1 2 4 12]`.

A small model leaves a GPU idle, so the seeds of a cell share one: as a stack (`training.stack`), or
each as a process of its own, as many as `training.jobs_per_gpu` says. This trains 1, 2, 4 ... seeds
at once, on the GPU if there is one, and prints the examples a second of all of them; of processes
also whether every seed has the bits that it has with the device to itself.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import task

os.environ["OMP_NUM_THREADS"] = "1"
import torch
from systems.autoloss import System

from autoloss.training.stack import Stack

PASSES = 3  # over the training rows, after one to warm up
Done = tuple[int, str, float]  # seed, digest of its weights, when it was through


def train(seed: int, options: argparse.Namespace, start: Barrier, done: Queue[Done]) -> None:
    """One seed: everyone warms up, then all start together."""
    network = task.NETWORKS[options.network]
    vocabulary = task.VOCABULARIES[options.vocabulary]
    system = System(
        vocabulary, network, options.method, device=options.device, threads=1, seed=seed
    )
    system.train()
    start.wait()
    for _ in range(PASSES):
        system.train()
    digest = system.trainer.weights_digest()  # reads the weights, so it waits for the GPU
    done.put((seed, digest, time.monotonic()))


def together(seeds: Sequence[int], options: argparse.Namespace) -> tuple[float, dict[int, str]]:
    """Examples a second of these seeds at once, and each seed's digest."""
    context = get_context("spawn")
    start, done = context.Barrier(len(seeds) + 1), context.Queue()
    processes = [context.Process(target=train, args=(seed, options, start, done)) for seed in seeds]
    for process in processes:
        process.start()
    start.wait()
    began = time.monotonic()
    results = [done.get() for _ in processes]
    for process in processes:
        process.join()
    seconds = max(ended for *_, ended in results) - began
    digests = {seed: digest for seed, digest, _ in results}
    return len(seeds) * PASSES * task.TRAIN / seconds, digests


def in_a_stack(seeds: Sequence[int], options: argparse.Namespace) -> float:
    """Examples a second of these seeds as one network."""
    network = task.NETWORKS[options.network]
    vocabulary = task.VOCABULARIES[options.vocabulary]
    how = {"device": options.device, "threads": 1, "in_stack": True}
    runs = [System(vocabulary, network, options.method, seed=s, **how).trainer for s in seeds]
    stack = Stack(runs, report=print)

    def train() -> None:
        for _ in range(stack.train.count):
            stack.inner_step()
        stack.model.state_dict()[next(iter(stack.model.state_dict()))].sum().item()  # waits

    train()
    began = time.monotonic()
    for _ in range(PASSES):
        train()
    return len(seeds) * PASSES * task.TRAIN / (time.monotonic() - began)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--method", default="autoloss")
    parser.add_argument("--network", choices=task.NETWORKS, default="paper")
    parser.add_argument("--vocabulary", choices=task.VOCABULARIES, default="100k")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--stacks", type=int, nargs="*", default=[1, 2, 4, 12])
    options = parser.parse_args(arguments)
    task.make(task.VOCABULARIES[options.vocabulary])
    on_gpu = options.device != "cpu" and torch.cuda.is_available()
    place = torch.cuda.get_device_name() if on_gpu else f"{os.cpu_count()} cores"
    print(f"{options.method}, {options.network} network, {options.vocabulary} values, on {place}\n")
    print("| seeds in a stack | examples/s of all |\n|---:|---:|")
    for count in options.stacks:
        print(f"| {count} | {in_a_stack(range(count), options):,.0f} |", flush=True)
    print("\n| processes at once | examples/s of all | to one | bits as alone |")
    print("|---:|---:|---:|---|")
    rate_of_one, digest = together([0], options)
    alone = digest | {
        seed: together([seed], options)[1][seed] for seed in range(1, max(options.processes))
    }
    for count in options.processes:
        rate, digests = together(range(count), options)
        same = sum(alone[seed] == digest for seed, digest in digests.items())
        ratio = rate / rate_of_one
        print(f"| {count} | {rate:,.0f} | {ratio:.2f} | {same} of {count} |", flush=True)


if __name__ == "__main__":
    main()
