"""How many kernels a step of a stack starts, of all its runs: what a GPU waits for."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from autoloss.config import overlay
from autoloss.training.stack import Stack
from tests.unit import stacks
from tests.unit.tape import Tape

SIZES = {"hidden": [128, 128], "batch_norm": True, "dropout": 0.2}
STEPS = 10  # an outer one after each 3, the last of them third of its kind


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return stacks.splits(tmp_path_factory.mktemp("splits"), 2, runs=2)


def kernels(data, method, kind):
    """Of the last step of a kind: all that was to be learned is known by then."""
    config = stacks.small(method, {"every": 3} if method == "autoloss" else {}, batch_size=100)
    config = overlay(config, {"model": SIZES}, "test")
    stack = Stack(stacks.trainers(config, data, "deepfm", method, in_stack=True))
    found, outer = {}, stack.batch("validation", 0)
    for t in range(STEPS):
        step = stack.step(t, look=lambda k: outer)
        with Tape() if t > STEPS - 4 else nullcontext() as tape:
            stack.take(step)
        found[stack.method.kind(t)] = tape
    return found[kind]


@pytest.mark.parametrize(
    ("method", "kind", "most"),
    [("ce", 0, 125), ("autoloss", False, 192), ("autoloss", True, 630)],
)
def test_a_step_starts_few_kernels(method, kind, most, data):
    """With batch norm and dropout, the noise among them; as estimated for CUDA by `Tape`."""
    tape = kernels(data, method, kind)
    assert tape.kernels <= most, tape.by_name()
