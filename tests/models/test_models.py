"""The deep recommenders against naive loops, their dropout, and the model as a function."""

import copy
import math
from itertools import combinations

import pytest
import torch
from scipy import stats
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from autoloss.config import ModelOptions
from autoloss.errors import ConfigError
from autoloss.functional import FunctionalModel
from autoloss.layers.dropout import Dropout, drawing, dropouts
from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.hidden import Hidden
from autoloss.models import MODELS, build_model
from autoloss.models.autoint import Interacting
from autoloss.models.nfm import pool_pairs
from autoloss.ops.dropout import dropout, lowest
from autoloss.seeds import Draw
from autoloss.strict import check
from autoloss.task import Task
from tests.unit.problems import FIELD_SIZES, drawn, make_batch, make_model

# Criteo after pytorch-fm's bucketing: 39 fields, 1,086,810 values (paper, Table 1).
CRITEO = [1_086_810 - 38 * 1000, *[1000] * 38]


def embeddings_of(table, ids):
    """One example's embeddings, looked up field by field; `table` is a FieldEmbedding's weight."""
    rows, start = [], 0
    for value, size in zip(ids.tolist(), FIELD_SIZES, strict=True):
        rows.append(table[start + value])
        start += size
    return rows


def tower(mlp, x):
    """The MLP in evaluation mode, layer by layer from its parameters."""
    for layer in mlp.modules():
        if isinstance(layer, nn.Linear):
            x = layer.weight @ x + layer.bias
        elif isinstance(layer, nn.BatchNorm1d):
            x = (x - layer.running_mean) / (layer.running_var + 1e-5).sqrt()
            x = x * layer.weight + layer.bias
        elif isinstance(layer, nn.ReLU):
            x = x.clamp(min=0)
    return x


def naive_deepfm(model, ids):
    rows = embeddings_of(model.embedding.weight, ids)
    pairs = sum(a @ b for a, b in combinations(rows, 2))
    machine = model.bias + sum(embeddings_of(model.linear.weight, ids)) + pairs
    *layers, out = model.mlp
    hidden = tower(nn.Sequential(*layers), torch.cat(rows))
    if len(out.weight) == 1:
        return machine + out.weight @ hidden + out.bias
    return out.weight @ (machine + hidden) + out.bias  # Eq. 6


def naive_ipnn(model, ids):
    rows = embeddings_of(model.embedding.weight, ids)
    products = torch.stack([a @ b for a, b in combinations(rows, 2)])
    return tower(model.mlp, torch.cat([*rows, products]))


def naive_nfm(model, ids):
    rows = embeddings_of(model.embedding.weight, ids)
    pooled = sum(a * b for a, b in combinations(rows, 2))
    first = model.bias + sum(embeddings_of(model.linear.weight, ids))
    return first + tower(model.mlp, tower(model.pooled, pooled))


def attend(layer, fields):
    """One layer of AutoInt by Eq. 5 to 8, on a list of fields' vectors."""
    query, key, value, residual = layer.project.weight.chunk(4)
    out = []
    for asking in fields:
        heads = []
        for rows in torch.arange(len(query)).chunk(layer.heads):
            scores = [(query[rows] @ asking) @ (key[rows] @ other) for other in fields]
            shares = [score.exp() / sum(s.exp() for s in scores) for score in scores]
            heads.append(sum(a * (value[rows] @ x) for a, x in zip(shares, fields, strict=True)))
        out.append((torch.cat(heads) + residual @ asking).clamp(min=0))
    return out


def naive_autoint(model, ids):
    fields = rows = embeddings_of(model.embedding.weight, ids)
    for layer in model.attention:
        fields = attend(layer, fields)
    first = model.bias + sum(embeddings_of(model.linear.weight, ids))
    return first + model.out.weight @ torch.cat(fields) + tower(model.mlp, torch.cat(rows))


NAIVE = {
    "deepfm": naive_deepfm,
    "ipnn": naive_ipnn,
    "nfm": naive_nfm,
    "autoint": naive_autoint,
}
every_model = pytest.mark.parametrize("name", NAIVE)  # every other: tests/contract


@pytest.mark.parametrize("classes", [2, 5])
@every_model
def test_logits_equal_explicit_loops_over_examples_fields_pairs_and_heads(name, classes):
    task = Task(classes)
    model, ids = make_model(name, task).eval(), make_batch(task, 12, seed=0).ids
    logits = model(ids)
    expected = torch.stack([NAIVE[name](model, example) for example in ids])
    assert logits.shape == ((12,) if classes == 2 else (12, 5))
    torch.testing.assert_close(logits, expected.view_as(logits), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 5])
@every_model
def test_one_example_keeps_its_batch_dimension(name, classes):
    model = make_model(name, Task(classes)).eval()
    ids = make_batch(Task(classes), 3, seed=0).ids
    assert model(ids[:1]).shape == ((1,) if classes == 2 else (1, 5))
    torch.testing.assert_close(model(ids[:1]), model(ids)[:1])


@pytest.mark.parametrize(
    ("name", "field_sizes", "classes", "parameters"),
    [
        # tables 1,086,810 x 16 and x 1, bias; 624-128-128-1 with batch norm (2 x 128 a layer)
        ("deepfm", CRITEO, 2, 1_086_810 * 17 + 1 + 625 * 128 + 256 + 129 * 128 + 256 + 129),
        # table 1,086,810 x 16; 624 embedding values and 741 pairs into 128-128-1
        ("ipnn", CRITEO, 2, 1_086_810 * 16 + 1366 * 128 + 256 + 129 * 128 + 256 + 129),
        # ML-20m: 165,771 values in 2 fields; 5 outputs of the tower alone
        (
            "deepfm",
            [138_493, 27_278],
            5,
            165_771 * 17 + 1 + 33 * 128 + 256 + 129 * 128 + 256 + 129 * 5,
        ),
        (
            "ipnn",
            [138_493, 27_278],
            5,
            165_771 * 16 + 34 * 128 + 256 + 129 * 128 + 256 + 129 * 5,
        ),
        # tables and bias; batch norm of the pooled vector; 16-128-128-1
        ("nfm", CRITEO, 2, 1_086_810 * 17 + 1 + 32 + 17 * 128 + 256 + 129 * 128 + 256 + 129),
        # tables and bias; 16-16-16-16 four times over, 39 x 16 into 1; 624-128-128-1
        (
            "autoint",
            CRITEO,
            2,
            1_086_810 * 17 + 1 + 48 * 64 + 39 * 16 + 625 * 128 + 256 + 129 * 128 + 256 + 129,
        ),
        (
            "autoint",
            [138_493, 27_278],
            5,
            165_771 * 21 + 5 + 48 * 64 + 32 * 5 + 33 * 128 + 256 + 129 * 128 + 256 + 129 * 5,
        ),
    ],
)
def test_parameter_counts_at_the_papers_sizes(name, field_sizes, classes, parameters):
    with torch.device("meta"):
        model = build_model(name, field_sizes, Task(classes), ModelOptions())
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_each_field_reads_its_own_rows():
    embedding = FieldEmbedding(FIELD_SIZES, 3)
    assert embedding.weight.shape == (sum(FIELD_SIZES), 3)
    assert embedding.bounds.tolist() == [0, 7, 12, 52, 55]
    last = torch.tensor([[size - 1 for size in FIELD_SIZES], [0, 0, 0, 0]])
    rows = embedding.weight[torch.tensor([[6, 11, 51, 54], [0, 7, 12, 52]])]
    assert torch.equal(embedding(last), rows)


def test_the_embedding_has_a_second_derivative():
    embedding = FieldEmbedding((3, 2), 2).double()
    ids = torch.tensor([[0, 1], [2, 1], [0, 0]])
    value = embedding(ids).pow(3).sum()
    (first,) = torch.autograd.grad(value, embedding.weight, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), embedding.weight)
    reads = torch.tensor([2, 0, 1, 1, 2]).unsqueeze(1)  # how often each row is read
    torch.testing.assert_close(second, reads * 6 * embedding.weight)


@pytest.fixture
def seeded():
    """Seed torch's generator inside the test only: for initial values and inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        yield


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    n = 400_000
    dropped = (drawn(Dropout(rate), torch.ones(n)) == 0).view(-1, 4).double()
    bound = 4 * (rate * (1 - rate) / (n / 4)) ** 0.5
    assert (dropped.mean(0) - rate).abs().max() < bound  # each quarter of a 64-bit draw
    neighbours = torch.corrcoef(dropped.T) - torch.eye(4)
    assert neighbours.abs().max() < 4 / (n / 4) ** 0.5


def test_dropout_scales_what_it_keeps_by_the_rate():
    out = drawn(Dropout(0.2), torch.full((1000,), 3.0, dtype=torch.float64))
    assert set(out.tolist()) == {0.0, 3.0 / 0.8}
    x = torch.ones(3)
    assert drawn(Dropout(0.0), x) is x


@pytest.mark.parametrize("rate", [2**-18, 0.2, 0.3, 0.99 - 2**-40])
def test_over_seeds_a_value_is_dropped_with_the_very_probability_of_the_rate(rate):
    """The only thing at random is the last of 16 bits: how often, a binomial test says."""
    steps = [lowest(rate, seed) + 2**15 - math.floor(rate * 2**16) for seed in range(20_000)]
    assert set(steps) == {0, 1}
    part = rate * 2**16 % 1
    assert stats.binomtest(sum(steps), len(steps), part).pvalue > 1e-3


def test_a_rate_of_16_bits_is_not_rounded():
    assert {lowest(0.25, seed) for seed in range(1000)} == {2**14 - 2**15}
    assert lowest(0.0, 7) == -(2**15)
    dropped = (drawn(Dropout(2**-16), torch.ones(64 * 65536)) == 0).sum().item()
    assert abs(dropped - 64) < 4 * 8


def test_dropout_in_training_is_told_what_to_draw():
    with pytest.raises(RuntimeError, match=r"drawing\(dropouts\(model\), Draw.of"):
        Dropout(0.5)(torch.ones(3))
    layers = nn.Sequential(Dropout(0.5), Dropout(0.0), Dropout(0.5))
    with drawing(dropouts(layers), Draw(3, 7)):
        masks = [layer.mask() for layer in layers]
        assert masks == [(0.5, Draw(3, 7).seed(1)), (0.0, 0), (0.5, Draw(3, 7).seed(2))]
    assert [layer.seeds for layer in layers] == [None] * 3


class Twice(nn.Module):
    """One dropout layer at three places of a pass: twice by its own call, once in a `Hidden`."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(64))
        self.hidden = Hidden(64, 64, 0.5)
        self.drop = self.hidden.dropout

    def forward(self, ids):
        x = self.drop(self.scale.expand(len(ids), -1))
        return x, self.drop(self.scale.expand(len(ids), -1)), self.hidden(x + 1)


def test_one_dropout_layer_at_several_places_of_a_pass_has_a_mask_for_each():
    """The first is that of a layer used once; the look-ahead's pass has the same ones again."""
    ids, draw = torch.zeros(50, 1), Draw(3, 7)
    model = Twice()
    functional = FunctionalModel(model, [ids])
    first, second, third = functional.current(draw)
    assert torch.equal(first, dropout(torch.ones(50, 64), 0.5, draw.seed(1)))
    zero = [x == 0 for x in (first, second, third)]
    for a, b in combinations(zero, 2):
        assert 0.3 < (a ^ b).double().mean() < 0.8  # of two masks alike it is 0, or the ReLU's
    params = {name: 2 * value for name, value in functional.params.items()}
    for again, doubled in ((functional.current(draw), 1), (functional(params, 0, draw), 2)):
        assert torch.equal(again[0], doubled * first)
        assert torch.equal(again[1], doubled * second)
    assert torch.equal(functional.current(draw)[2], third)
    assert not torch.equal(functional.current(Draw(4, 7))[1], second)
    model.eval()
    assert torch.equal(model(ids)[0], torch.ones(50, 64))
    assert torch.equal(model(ids)[0], model(ids)[1])


def test_torchs_own_dropout_is_refused_with_its_place():
    model = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Dropout(0.0), nn.Dropout(0.1)))
    with pytest.raises(ConfigError, match=r"Sequential\.1\.1.*(?s:.*)layers\.dropout\.Dropout"):
        FunctionalModel(model, [torch.ones(1, 3)])
    model[1][1] = Dropout(0.1)
    functional = FunctionalModel(model, [torch.ones(1, 3)])
    assert functional(functional.params, 0, Draw(0, 0)).shape == (1, 2)


def test_dropout_is_the_identity_in_evaluation():
    x = torch.randn(5, 3)
    assert Dropout(0.9).eval()(x) is x


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 1), (7, 3), (2, 3, 5), (0, 4)])
def test_dropout_keeps_any_shape_and_type(shape):
    for dtype in (torch.float32, torch.float64):
        out = drawn(Dropout(0.5), torch.ones(shape, dtype=dtype))
        assert out.shape == shape
        assert out.dtype == dtype
        assert ((out == 0) | (out == 2)).all()


def test_the_seed_decides_the_mask_whatever_the_precision():
    drop, masks = Dropout(0.5), []
    for seed, dtype in ((1, torch.float32), (1, torch.float64), (2, torch.float32)):
        masks.append(drawn(drop, torch.ones(50, 3, dtype=dtype), seed=seed) != 0)
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.usefixtures("seeded")
def test_the_gradient_of_dropout_is_its_scaled_mask():
    x = (torch.rand(200) + 1).requires_grad_()
    out = drawn(Dropout(0.3), x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, out.detach() / x.detach())
    assert 0 < (gradient == 0).sum() < 200


@pytest.mark.usefixtures("seeded")
@every_model
def test_training_drops_values_moves_statistics_and_reaches_every_parameter(name):
    model, ids = make_model(name, Task()), make_batch(Task(), 24, seed=0).ids
    state = torch.get_rng_state()
    first, second = (drawn(model, ids, seed=seed) for seed in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, second)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    assert len(norms) == (3 if name == "nfm" else 2)
    assert all(norm.num_batches_tracked == 2 for norm in norms)
    gradients = torch.autograd.grad(first.square().mean(), list(model.parameters()))
    assert all(g.isfinite().all() and (g != 0).any() for g in gradients)


@every_model
def test_no_batch_norm_where_the_options_have_none(name):
    options = ModelOptions(embedding_dim=4, hidden=(9,), batch_norm=False)
    model = build_model(name, FIELD_SIZES, Task(), options)
    assert not any(isinstance(m, nn.BatchNorm1d) for m in model.modules())
    assert drawn(model, make_batch(Task(), 6, seed=0).ids).isfinite().all()


@pytest.mark.usefixtures("seeded")
def test_nfm_drops_values_of_the_pooled_vector():
    options = ModelOptions(embedding_dim=4, hidden=(), dropout=0.5, batch_norm=False)
    model = build_model("nfm", FIELD_SIZES, Task(), options)  # its tower is a single linear layer
    ids = make_batch(Task(), 24, seed=0).ids
    assert not torch.equal(drawn(model, ids), drawn(model, ids, seed=1))


@pytest.mark.usefixtures("seeded")
def test_pooled_pairs_are_their_sum_with_second_derivatives():
    embedded = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    pairs = sum(embedded[:, i] * embedded[:, j] for i, j in combinations(range(3), 2))
    torch.testing.assert_close(pool_pairs(embedded), pairs)
    assert gradcheck(pool_pairs, (embedded,))
    assert gradgradcheck(pool_pairs, (embedded,))


@pytest.mark.usefixtures("seeded")
def test_an_interacting_layer_has_second_derivatives():
    layer = Interacting(3, 4, heads=2).double()
    x = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)

    def value(x, weight):
        return torch.func.functional_call(layer, {"project.weight": weight}, (x,))

    assert 0 < (layer(x) == 0).sum() < 24  # on both sides of the kink
    assert gradcheck(value, (x, layer.project.weight))
    assert gradgradcheck(value, (x, layer.project.weight))


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("heads", [1, 2, 6])
def test_an_interacting_layer_is_torchs_attention_without_its_scale(heads):
    layer = Interacting(6, 6, heads).double()
    layer.project.weight.data *= 3  # scores of order one
    theirs = nn.MultiheadAttention(6, heads, bias=False, batch_first=True).double()
    query, key, value, residual = layer.project.weight.detach().chunk(4)
    # It divides by the root of a head's width, and mixes the joined heads: both undone.
    theirs.in_proj_weight.data = torch.cat((query * (6 / heads) ** 0.5, key, value))
    theirs.out_proj.weight.data = torch.eye(6, dtype=torch.float64)
    x = torch.randn(5, 4, 6, dtype=torch.float64)
    attended, _ = theirs(x, x, x)
    torch.testing.assert_close(layer(x), (attended + x @ residual.T).relu())


# Which parameters a gradient is with respect to, of those of the tables and of the others.
DIFFERENTIATED = {
    "tables": lambda tables, others: tables,
    "others": lambda tables, others: others,
    "first": lambda tables, others: others[:1],
    "last layer": lambda tables, others: others[-2:],
    "last bias": lambda tables, others: others[-1:],
}


def second_derivatives(model, ids, chosen, loss):
    """Of the sum of a gradient's squares, along all parameters; zeros where it depends on none."""
    parameters = dict(model.named_parameters())
    tables = [p for name, p in parameters.items() if name.startswith(("embedding", "linear"))]
    others = [p for name, p in parameters.items() if not name.startswith(("embedding", "linear"))]
    wrt = DIFFERENTIATED[chosen](tables, others)
    first = torch.autograd.grad(loss(model(ids)), wrt, create_graph=True)
    squares = sum(slope.square().sum() for slope in first)
    results = list(first)
    for to in (tables, list(parameters.values())):
        if squares.requires_grad:
            how = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
            results += torch.autograd.grad(squares, to, **how)
        else:
            results += [torch.zeros_like(p) for p in to]
    return results


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("loss", [torch.sum, lambda logits: logits.exp().mean()])
@pytest.mark.parametrize("chosen", DIFFERENTIATED)
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("classes", [2, 5])
@every_model
def test_single_precision_has_the_second_derivatives_of_double(
    name, classes, batch_norm, chosen, loss
):
    options, task = ModelOptions(dropout=0.0, hidden=(20, 20), batch_norm=batch_norm), Task(classes)
    model, ids = build_model(name, FIELD_SIZES, task, options), make_batch(task, 64, seed=0).ids
    single, double = (
        second_derivatives(model, ids, chosen, loss)
        for model in (model, copy.deepcopy(model).double())
    )
    # Those of biases before a batch norm are sums of large terms that cancel to 0.
    scale = max(1.0, *(float(exact.detach().abs().max()) for exact in double))
    for slope, exact in zip(single, double, strict=True):
        torch.testing.assert_close(slope.double(), exact, rtol=1e-3, atol=1e-5 * scale)


def test_attention_heads_of_unequal_width_are_refused():
    with pytest.raises(ConfigError, match=r"heads \(3\) must divide attention_dim \(16\)"):
        check(ModelOptions, {"attention_heads": 3}, "config")


@pytest.fixture(params=[*MODELS, "plain"])
def model(request):
    return make_model(request.param, Task())


@pytest.fixture
def batches():
    return [make_batch(Task(), n, seed).ids for n, seed in ((24, 1), (20, 2))]


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("training", [True, False])
def test_a_functional_model_equals_the_model(model, batches, training):
    model.train(training)
    functional, expected = FunctionalModel(model, batches), copy.deepcopy(model)
    for k, ids in enumerate(batches):
        logits = functional(functional.params, k, Draw(0, k))
        torch.testing.assert_close(logits, drawn(expected, ids, seed=k), rtol=1e-12, atol=1e-12)


def test_a_functional_model_leaves_parameters_and_buffers_alone(model, batches):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    functional = FunctionalModel(model, batches)
    loss = functional(functional.params, 0, Draw(0, 0)).square().mean()
    torch.autograd.grad(loss, list(functional.params.values()))
    functional(functional.params, 1, Draw(0, 0))
    assert any("num_batches_tracked" in key for key in before)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    drawn(model, batches[0])
    assert not all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.usefixtures("seeded")
def test_gradients_equal_the_dense_models_on_the_rows_read(model, batches):
    functional = FunctionalModel(model, batches)
    loss = functional(functional.params, 0, Draw(0, 0)).square().mean()
    compact = torch.autograd.grad(loss, list(functional.params.values()))
    dense = torch.autograd.grad(drawn(model, batches[0]).square().mean(), list(model.parameters()))
    read = torch.cat([ids + torch.tensor([0, 7, 12, 52]) for ids in batches]).unique()
    if functional.tables:
        assert torch.equal(functional.rows.sort().values, read)
    unread = torch.ones(sum(FIELD_SIZES), dtype=torch.bool).index_fill(0, read, False)
    tables = {f"{n}.weight" for n, m in model.named_modules() if isinstance(m, FieldEmbedding)}
    for name, ours, full in zip(functional.params, compact, dense, strict=True):
        if name in tables:
            assert len(ours) == len(read) < len(full)
            assert (full[unread] == 0).all()
            full = full[functional.rows]
        torch.testing.assert_close(ours, full, rtol=1e-12, atol=1e-14)


class Mixed(nn.Module):
    """A user's module: a FieldEmbedding beside a table that reads the raw ids."""

    def __init__(self):
        super().__init__()
        self.fields = FieldEmbedding((5, 4), 3)
        self.raw = nn.Embedding(5, 3)
        self.raw.weight.requires_grad_(False)

    def forward(self, ids):
        return self.fields(ids).sum((1, 2)) + self.raw(ids[:, 0]).sum(1)


def test_a_users_module_keeps_its_whole_tables_and_its_frozen_parameters():
    model = Mixed()
    batches = [torch.tensor([[4, 3], [2, 1]]), torch.tensor([[0, 0], [1, 2]])]
    functional = FunctionalModel(model, batches)
    assert set(functional.params) == {"fields.weight"}
    for k, ids in enumerate(batches):
        assert torch.equal(functional(functional.params, k, Draw(0, 0)), model(ids))


def test_a_functional_model_replaces_a_shared_parameter_wherever_it_is():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    x = torch.tensor([[1.0, -2.0]])
    functional = FunctionalModel(model, [x])
    doubled = {**functional.params, "0.weight": 2 * model[0].weight}
    found = functional(doubled, 0, Draw(0, 0))
    with torch.no_grad():
        model[0].weight.mul_(2)
    assert torch.equal(found, model(x))


def test_a_frozen_table_of_ours_is_cut_like_the_others():
    model = build_model("deepfm", (5, 4), Task(2), ModelOptions(embedding_dim=3, hidden=(4,)))
    model.eval()
    model.linear.weight.requires_grad_(False)
    batches = [torch.tensor([[4, 3], [2, 1]]), torch.tensor([[0, 0], [1, 2]])]
    functional = FunctionalModel(model, batches)
    assert "linear.weight" not in functional.params
    for k, ids in enumerate(batches):
        torch.testing.assert_close(functional(functional.params, k, Draw(0, 0)), model(ids))
