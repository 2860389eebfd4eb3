"""The paper's candidate losses and their slopes in one pass (autoloss.losses has the formulas).

With p the probability of the true class, m its margin and E = (1 - p)^gamma, a binary task's slopes
along m are

    ce  p - 1        focal  E (gamma p log p - (1 - p))        hinge  -2 p (1 - p), or -1 if m < 1
    kl  (1 - eps / 2) (p - 1) + eps / 2 p

With C classes those of log p, log(1 - p) and the mean of log y_hat are put together. `kinds` is
`int32[n]`; a logit that is no number gives losses that are none.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.ops.kernels.maths import exp, log
from autoloss.ops.kernels.runtime import FAST, Address, Kernel, floats, ints, longs, share

FOCAL, KL, HINGE, HINGE_ON_LOGITS, CE = range(5)
_0, _1, _2, _HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)


@njit(**FAST)
def _log_of_1_plus(x):
    """log(1 + x) for x >= 0, without the rounding of 1 + x (Kahan)."""
    u = _1 + x
    return log(u) * (x / (u - _1)) if u > _1 else x


@Kernel
def binary(
    examples: int, n: int, kinds: Address, gamma: float, smoothing: float, entropy: float,
    labels: Address, logits: Address, values: Address, slopes: Address
):  # fmt: skip
    """Values and slopes `[B, n]` of logits `[B]`."""
    (first, last), kinds = share(examples), ints(kinds, n)
    gamma, half = np.float32(gamma), np.float32(smoothing / 2)
    entropy = np.float32(entropy)
    labels, logits = longs(labels, examples), floats(logits, examples)
    values, slopes = floats(values, examples * n), floats(slopes, examples * n)
    size = last - first
    true, rest = np.empty(size, np.float32), np.empty(size, np.float32)  # log p, log(1 - p)
    p, q, sign = np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.float32)
    for k in range(size):
        logit = logits[first + k]
        sign[k] = _1 if labels[first + k] == 1 else -_1
        m = sign[k] * logit
        e = exp(-abs(m))
        u = _1 + e + m * _0  # NaN where m is none
        soft = _log_of_1_plus(e) + m * _0
        true[k], rest[k] = (m if m < _0 else _0) - soft, (_0 if m < _0 else -m) - soft
        p[k], q[k] = (e if m < _0 else _1) / u, (_1 if m < _0 else e) / u
    for j in range(n):
        if kinds[j] == CE:
            for k in range(size):
                values[(first + k) * n + j] = -true[k]
                slopes[(first + k) * n + j] = -sign[k] * q[k]
        elif kinds[j] == FOCAL:
            for k in range(size):
                weight = exp(gamma * rest[k])
                values[(first + k) * n + j] = -weight * true[k]
                slopes[(first + k) * n + j] = sign[k] * weight * (gamma * p[k] * true[k] - q[k])
        elif kinds[j] == KL:
            for k in range(size):
                values[(first + k) * n + j] = entropy - (_1 - half) * true[k] - half * rest[k]
                slopes[(first + k) * n + j] = sign[k] * (half * p[k] - (_1 - half) * q[k])
        elif kinds[j] == HINGE:
            for k in range(size):
                values[(first + k) * n + j] = _2 * q[k]
                slopes[(first + k) * n + j] = -_2 * sign[k] * p[k] * q[k]
        else:
            for k in range(size):
                lacking = _1 - sign[k] * logits[first + k]
                values[(first + k) * n + j] = _0 if lacking < _0 else lacking
                slopes[(first + k) * n + j] = -sign[k] if lacking > _0 else _0


@Kernel
def classes(
    examples: int, n: int, kinds: Address, gamma: float, smoothing: float, entropy: float,
    labels: Address, logits_at: Address, values_at: Address, slopes_at: Address, c: int,
    outside: Address
):  # fmt: skip
    """Values `[B, n]` and slopes `[B, n, C]` of logits `[B, C]`, for C = c classes.

    A label that is none of the C classes gives no losses, and `outside` is set.
    """
    (first, last), kinds = share(examples), ints(kinds, n)
    gamma, eps, entropy = np.float32(gamma), np.float32(smoothing), np.float32(entropy)
    labels = longs(labels, examples)
    logs, probs, of_rest = np.empty(c, np.float32), np.empty(c, np.float32), np.empty(c, np.float32)
    for i in range(first, last):
        logits, values = floats(logits_at + 4 * c * i, c), floats(values_at + 4 * n * i, n)
        y = labels[i]
        if y < 0 or y >= c:
            longs(outside, 1)[0] = 1
            continue
        top, none, rival = 0, _0, -1
        for k in range(c):
            none += logits[k] * _0  # NaN where a logit is
            top = k if logits[k] > logits[top] else top
            if k != y and (rival < 0 or logits[k] > logits[rival]):
                rival = k
        total = none  # but for the largest's, which is 1
        for k in range(c):
            probs[k] = exp(logits[k] - logits[top])
            total += _0 if k == top else probs[k]
        mean, soft = _0, _log_of_1_plus(total) + none
        for k in range(c):
            logs[k] = logits[k] - logits[top] - soft
            probs[k] /= _1 + total
            mean += logs[k] / np.float32(c)
        others = _0
        for k in range(c):
            of_rest[k] = _0 if k == y else exp(logs[k] - logs[rival])
            others += of_rest[k]
        rest = logs[rival] + log(others)
        for k in range(c):
            of_rest[k] = of_rest[k] / others - probs[k]
        for j in range(n):
            slopes = floats(slopes_at + 4 * c * (i * n + j), c)
            if kinds[j] == CE:
                values[j] = -logs[y]
                for k in range(c):
                    slopes[k] = probs[k] - (_1 if k == y else _0)
            elif kinds[j] == FOCAL:
                weight = exp(gamma * rest)
                values[j] = -weight * logs[y]
                for k in range(c):
                    of_true = (_1 if k == y else _0) - probs[k]
                    slopes[k] = -weight * (gamma * logs[y] * of_rest[k] + of_true)
            elif kinds[j] == KL:
                values[j] = entropy - (_1 - eps) * logs[y] - eps * mean
                for k in range(c):
                    slopes[k] = probs[k] - (_1 - eps if k == y else _0) - eps / np.float32(c)
            elif kinds[j] == HINGE:
                share_of_rest, best = exp(rest), exp(logs[rival])
                values[j] = share_of_rest + best
                for k in range(c):
                    of_best = (_1 if k == rival else _0) - probs[k]
                    slopes[k] = share_of_rest * of_rest[k] + best * of_best
            else:
                lacking = _1 - logits[y] + logits[rival]
                values[j] = _0 if lacking < _0 else lacking
                active = _1 if lacking > _0 else _0
                for k in range(c):
                    at = (_1 if k == rival else _0) - (_1 if k == y else _0)
                    slopes[k] = active * at
