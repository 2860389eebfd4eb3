"""exp and log that become vectors, for float32: the C library's take a number at a time.

The polynomials are those of Cephes (Moshier 1989, expf and logf); errors are below 2 units in the
last place (tests/ops/test_kernel_maths.py).
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from autoloss.ops.kernels.runtime import FAST, bitcast

_f = np.float32
_LOG2_E, _LN2_HIGH, _LN2_LOW = _f(1.44269504), _f(0.693359375), _f(-2.12194440e-4)
_E0, _E1, _E2 = _f(1.9875691500e-4), _f(1.3981999507e-3), _f(8.3334519073e-3)
_E3, _E4, _E5 = _f(4.1665795894e-2), _f(1.6666665459e-1), _f(5.0000001201e-1)
_L0, _L1, _L2 = _f(7.0376836292e-2), _f(-1.1514610310e-1), _f(1.1676998740e-1)
_L3, _L4, _L5 = _f(-1.2420140846e-1), _f(1.4249322787e-1), _f(-1.6668057665e-1)
_L6, _L7, _L8 = _f(2.0000714765e-1), _f(-2.4999993993e-1), _f(3.3333331174e-1)
_ONE, _HALF, _ROOT_HALF = _f(1), _f(0.5), _f(0.70710678)
_LEAST, _MOST = _f(-87.3), _f(88.0)


_bits, _float = bitcast(types.float32, types.int32), bitcast(types.int32, types.float32)


@njit(**FAST)
def exp(x):
    """e^x; below -87.3 and above 88 as at these. NaN stays NaN."""
    given = x
    x = min(max(x, _LEAST), _MOST)
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    y = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
    found = (y * r * r + r + _ONE) * _float((np.int32(n) + np.int32(127)) << np.int32(23))
    return given if given != given else found


@njit(**FAST)
def log(x):
    """ln x of a positive normal number."""
    bits = _bits(x)
    exponent = (bits >> np.int32(23)) - np.int32(126)
    m = _float((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000))  # in [0.5, 1)
    small = m < _ROOT_HALF
    r = (m + m if small else m) - _ONE
    n = _f(exponent - np.int32(1)) if small else _f(exponent)
    y = (((((((_L0 * r + _L1) * r + _L2) * r + _L3) * r + _L4) * r + _L5) * r + _L6) * r + _L7) * r
    z = r * r
    return r + ((y + _L8) * r * z + n * _LN2_LOW - _HALF * z) + n * _LN2_HIGH
