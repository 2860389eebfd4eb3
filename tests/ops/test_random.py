"""Noise by place: the same words by numpy, by torch and by kernels; what is made of them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from autoloss.layers.hidden import Hidden
from autoloss.ops.dropout import dropout_mask
from autoloss.ops.random import by_torch, gumbel, permutation, uniform, word, words
from autoloss.ops.weights import gumbel_softmax
from autoloss.seeds import Draw, Seeds
from tests.unit import noise
from tests.unit.problems import drawn

CPU = torch.device("cpu")
EXTREMES = (-(2**63), -1, 0, 1, 2**63 - 1)
SEEDS = st.sampled_from(EXTREMES) | st.integers(-(2**63), 2**63 - 1)
PLACES = st.sampled_from(EXTREMES) | st.integers(-(2**63), 2**63 - 1)
SHAPES = [(0, 4), (1,), (3,), (5, 1), (7, 3), (2, 3, 5), (64, 33), (129, 128)]


def signed(found):
    return found.view(np.int64).tolist()


def test_a_word_is_what_the_published_generator_gives():
    """SplitMix64's own state is seed + k gamma; ours is (seed + k) gamma: equal from seed 0."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [word(0, k) % 2**64 for k in (1, 2, 3)] == published
    assert [word(1, k) % 2**64 for k in (0, 1, 2)] == published


@given(SEEDS, st.lists(PLACES, min_size=1, max_size=9))
def test_python_numpy_and_torch_have_the_same_bits(seed, places):
    expected = signed(noise.words(seed, np.array(places, np.int64)))
    assert [word(seed, place) for place in places] == expected
    assert by_torch(seed, torch.tensor(places)).tolist() == expected


@given(SEEDS, st.integers(0, 300))
def test_the_kernel_has_torchs_bits(seed, n):
    places = torch.arange(n)
    assert torch.equal(words(seed, n, CPU), by_torch(seed, places))


@pytest.fixture
def by_operations(monkeypatch):
    """Has no kernel make words: what other devices than a CPU do."""

    def use():
        def made(seed, n, device):
            return by_torch(seed, torch.arange(n, device=device))

        monkeypatch.setattr("autoloss.ops.random.words", made)

    return use


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rate", [2**-16, 0.2, 0.5, 0.99])
def test_a_mask_is_the_same_by_kernels_by_torch_and_by_numpy(shape, rate, by_operations):
    like = torch.empty(shape)
    kernel = dropout_mask(like, rate, -5)
    by_operations()
    assert torch.equal(kernel, dropout_mask(like, rate, -5))
    expected = noise.kept(-5, shape, rate) / (1 - rate)
    torch.testing.assert_close(kernel, torch.from_numpy(expected).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("width", [1, 3, 16, 33, 128])  # rows of draws start anywhere in a word
@pytest.mark.parametrize("rows", [7, 70, 131])
def test_a_hidden_layer_drops_what_the_mask_says(rows, width):
    """Batch norm of weight 0 and bias 1 gives ones, so y is the mask itself."""
    layer = Hidden(5, width, 0.3)
    layer.norm.weight.data.zero_()
    layer.norm.bias.data.fill_(1.0)
    x = torch.randn(rows, 10)[:, ::2]
    assert not x.is_contiguous()
    mask = dropout_mask(torch.empty(rows, width), 0.3, Draw(0, 9).seed(1))
    for one in (layer, copy.deepcopy(layer).double()):
        y = drawn(one, x.to(one.norm.weight.dtype), seed=9)
        torch.testing.assert_close(y.float(), mask, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) == 2])
@pytest.mark.parametrize("strided", [False, True])
def test_gumbel_softmax_by_the_kernel_is_that_by_torch(shape, strided):
    scores = torch.randn(*shape, 2)[..., 0] if strided else torch.randn(shape)
    for seed in (*EXTREMES, 12345):
        kernel = gumbel_softmax(scores, 0.7, seed)
        torch.testing.assert_close(
            kernel, gumbel_softmax.reference(scores, 0.7, seed), rtol=1e-4, atol=1e-6
        )
        noisy = (scores.double() + torch.from_numpy(noise.gumbel(seed, shape))) / 0.7
        torch.testing.assert_close(kernel.double(), noisy.softmax(-1), rtol=1e-4, atol=1e-6)


def test_noise_is_finite_at_either_end_of_uniform(monkeypatch):
    ends = torch.tensor([0, -1]).view(torch.int32)  # all bits 0, and all 1
    monkeypatch.setattr("autoloss.ops.random.words", lambda *given: ends.view(torch.int64))
    for dtype in (torch.float32, torch.float64):
        like = torch.empty(4, dtype=dtype)
        u = uniform(0, like)
        assert u.tolist() == [2**-24, 2**-24, 1 - 2**-24, 1 - 2**-24]
        assert gumbel(0, like).isfinite().all()


def test_numbers_of_every_width_are_uniform_and_gumbel_noise_is_gumbel():
    found = words(42, 250_000, CPU)
    for bits, kind in ((16, torch.int16), (32, torch.int32), (64, torch.int64)):
        parts = found.view(kind).double() / 2.0**bits + 0.5
        assert stats.kstest(parts.numpy(), "uniform").pvalue > 1e-3
    like = torch.empty(250_000, dtype=torch.float64)
    assert stats.kstest(gumbel(42, like).numpy(), "gumbel_r").pvalue > 1e-3
    assert stats.kstest(uniform(42, like).numpy(), "uniform").pvalue > 1e-3


def test_every_bit_of_a_word_is_fair_and_alone():
    n = 100_000
    found = noise.words(7, np.arange(n))
    bits = (found[:, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(float)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / n**0.5
    correlations = np.corrcoef(bits.T) - np.eye(64)
    assert np.abs(correlations).max() < 5 / n**0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Draw.of(5, 0, "dropout", "inner"), Draw.of(6, 0, "dropout", "inner")),  # steps
        (Draw.of(5, 0, "dropout", "inner"), Draw.of(5, 0, "dropout", "outer")),  # roles
        (Draw.of(5, 0, "dropout", "inner"), Draw.of(5, 0, "noise", "inner")),
        (Draw.of(5, 0, "noise", "inner"), Draw.of(5, 1, "noise", "inner")),  # runs
        (Draw(0, 1), Draw(0, 2)),  # keys beside one another
        (Draw(2**62, 0), Draw(2**62 + 1, 0)),
    ],
)
def test_other_steps_roles_and_runs_are_independent(one, other):
    n = 200_000
    first, second = (uniform(d.seed(1), torch.empty(n).double()).numpy() for d in (one, other))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / n**0.5
    counts, *_ = np.histogram2d(first, second, bins=16, range=[(0, 1), (0, 1)])
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_neighbouring_places_layers_and_steps_are_independent():
    n = 200_000
    u = uniform(3, torch.empty(n).double()).numpy()
    layers = [uniform(Draw(0, 3).seed(k), torch.empty(n).double()).numpy() for k in (1, 2)]
    first = [uniform(Draw(t, 3).seed(0), torch.empty(1).double()).item() for t in range(20_000)]
    for a, b in ((u[:-1], u[1:]), (u[:-2], u[2:]), layers, (first[:-1], first[1:])):
        counts, *_ = np.histogram2d(a, b, bins=10, range=[(0, 1), (0, 1)])
        assert stats.chisquare(counts.ravel()).pvalue > 1e-3
    assert stats.kstest(first, "uniform").pvalue > 1e-3


@given(SEEDS, st.integers(0, 200))
def test_a_permutation_is_one_of_all_numbers(seed, n):
    order = permutation(seed, n)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))
    ranks = np.argsort(noise.words(seed, np.arange(n)).view(np.int64), kind="stable")
    assert order.tolist() == ranks.tolist()  # 56 bits of a word or more decide: they don't tie


def test_all_orders_are_as_likely():
    """Of 4 numbers there are 24; and where each of 50 numbers comes to stand."""
    orders = [permutation(Draw(0, seed).seed(0), 4) for seed in range(24_000)]
    _, counts = np.unique(np.array(orders) @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3
    many = np.array([permutation(Draw(1, seed).seed(0), 50) for seed in range(5000)])
    cells = np.zeros((50, 50))
    np.add.at(cells, (np.arange(50)[None, :].repeat(5000, 0), many), 1)
    # Rows and columns have fixed sums: 49 x 49 cells are free.
    statistic = ((cells - 100) ** 2 / 100).sum() * 49 / 50
    assert 1e-3 < stats.chi2(49 * 49).sf(statistic) < 1 - 1e-3


def a_steps_noise(t, seed, shapes, rate):
    """Masks and Gumbel draws of several roles and places, some of them drawn again."""
    drawn = []
    for k, shape in enumerate(shapes):
        again = Draw.of(t, seed, "dropout", "inner").seeds(k)
        drawn += [dropout_mask(torch.empty(shape), rate, next(again)) for _ in range(k % 3 + 1)]
        drawn.append(gumbel(Draw.of(t, seed, "noise", "outer").seed(k), torch.empty(shape)))
    return drawn


@pytest.mark.parametrize("rate", [2**-16, 0.2, 0.5])
def test_each_run_of_a_stack_draws_what_it_draws_alone(rate):
    """In the first step of a kind one by one, from then on all at once; far steps too."""
    each = [-5, 2**63 - 1, 12345]
    seeds = Seeds(each, CPU)
    shapes = [(3, *shape) for shape in SHAPES]
    for t in (0, 7, 255, 256, 10**6, 3):
        seeds.begin(t, "kind")
        together = a_steps_noise(seeds.clock, seeds, shapes, rate)
        alone = [a_steps_noise(t, seed, SHAPES, rate) for seed in each]
        for one, *others in zip(together, *alone, strict=True):
            assert torch.equal(one, torch.stack(others))


def test_what_the_first_step_of_a_kind_did_not_draw_is_drawn_by_itself():
    seeds = Seeds([1, 2], CPU)
    for t, n in ((0, 3), (1, 9), (2, 5)):
        seeds.begin(t, "kind")
        for k in range(t + 1):
            found = Draw.of(seeds.clock, seeds, "noise", "inner").seed(k).words(n)
            alone = [words(Draw.of(t, s, "noise", "inner").seed(k), n, CPU) for s in (1, 2)]
            assert torch.equal(found, torch.stack(alone))


def test_a_stack_draws_the_noise_of_its_own_step_alone():
    seeds = Seeds([1, 2], CPU)
    seeds.begin(5, "kind")
    assert Draw.of(5, seeds, "noise").t == 5
    with pytest.raises(ValueError, match="noise of step 6, and the stack is at step 5"):
        Draw.of(6, seeds, "noise")
