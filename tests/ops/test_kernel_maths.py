"""Kernels' own arithmetic and draws: against numpy's in double precision, and what is promised."""

import struct

import numpy as np
import pytest
import torch
from numba import njit
from scipy import stats

from autoloss.ops.kernels import maths
from autoloss.ops.kernels.lanes import LANES, load, root, spread, store, total
from autoloss.ops.kernels.random import words
from autoloss.ops.kernels.runtime import FAST, Kernel, fits
from autoloss.ops.kernels.transpose import transposed
from autoloss.ops.kernels.weights import gumbel_softmax
from tests.interpreter import printed_by


def mapped(function):
    @njit(**FAST)
    def over(x, y):
        for k in range(len(x)):
            y[k] = function(x[k])

    def run(x):
        y = np.empty_like(x)
        over(x, y)
        return y

    return run


def units_off(found, exact):
    """Errors in units of the last place."""
    return np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))


def test_exp_and_log_are_within_2_units_of_the_last_place():
    draw = np.random.default_rng(0)
    x = draw.uniform(-87, 88, 200_000).astype(np.float32)
    assert units_off(mapped(maths.exp)(x), np.exp(x.astype(float))).max() < 2
    for x in (np.exp(draw.uniform(-80, 80, 200_000)), draw.uniform(0.9, 1.1, 200_000)):
        x = x[x != 1].astype(np.float32)
        x = x[x != 1]
        assert units_off(mapped(maths.log)(x), np.log(x.astype(float))).max() < 2


def test_exp_at_its_ends():
    found = mapped(maths.exp)(np.array([-np.inf, -200, 200, np.inf, np.nan], np.float32))
    assert (found[:2] > 0).all()
    assert (found[:2] < 1e-37).all()
    assert np.isfinite(found[2:4]).all()
    assert np.isnan(found[4])
    assert mapped(maths.log)(np.ones(1, np.float32)) == 0


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_draws_depend_on_seed_and_place_not_on_threads(threads):
    found = []
    for count, n in ((1, 1000), (2, 1000), (2, 10)):
        threads(count)
        to = torch.empty(n, dtype=torch.int64)
        words(n, 7, to)
        found.append(to)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0][:10], found[2])
    assert len(found[0].unique()) == 1000


@pytest.mark.parametrize("count", [1, 2])
def test_the_largest_weight_is_drawn_as_often_as_its_score_says(threads, count):
    threads(count)
    scores = torch.tensor([1.0, 0.0, -1.0, 0.5]).expand(100_000, 4).contiguous()
    weights = torch.empty_like(scores)
    gumbel_softmax(len(scores), 4, scores, 3, 1 / 0.7, weights)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(scores)))
    counts = weights.argmax(dim=1).bincount(minlength=4).numpy()
    expected = scores[0].double().softmax(dim=0).numpy() * len(scores)
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_gumbel_softmax_of_what_is_no_number_is_none():
    scores = torch.tensor([[0.0, float("nan")], [0.0, 1.0]])
    weights = torch.empty_like(scores)
    gumbel_softmax(2, 2, scores, 3, 1.0, weights)
    assert weights[0].isnan().all()
    assert not weights[1].isnan().any()


@pytest.mark.parametrize("shape", [(1, 1), (37, 21), (128, 64), (200, 16)])
@pytest.mark.parametrize("count", [1, 2])
def test_a_matrix_is_turned_around(threads, shape, count):
    threads(count)
    x = torch.randn(*shape)
    assert torch.equal(transposed(x), x.t())


def test_an_integer_where_a_kernel_takes_a_real_number_is_that_number():
    scores, weights = torch.randn(5, 3), torch.empty(2, 5, 3)
    for steep, to in zip((2, 2.0), weights, strict=True):
        gumbel_softmax(5, 3, scores, 7, steep, to)
    assert torch.equal(weights[0], weights[1])
    with pytest.raises(struct.error):
        gumbel_softmax(5, 3, scores, 7.5, 2.0, weights[0])


def test_memory_of_another_layout_is_refused():
    with pytest.raises(ValueError, match="strides"):
        transposed(torch.randn(20, 30).t())


def test_kernels_take_single_precision_alone():
    assert fits(torch.zeros(1), None)
    assert not fits(torch.zeros(1).double())
    assert not fits(torch.zeros(1), torch.zeros(1, device="meta"))


def test_without_openmp_the_calling_thread_does_all():
    code = """
import ctypes, torch
real = ctypes.CDLL
def refuse(name, *args, **kwargs):
    if name == "libgomp.so.1":
        raise OSError
    return real(name, *args, **kwargs)
ctypes.CDLL = refuse
from autoloss.ops.kernels import runtime
from autoloss.ops.kernels.transpose import transposed
assert runtime._OPENMP is None
x = torch.randn(70, 33)
assert torch.equal(transposed(x), x.t())
"""
    assert printed_by(code) == ""


def test_where_nothing_can_be_written_a_kernel_is_compiled_for_the_process(monkeypatch):
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    to = torch.empty(3, dtype=torch.int64)
    Kernel(words.function)(3, 7, to)
    expected = torch.empty(3, dtype=torch.int64)
    words(3, 7, expected)
    assert torch.equal(to, expected)


@pytest.mark.parametrize("n", [1, 5, 15, 16, 17])
def test_lanes_compute_and_write_the_first_n_only(n):
    @njit
    def compute(a, b, to, n):
        x, y = load(a, n), load(b, n)
        half = spread(np.float32(0.5))
        store(to, (x + y) * np.float32(2) - root(y) / half, n)
        return total(x)

    a, b = (np.random.default_rng(k).uniform(1, 2, 20).astype(np.float32) for k in range(2))
    to = np.zeros(20, np.float32)
    found = compute(*(x.ctypes.data for x in (a, b, to)), n)
    few = min(n, LANES)
    np.testing.assert_allclose(to[:few], ((a + b) * 2 - np.sqrt(b) / 0.5)[:few], rtol=1e-6)
    assert not to[few:].any()
    assert found == pytest.approx(a[:few].sum(), rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (48, 32), (37, 50), (5, 100), (600, 17)])
def test_a_transpose_is_torchs(shape):
    x = torch.randn(shape)
    assert torch.equal(transposed(x), x.t())
