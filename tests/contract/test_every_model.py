"""What every model promises; a new file in `autoloss/models/` is tested with no edit here."""

from __future__ import annotations

import math

import pytest
import torch

from autoloss.config import ModelOptions
from autoloss.folder import entries
from autoloss.functional import FunctionalModel
from autoloss.methods.load import load
from autoloss.models import MODELS, build_model
from autoloss.seeds import Draw
from autoloss.task import Task
from autoloss.training.loop import Trainer
from tests.tiny import TASKS, tiny_config
from tests.unit.problems import FIELD_SIZES, drawn, make_batch, make_model

every_model = pytest.mark.parametrize("name", MODELS)
both_tasks = pytest.mark.parametrize("classes", TASKS.values(), ids=TASKS)


@pytest.fixture(autouse=True)
def isolated():
    """Models are made here by torch's generator: give it back."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def built(name, classes, **options):
    sizes = {"embedding_dim": 4, "hidden": (9, 6), **options}
    return build_model(name, FIELD_SIZES, Task(classes), ModelOptions(**sizes))


@every_model
@both_tasks
def test_a_logit_for_each_example_or_for_each_of_its_classes(name, classes):
    model, ids = make_model(name, Task(classes)).eval(), make_batch(Task(classes), 12, seed=0).ids
    logits = model(ids)
    assert logits.shape == ((12,) if classes == 2 else (12, classes))
    torch.testing.assert_close(model(ids[:1]), logits[:1])  # one keeps its dimension
    assert len(logits.unique(dim=0)) > 6  # it looks at the ids


@every_model
@both_tasks
def test_the_values_of_every_field_count(name, classes):
    model = make_model(name, Task(classes)).eval()
    ids = torch.zeros(1, len(FIELD_SIZES), dtype=torch.long)
    for field, size in enumerate(FIELD_SIZES):
        other = ids.clone()
        other[0, field] = size - 1
        assert not torch.equal(model(other), model(ids)), f"field {field}"


@every_model
@both_tasks
def test_training_reaches_every_parameter_and_reads_no_generator(name, classes):
    model, ids = make_model(name, Task(classes)), make_batch(Task(classes), 24, seed=0).ids
    state = torch.get_rng_state()
    once, again = (drawn(model, ids, seed=4) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state), "use autoloss.layers.dropout.Dropout"
    assert torch.equal(once, again)
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(once.square().mean(), list(parameters.values()))
    for key, gradient in zip(parameters, gradients, strict=True):
        assert gradient.isfinite().all(), key
        assert (gradient != 0).any(), f"{key} is not used"


@every_model
@both_tasks
def test_its_gradient_can_be_differentiated(name, classes):
    """The look-ahead of an outer step does that."""
    model, ids = make_model(name, Task(classes)), make_batch(Task(classes), 24, seed=0).ids
    parameters = list(model.parameters())
    first = torch.autograd.grad(drawn(model, ids).square().mean(), parameters, create_graph=True)
    squares = sum(gradient.square().sum() for gradient in first)
    second = torch.autograd.grad(squares, parameters, materialize_grads=True, allow_unused=True)
    assert all(gradient.isfinite().all() for gradient in second)
    assert any((gradient != 0).any() for gradient in second)


@every_model
@both_tasks
def test_as_a_function_of_its_parameters_it_is_the_same(name, classes):
    """Its tables cut to the rows in use, where it says `reads_rows`."""
    model = make_model(name, Task(classes))
    batches = [make_batch(Task(classes), n, seed=n).ids for n in (24, 20)]
    functional = FunctionalModel(model, batches)
    for k, ids in enumerate(batches):
        logits = functional(functional.params, k, Draw(0, k))
        torch.testing.assert_close(logits, drawn(model, ids, seed=k), rtol=1e-12, atol=1e-12)


@every_model
@both_tasks
def test_each_of_its_options_changes_it(name, classes):
    ids = make_batch(Task(classes), 24, seed=0).ids

    def logits(**options):
        torch.manual_seed(2)
        return built(name, classes, dropout=0.0, **options).eval()(ids)

    usual = logits()
    assert torch.equal(logits(), usual)
    assert not torch.equal(logits(embedding_dim=8), usual)
    for key, option in entries("models")[name].options.items():
        if option.choices or isinstance(option.default, bool):
            others = [c for c in option.choices or (True, False) if c != option.default]
        else:
            others = [option.default * 2 or option.default + 1]
        for other in others:
            assert not torch.equal(logits(**{key: other}), usual), key


@every_model
@pytest.mark.parametrize("method", ["ce", "autoloss"])
@pytest.mark.parametrize("task", TASKS)
def test_it_trains(name, method, task, tiny):
    config = tiny_config()
    options = {"autoloss": {"every": 2}} if method == "autoloss" else {}
    config = config.model_copy(update={"methods": options})
    run = Trainer(config, tiny[task], name, load(method), 0)
    metrics = run.run()
    assert all(math.isfinite(value) for values in metrics.values() for value in values.values())


@every_model
def test_says_what_it_is(name):
    info = entries("models")[name]
    assert info.label.strip()
    assert info.paper.strip()
    assert (type(built(name, 2)).__doc__ or "").strip()
