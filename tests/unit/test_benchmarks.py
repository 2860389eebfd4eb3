"""Benchmarks that are not run as tests: whether they run at all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module

import pytest
import torch

from autoloss.training import loop
from autoloss.training.graphs import Graphs
from tests.tiny import ROOT
from tests.unit.tape import Taped


def test_the_census_of_kernels_takes_out_each_and_prints_a_row():
    command = [sys.executable, "benchmarks/census.py", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    head, _, *rows = done.stdout.splitlines()
    assert head.count("paper, ") == head.count("laptop, ") == 2
    assert len(rows) == len({row.split("|")[1] for row in rows}) >= 18
    for row in rows:
        ratios = [float(number) for number in re.findall(r"\d+\.\d{3}", row)]
        assert len(ratios) == 12
        little = all(ratio < 1.02 for ratio in ratios[::3])
        assert ("below 2 % everywhere" in row) == little
    largest = [max(map(float, re.findall(r"(\d+\.\d{3}) \[", row))) for row in rows]
    assert largest == sorted(largest, reverse=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: it would be measured")
def test_without_a_gpu_it_says_so_and_fails():
    command = ["sh", "benchmarks/gpu.sh"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "sees no GPU here: nothing was measured" in done.stderr


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """`benchmarks/gpu.py` on a CPU, with graphs as `Tape` has them, and a task of a few rows."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    task, module = import_module("task"), import_module("gpu")
    small = {"BATCH": 64, "TRAIN": 30 * 64, "VALIDATION": 640, "TEST": 200, "CACHE": tmp_path}
    for name, value in small.items():
        monkeypatch.setattr(task, name, value)
    few = {"VALUES": {"100k": 2000}, "BITS_STEPS": 24, "WARM_STEPS": 24, "MOST_STEPS": 21}
    for name, value in few.items():
        monkeypatch.setattr(module, name, value)
    for name in ("empty_cache", "reset_peak_memory_stats", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 0)
    monkeypatch.setattr(loop, "select_device", lambda device: torch.device("cpu"))
    stack_of = module.stack_of

    def recorded(*args, **how):
        stack = stack_of(*args, **how)
        stack.graphs = Graphs(stack, Taped(), stack.report)
        return stack

    monkeypatch.setattr(module, "stack_of", recorded)
    return module


def test_what_is_to_be_measured_on_a_gpu_is_measured(gpu, capsys):
    """Here its numbers say nothing, but bits are the same."""
    gpu.bits("autoloss", "deferred")
    for graphs in (True, False):
        gpu.speed("ce", 2, "100k", norm=True, graphs=graphs)
    gpu.stack_of("ce", (0, 1), 2000, norm=False).report("what a stack says")
    bits, *speeds, said = map(json.loads, capsys.readouterr().out.splitlines())
    same = "twice", "by_graph_and_eagerly", "whoever_the_neighbours"
    assert [bits[key] for key in same] == [True] * 3
    assert bits["no_graph_because"] is None
    assert [(line["graphs"], line["runs"]) for line in speeds] == [(True, 2), (False, 2)]
    assert all(line["examples_a_second"] > 0 for line in speeds)
    assert said["line"] == "what a stack says"
