"""AutoInt's attention (Song et al. 2019, Eq. 5 to 8) of many examples at once, one a lane.

Eight fields and eight numbers a head are too few for a matrix product or a vector. So LANES
examples are turned around, `[LANES, n]` to `[n, LANES]`, and each number of theirs is a vector.
With query, key, value and residual q, k, v, r of a field and a head:

    s_ij = <q_i, k_j>       A_i = softmax_j s_i       o_i = relu(sum_j A_ij v_j + r_i)
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.ops.kernels.maths import exp
from autoloss.ops.kernels.runtime import FAST, Address, Kernel, floats, share
from autoloss.ops.kernels.transpose import turn

LANES = 64


@njit(**FAST)
def _add_product(to, a, b):
    """to += a b, of vectors at these addresses."""
    x, y, z = floats(a, LANES), floats(b, LANES), floats(to, LANES)
    for lane in range(LANES):
        z[lane] += x[lane] * y[lane]


@Kernel
def forward(
    blocks: int, examples: int, fields: int, heads: int, d: int, projected: Address,
    all_lanes: Address, all_weights: Address, output: Address
):  # fmt: skip
    """The output `[B, F, heads d]`, of `projected` `[B, F, 4, heads, d]`.

    `all_lanes` is `projected` turned around, `[blocks, F 4 heads d, LANES]`; all A have the
    shape `[blocks, heads, F, F, LANES]`. Both are for `backward`.
    """
    first, last = share(blocks)
    width, vector = heads * d, 4 * LANES
    out = np.empty((fields * width, LANES), np.float32)
    most, total = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for block in range(first, last):
        begin = block * LANES
        n = min(LANES, examples - begin)
        lanes = all_lanes + vector * block * 4 * fields * width
        weights = all_weights + vector * block * heads * fields * fields
        floats(lanes, 4 * fields * width * LANES)[:] = 0  # of lanes without an example
        size = 4 * fields * width
        turn(projected + 4 * begin * size, size, n, size, lanes, LANES)
        for h in range(heads):
            for i in range(fields):
                query = lanes + vector * (i * 4 * width + h * d)
                scores = weights + vector * (h * fields + i) * fields
                s = floats(scores, fields * LANES)
                s[:] = 0
                most[:] = -np.inf
                for j in range(fields):
                    key = lanes + vector * ((j * 4 + 1) * width + h * d)
                    for e in range(d):
                        _add_product(scores + vector * j, query + vector * e, key + vector * e)
                    one = floats(scores + vector * j, LANES)
                    for lane in range(LANES):
                        most[lane] = max(most[lane], one[lane])
                total[:] = 0
                for j in range(fields):
                    one = floats(scores + vector * j, LANES)
                    for lane in range(LANES):
                        one[lane] = exp(one[lane] - most[lane])
                    for lane in range(LANES):
                        total[lane] += one[lane]
                for j in range(fields):
                    one = floats(scores + vector * j, LANES)
                    for lane in range(LANES):
                        one[lane] /= total[lane]
                for e in range(d):
                    to = out.ctypes.data + vector * (i * width + h * d + e)
                    z = floats(to, LANES)
                    rest = floats(lanes + vector * ((i * 4 + 3) * width + h * d + e), LANES)
                    for lane in range(LANES):
                        z[lane] = rest[lane]
                    for j in range(fields):
                        value = lanes + vector * ((j * 4 + 2) * width + h * d + e)
                        _add_product(to, scores + vector * j, value)
                    for lane in range(LANES):
                        z[lane] = np.float32(0) if z[lane] < 0 else z[lane]
        size = fields * width
        turn(out.ctypes.data, LANES, size, n, output + 4 * begin * size, size)


@Kernel
def backward(
    blocks: int, examples: int, fields: int, heads: int, d: int, all_lanes: Address,
    all_weights: Address, output: Address, gradient: Address, of_projected: Address
):  # fmt: skip
    """The gradient of `projected`, from that of the output."""
    first, last = share(blocks)
    width, vector = heads * d, 4 * LANES
    of_lanes = np.empty((4 * fields * width, LANES), np.float32)
    out = np.zeros((fields * width, LANES), np.float32)
    slope = np.zeros((fields * width, LANES), np.float32)
    of_weights = np.empty((fields, LANES), np.float32)
    along = np.empty(LANES, np.float32)
    flat_out, flat_slope = out.reshape(-1), slope.reshape(-1)
    for block in range(first, last):
        begin = block * LANES
        n = min(LANES, examples - begin)
        lanes = all_lanes + vector * block * 4 * fields * width
        weights = all_weights + vector * block * heads * fields * fields
        size = fields * width
        turn(output + 4 * begin * size, size, n, size, out.ctypes.data, LANES)
        turn(gradient + 4 * begin * size, size, n, size, slope.ctypes.data, LANES)
        for k in range(len(flat_out)):
            flat_slope[k] = flat_slope[k] if flat_out[k] > 0 else np.float32(0)
        of_lanes[:] = 0
        for h in range(heads):
            for i in range(fields):
                own = 4 * i * width + h * d
                g = slope.ctypes.data + vector * (i * width + h * d)
                scores = weights + vector * (h * fields + i) * fields
                of_weights[:] = 0
                along[:] = 0
                for e in range(d):
                    of_lanes[own + 3 * width + e] = slope[i * width + h * d + e]
                for j in range(fields):
                    value = (4 * j + 2) * width + h * d
                    to = of_weights.ctypes.data + vector * j
                    of_value = of_lanes.ctypes.data + vector * value
                    for e in range(d):
                        _add_product(to, g + vector * e, lanes + vector * (value + e))
                    for e in range(d):
                        _add_product(of_value + vector * e, scores + vector * j, g + vector * e)
                    one, of_one = floats(scores + vector * j, LANES), floats(to, LANES)
                    for lane in range(LANES):
                        along[lane] += one[lane] * of_one[lane]
                for j in range(fields):
                    key = (4 * j + 1) * width + h * d
                    to = of_weights.ctypes.data + vector * j
                    one, of_one = floats(scores + vector * j, LANES), floats(to, LANES)
                    for lane in range(LANES):
                        of_one[lane] = one[lane] * (of_one[lane] - along[lane])
                    of_query = of_lanes.ctypes.data + vector * own
                    of_key = of_lanes.ctypes.data + vector * key
                    for e in range(d):
                        _add_product(of_query + vector * e, to, lanes + vector * (key + e))
                    for e in range(d):
                        _add_product(of_key + vector * e, to, lanes + vector * (own + e))
        turn(of_lanes.ctypes.data, LANES, 4 * size, n, of_projected + 16 * begin * size, 4 * size)
