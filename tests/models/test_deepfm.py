"""DeepFM is the paper's Eq. 6: worked by hand, and against the equation with its derivatives."""

from itertools import combinations

import pytest
import torch
from torch import nn

from autoloss.config import ModelOptions
from autoloss.models import build_model
from autoloss.task import Task
from tests.unit.problems import FIELD_SIZES, make_batch


@pytest.mark.parametrize(
    ("classes", "out", "bias", "expected"),
    [
        (2, [[1, 1]], [0.5], 9.5),  # 2 + 0.5, and l_fm
        (5, [[1, 0], [0, 1], [1, 1], [1, -1], [-1, 0]], [0, 1, 0, 0, 0.5], [9, 8, 16, 2, -8.5]),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_an_example_worked_by_hand(classes, out, bias, expected, training):
    """l_fm = 0.25 + (0.5 + 0.25) + 2 * 3 = 7; h = relu(2, 1 - 3) = (2, 0), and with it (9, 7)."""
    options = ModelOptions(embedding_dim=1, hidden=(2,), dropout=0.0, batch_norm=False)
    model = build_model("deepfm", (1, 1), Task(classes), options).double().train(training)
    values = {
        "embedding.weight": [[2], [3]],
        "linear.weight": [[0.5], [0.25]],
        "bias": [0.25],
        "mlp.0.weight": [[1, 0], [0, -1]],
        "mlp.0.bias": [0, 1],
        "mlp.3.weight": out,
        "mlp.3.bias": bias,
    }
    model.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    assert model(torch.tensor([[0, 0]])).tolist() == [expected]


def normalised(h, norm):
    """By the batch at hand, with its biased variance."""
    centred = h - h.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + 1e-5).sqrt() * norm.weight + norm.bias


def equation_6(model, ids):
    """Logits `[B, C]` in training mode, from the parameters alone."""
    starts = torch.tensor([sum(FIELD_SIZES[:f]) for f in range(len(FIELD_SIZES))])
    rows = (ids + starts).T
    fields = [model.embedding.weight[field] for field in rows]
    machine = model.bias + sum(model.linear.weight[field] for field in rows)
    machine = machine + sum((a * b).sum(dim=1, keepdim=True) for a, b in combinations(fields, 2))
    *linears, out = (m for m in model.mlp.modules() if isinstance(m, nn.Linear))
    norms = [m for m in model.mlp.modules() if isinstance(m, nn.BatchNorm1d)]
    h = torch.cat(fields, dim=1)
    for k, layer in enumerate(linears):
        h = h @ layer.weight.T + layer.bias
        h = (normalised(h, norms[k]) if norms else h).clamp(min=0)
    if len(out.weight) == 1:
        return h @ out.weight.T + out.bias + machine
    return (h + machine) @ out.weight.T + out.bias


def derivatives(logits, parameters):
    """Values, the gradient of a loss, and the gradient of a mixture of that gradient."""
    loss = (logits / 4).exp().mean() + logits.square().mean()
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    mixture = sum((g * torch.linspace(-1, 1, g.numel()).view_as(g)).sum() for g in first)
    return logits, *first, *torch.autograd.grad(mixture, parameters)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_it_has_the_values_and_derivatives_of_equation_6(classes, batch_norm):
    options = ModelOptions(embedding_dim=4, hidden=(9, 6), dropout=0.0, batch_norm=batch_norm)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = build_model("deepfm", FIELD_SIZES, Task(classes), options).double()
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    ids, parameters = make_batch(Task(classes), 24, seed=0).ids, list(model.parameters())
    results = derivatives(model(ids).view(24, -1), parameters)
    expected = derivatives(equation_6(model, ids), parameters)
    for result, right in zip(results, expected, strict=True):
        torch.testing.assert_close(result, right, rtol=1e-10, atol=1e-10)
