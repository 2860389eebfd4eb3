"""Benchmarks that are not run as tests: whether they run at all."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch

from tests.tiny import ROOT


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
