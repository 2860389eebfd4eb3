"""AutoLoss in a loop of one's own trains as the study's loop does, and refuses what cannot be."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from autoloss import AutoLoss, OwnLoop, Task
from autoloss.config import LossOptions, ModelOptions
from autoloss.errors import ConfigError, DataError
from autoloss.methods.load import load
from autoloss.models import build_model
from autoloss.training.loop import Trainer
from tests.tiny import tiny_config
from tests.unit.problems import PlainModel, make_batch, make_model

TASKS = pytest.mark.parametrize("classes", [2, 5])


@pytest.fixture(autouse=True)
def isolated():
    """Models are made here by torch's generator: give it back."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def batches(task, n=8, start=0, size=24):
    return [tuple(make_batch(task, size, seed=start + k)) for k in range(n)]


def own_loop(model, task, *, options=None, validation=None, method="autoloss", **how):
    method = load(method)(task, None, options or {}, seed=7)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    return OwnLoop(method, model, optimizer, validation or batches(task, 3, 900), **how)


def train(loop, data):
    """A pass over the data; the losses."""
    losses = []
    for inputs, labels in data:
        loss = loop.loss(inputs, labels)
        loop.optimizer.zero_grad()
        loss.backward()
        loop.optimizer.step()
        losses.append(loss.item())
    return losses


def gradients(model):
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
@pytest.mark.parametrize("task", ["binary", "rating"])
def test_it_trains_model_and_controller_as_the_studys_loop_does(task, updates, tiny):
    """The same batches, dropout masks and Gumbel noise; torch's Adam in the place of ours.

    A bias before a batch norm has no gradient but rounding noise, which Adam scales up.
    """
    options = {"every": 2, "updates": updates}
    config = tiny_config(weight_decay=0.0, table_updates="dense")
    sizes = ModelOptions(embedding_dim=4, hidden=(8,), batch_norm=False)
    over = {"methods": {"autoloss": options}, "model": sizes}
    study = Trainer(config.model_copy(update=over), tiny[task], "deepfm", load("autoloss"), 4)
    model = build_model("deepfm", tiny[task].field_sizes, study.task, sizes)
    model.load_state_dict(study.model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.lr)
    method = AutoLoss(study.task, config.losses, options, seed=4)
    validation = [tuple(study.validation.batch(k)) for k in range(4)]
    loop = OwnLoop(method, model, optimizer, validation)
    studys = [study.inner_step()[0].item() for _ in range(9)]
    own = train(loop, [study.train.batch(t) for t in range(9)])
    assert own == pytest.approx(studys, rel=1e-4)
    close = {"rtol": 1e-3, "atol": 1e-5}
    torch.testing.assert_close(model.state_dict(), study.model.state_dict(), **close)
    ours, theirs = method.weighting.state_dict(), study.method.weighting.state_dict()
    for key in ours.keys() - {"net.0.linear.bias", "net.1.linear.bias"}:
        torch.testing.assert_close(ours[key], theirs[key], **close)


@pytest.mark.parametrize("estimator", ["exact", "finite_difference", "direct"])
@TASKS
def test_the_gradients_are_those_that_the_option_says(classes, estimator):
    """Alternating: of the loss under the new weighting. Simultaneous: under the old one."""
    task = Task(classes)
    model = make_model("plain", task).float()
    data, left = batches(task, 2), {}
    for updates in ("alternating", "simultaneous"):
        mine = copy.deepcopy(model)
        options = {"every": 1, "updates": updates, "hypergradient": estimator, "lr": 0.5}
        loop = own_loop(mine, task, options=options)
        train(loop, data[:1])
        before, weighting = copy.deepcopy(mine), copy.deepcopy(loop.method)
        mine.zero_grad()
        value = loop.loss(*data[1])
        value.backward()
        used = weighting if updates == "simultaneous" else loop.method
        inputs, labels = data[1]
        expected = used.loss(labels, before(inputs), 1)
        expected.backward()
        torch.testing.assert_close(value, expected.to(value))
        torch.testing.assert_close(gradients(mine), [p.grad for p in before.parameters()])
        torch.testing.assert_close(dict(mine.named_buffers()), dict(before.named_buffers()))
        left[updates] = gradients(mine)
    differences = [(a - b).abs().max() for a, b in zip(*left.values(), strict=True)]
    assert max(differences) > 1e-5


def test_an_outer_step_comes_after_every_fth_call_and_takes_the_next_validation_batch():
    task = Task()
    taken = []

    class Validation:
        def __iter__(self):
            for k, batch in enumerate(batches(task, 2, 900)):
                taken.append(k)
                yield batch

    loop = own_loop(make_model("plain", task).float(), task, options={"every": 3},
                    validation=Validation())  # fmt: skip
    moved = []
    for batch in batches(task, 10):
        before = copy.deepcopy(loop.method.weighting.state_dict())
        train(loop, [batch])
        after = loop.method.weighting.state_dict()
        moved.append(any(not torch.equal(before[k], after[k]) for k in before))
    assert moved == [False, False, False, True, False, False, True, False, False, True]
    assert taken == [0, 1, 0]


class Column(nn.Module):
    """Gives `[B, 1]`, as most models do."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs):
        return self.model(inputs).unsqueeze(1)


def test_a_column_of_logits_and_of_labels_of_any_type_train_alike():
    task, model = Task(), make_model("plain", Task()).float()
    ends = []
    for form in (
        lambda labels: labels,
        lambda labels: labels.float().unsqueeze(1),
        lambda labels: labels.bool(),
    ):
        own = Column(copy.deepcopy(model))
        loop = own_loop(own, task, options={"every": 2})
        ends.append(train(loop, [(inputs, form(labels)) for inputs, labels in batches(task)]))
    plain = train(own_loop(copy.deepcopy(model), task, options={"every": 2}), batches(task))
    assert ends == [plain] * 3


@TASKS
@pytest.mark.parametrize("where", ["training", "validation"])
def test_a_label_that_is_no_class_is_refused(classes, where):
    task = Task(classes)
    for wrong in (-1, classes, 0.5, float("nan")):
        bad = batches(task, 1)[0]
        bad = bad[0], bad[1].double().index_fill(0, torch.tensor([3]), wrong)
        sound = batches(task, 3)
        model = make_model("plain", task).float()
        validation = [bad] if where == "validation" else sound
        loop = own_loop(model, task, options={"every": 1}, validation=validation)
        with pytest.raises(DataError, match=f"labels: have {wrong}.*no class of {classes}"):
            train(loop, [*sound[:2], bad])  # not in the first batch alone


@pytest.mark.parametrize(
    ("classes", "shape", "mend"),
    [
        (2, (24, 2), "the second less the first"),
        (2, (24, 5), r"Task\(classes=5\)"),
        (2, (24, 1, 1), "one logit for each example"),
        (2, (1,), "one logit for each example"),
        (2, (23,), "one logit for each example"),
        (5, (24,), "a logit for each class"),
        (5, (24, 3), r"Task\(classes=3\)"),
        (5, (1, 5), "a logit for each class"),
    ],
)
def test_logits_of_another_shape_are_refused_with_a_mend(classes, shape, mend):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(shape))

        def forward(self, inputs):
            return self.bias * 1

    loop = own_loop(Odd(), Task(classes))
    with pytest.raises(ConfigError, match=mend):
        loop.loss(*batches(Task(classes), 1)[0])


def test_labels_that_are_no_column_are_refused():
    loop, (inputs, labels) = own_loop(PlainModel(Task()), Task()), batches(Task(), 1)[0]
    with pytest.raises(DataError, match="one class for each example"):
        loop.loss(inputs, F.one_hot(labels))


class Ending(nn.Module):
    """A model, and what it does to its logits."""

    def __init__(self, task, end):
        super().__init__()
        self.model, self.end = PlainModel(task), end

    def forward(self, inputs):
        return self.end(self.model(inputs))


PROBABILITIES = {
    "sigmoid": (2, torch.sigmoid),
    "a column of it": (2, lambda z: z.unsqueeze(1).sigmoid()),
    "torchfm's": (2, lambda z: torch.sigmoid(z.unsqueeze(1).squeeze(1))),
    "clamped": (2, lambda z: z.sigmoid().clamp(1e-7, 1 - 1e-7)),
    "softmax of two": (2, lambda z: torch.stack((-z, z), 1).softmax(1)[:, 1]),
    "softmax": (5, lambda z: z.softmax(-1)),
    "exp of its logarithm": (5, lambda z: z.log_softmax(-1).exp()),
}
LOGITS = {
    "small": (2, lambda z: 0.01 * z + 0.5),  # all of them between 0 and 1
    "gated": (2, lambda z: z * z.sigmoid()),
    "positive": (2, F.softplus),
    "log-probabilities": (5, lambda z: z.log_softmax(-1)),
    "of five": (5, lambda z: z),
    "between 0 and 1": (5, lambda z: 0.01 * z + 0.3),
}


@pytest.mark.parametrize(("classes", "end"), PROBABILITIES.values(), ids=PROBABILITIES)
def test_probabilities_in_the_place_of_logits_are_noticed_once(classes, end):
    loop = own_loop(Ending(Task(classes), end), Task(classes))
    with pytest.warns(UserWarning, match="take off its last sigmoid or softmax") as caught:
        train(loop, batches(Task(classes), 4))
    assert len(caught) == 1


@pytest.mark.parametrize(("classes", "end"), LOGITS.values(), ids=LOGITS)
def test_logits_of_any_size_raise_no_alarm(classes, end):
    loop = own_loop(Ending(Task(classes), end), Task(classes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(loop, batches(Task(classes), 4))


@pytest.mark.parametrize("estimator", ["exact", "finite_difference"])
def test_torchs_dropout_is_seeded_by_place_and_generators_stay(estimator):
    task = Task()
    model = Ending(task, lambda z: F.dropout(z + 1.0, 0.5) + nn.Dropout(0.2)(z))
    ends = []
    for _ in range(2):
        torch.rand(5)  # what was drawn before does not matter
        state = torch.get_rng_state()
        loop = own_loop(
            copy.deepcopy(model), task, options={"every": 1, "hypergradient": estimator}
        )
        ends.append(
            (
                train(loop, batches(task, 4)),
                loop.method.state_dict()["weighting.net.0.linear.weight"],
            )
        )
        assert torch.equal(torch.get_rng_state(), state)
    assert ends[0][0] == ends[1][0]
    assert torch.equal(ends[0][1], ends[1][1])
    assert torch.isfinite(ends[0][1]).all()


def test_inputs_may_be_anything_that_the_model_takes():
    class TwoTowers(nn.Module):
        def __init__(self):
            super().__init__()
            self.user, self.item = nn.Embedding(7, 4), nn.Embedding(5, 4)

        def forward(self, inputs):
            return (self.user(inputs["user"]) * self.item(inputs["item"])).sum(1)

    def named(data):
        return [({"user": x[:, 0], "item": x[:, 1]}, y) for x, y in data]

    task = Task()
    validation = named(batches(task, 2, 900))
    loop = own_loop(TwoTowers(), task, options={"every": 1}, validation=validation)
    assert all(loss > 0 for loss in train(loop, named(batches(task, 3))))


def test_what_is_there_to_be_gone_through_once_is_refused_when_it_is_spent():
    task = Task()
    once = iter(batches(task, 2, 900))
    loop = own_loop(PlainModel(task), task, options={"every": 1}, validation=once)
    with pytest.raises(DataError, match="a DataLoader, or a list"):
        train(loop, batches(task, 4))


def test_the_rate_is_the_optimizers_at_each_step_or_the_one_given():
    model = PlainModel(Task())
    loop = own_loop(model, Task())
    assert loop.lr == 0.05
    loop.optimizer.param_groups[0]["lr"] = 0.01  # as a scheduler does
    assert loop.lr == 0.01
    groups = [{"params": model.out.parameters(), "lr": 0.1}, {"params": model.tables.parameters()}]
    several = torch.optim.SGD(groups, lr=0.2)
    with pytest.raises(ConfigError, match=r"0\.1, 0\.2.*\n.*OwnLoop\(lr="):
        _ = OwnLoop(AutoLoss(), model, several, batches(Task())).lr
    assert OwnLoop(AutoLoss(), model, several, batches(Task()), lr=0.3).lr == 0.3


def test_an_optimizer_or_a_method_that_would_train_the_weighting_itself_is_refused():
    model, method = PlainModel(Task()), AutoLoss()
    both = torch.optim.Adam([*model.parameters(), *method.parameters()])
    with pytest.raises(ConfigError, match="the parameters of the model alone"):
        OwnLoop(method, model, both, [])
    with pytest.raises(ConfigError, match="in the model's own step"):
        own_loop(model, Task(), method="uncertainty")


def test_an_optimizer_of_another_model_is_refused():
    other = torch.optim.Adam(PlainModel(Task()).parameters())
    with pytest.raises(ConfigError, match=r"make it of `model\.parameters\(\)`"):
        OwnLoop(AutoLoss(), PlainModel(Task()), other, [])


@pytest.mark.parametrize(
    ("method", "options", "key"),
    [
        ("autoloss_frozen", {}, "autoloss_frozen.controller"),
        ("bohb", {}, "bohb.weights"),
        ("autoloss", {"look_ahead": "optimizer"}, "autoloss.look_ahead"),
        ("darts", {"look_ahead": "optimizer"}, "darts.look_ahead"),
    ],
)
def test_a_method_that_lacks_what_only_the_study_has_is_refused(method, options, key):
    with pytest.raises(ConfigError, match=key):
        own_loop(PlainModel(Task()), Task(), options=options, method=method)


def test_searched_weights_that_are_given_are_used():
    options = {"weights": [0.0, 0.0, 0.0, 1.0]}
    loop = own_loop(PlainModel(Task()), Task(), options=options, method="bohb")
    inputs, labels = batches(Task(), 1)[0]
    expected = F.binary_cross_entropy_with_logits(loop.model(inputs), labels.float())
    torch.testing.assert_close(loop.loss(inputs, labels), expected)


@pytest.mark.parametrize("batch", [{"ids": 1, "labels": 2}, (1, 2, 3), [torch.zeros(2)]])
def test_a_validation_batch_that_is_no_pair_is_refused(batch):
    model = make_model("plain", Task()).float()
    loop = own_loop(model, Task(), options={"every": 1}, validation=[batch])
    with pytest.raises(DataError, match=r"validation: .* a pair \(inputs, labels\)"):
        train(loop, batches(Task(), 3))


def test_a_model_that_gives_more_than_its_logits_is_refused():
    class Both(PlainModel):
        def forward(self, inputs):
            return super().forward(inputs), inputs

    with pytest.raises(ConfigError, match="gives a tuple of 2, expected a tensor of logits"):
        own_loop(Both(Task()), Task()).loss(*batches(Task(), 1)[0])


def test_labels_from_one_are_told_to_be_from_zero():
    inputs, labels = batches(Task(5), 1)[0]
    labels[0] = 4
    with pytest.raises(DataError, match="0 to 4: subtract 1"):
        own_loop(PlainModel(Task(5)), Task(5)).loss(inputs, labels + 1)


@pytest.mark.parametrize("method", ["ce", "al1", "melu", "darts", "l2rw", "gradnorm", "dwa"])
def test_other_methods_train_too(method):
    options = {"every": 2} if method in ("melu", "darts") else {}
    loop = own_loop(make_model("plain", Task()).float(), Task(), options=options, method=method)
    losses = train(loop, batches(Task(), 3) * 8)
    assert sum(losses[-3:]) < sum(losses[:3])


def test_a_fixed_loss_is_torchs_own():
    task = Task(5)
    model = make_model("plain", task).float()
    inputs, labels = batches(task, 1)[0]
    loss = own_loop(copy.deepcopy(model), task, method="ce").loss(inputs, labels)
    torch.testing.assert_close(loss, F.cross_entropy(model(inputs), labels))


def test_stopped_and_resumed_it_goes_on_with_the_same_bits():
    task, data = Task(), batches(Task(), 8)
    whole = own_loop(make_model("plain", task).float(), task, options={"every": 1},
                     validation=batches(task, 1, 900))  # fmt: skip
    expected = train(whole, data)
    first = own_loop(make_model("plain", task).float(), task, options={"every": 1},
                     validation=batches(task, 1, 900))  # fmt: skip
    losses = train(first, data[:5])
    saved = copy.deepcopy((first.model, first.optimizer.state_dict(), first.state_dict()))
    second = own_loop(saved[0], task, options={"every": 1}, validation=batches(task, 1, 900))
    second.optimizer.load_state_dict(saved[1])
    second.load_state_dict(saved[2])
    assert losses + train(second, data[5:]) == expected


def test_candidates_may_be_chosen():
    losses = LossOptions(candidates=("ce", "focal"))
    method = AutoLoss(Task(), losses)
    model = PlainModel(Task())
    loop = OwnLoop(method, model, torch.optim.SGD(model.parameters(), 0.1), batches(Task(), 1))
    assert train(loop, batches(Task(), 2))[0] > 0
