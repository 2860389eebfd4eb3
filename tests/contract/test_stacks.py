"""What every method promises of a stack of runs, on both tasks; dense tables and deferred ones."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from autoloss.errors import ConfigError
from autoloss.methods.discover import discover
from autoloss.methods.options import options_of
from autoloss.report.figures._looks import LOOKS
from autoloss.training.graphs import Graphs
from autoloss.training.rehearsal import double_precision
from autoloss.training.stack import Stack
from tests.tiny import TASKS, with_needs
from tests.unit import stacks
from tests.unit.stacks import require_equal, small, trained_both_ways, trainers
from tests.unit.tape import Taped

METHODS = discover()
UPDATES = {"binary": "deferred", "rating": "dense"}
STEPS = 19  # of 3 an epoch

every_method = pytest.mark.parametrize("name", METHODS)
both_tasks = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("splits")
    return {task: stacks.splits(folder / task, classes) for task, classes in TASKS.items()}


@contextmanager
def refused_unless_ours(name):
    """A method of the reader's may be refused in a stack: it then trains alone."""
    try:
        yield
    except ConfigError as error:
        if name in LOOKS or error.where != "training.stack":
            raise
        pytest.skip(error.problem)


@pytest.fixture(autouse=True)
def double():
    with double_precision():
        yield


def config_of(name, task, **training):
    """A small weighting, its outer steps 3 apart."""
    had = options_of(METHODS[name].info, {}, METHODS)
    small_ones = {"hidden": [8, 6] if isinstance(had.get("hidden"), tuple) else 8, "every": 3}
    options = {key: value for key, value in small_ones.items() if key in had}
    return with_needs(small(name, options, table_updates=UPDATES[task], **training), name)


@every_method
@both_tasks
def test_its_runs_end_where_they_end_alone(name, task, data):
    with refused_unless_ours(name):
        pairs = trained_both_ways(config_of(name, task), data[task], "deepfm", name)
    for alone, together in zip(*pairs, strict=True):
        require_equal(together, alone)


@every_method
@both_tasks
def test_a_step_is_work_for_the_device_alone(name, task, data):
    """Recorded and then done again with the same numbers, as a CUDA graph is, it trains on."""
    config, said = config_of(name, task, batch_size=100, max_epochs=9), []
    with refused_unless_ours(name):
        eager, recorded = (
            Stack(trainers(config, data[task], "deepfm", name, in_stack=True)) for _ in range(2)
        )
    recorded.graphs = Graphs(recorded, Taped(), said.append)
    done_again = 0
    for t in range(STEPS):
        known = len(recorded.graphs._recorded)
        losses = [stack.inner_step()[0] for stack in (eager, recorded)]
        assert torch.equal(*losses), t
        done_again += len(recorded.graphs._recorded) == known and t > 2
    assert said == []
    assert done_again
    assert recorded.passes.counted == eager.passes.counted
    for stack in (eager, recorded):
        stack.optimizer.settle()
    for ours, right in ((recorded.model, eager.model), (recorded.method, eager.method)):
        for key, value in right.state_dict().items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(ours.state_dict()[key], value), key
