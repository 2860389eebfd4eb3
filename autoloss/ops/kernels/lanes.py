"""Sixteen float32 at once, as one value: a row of a table is short, and a loop over so few numbers,
of a length that is not known beforehand, is compiled to one number at a time.

`load(address, n)` and `store(address, lanes, n)` take the first n of them, all from 16 on; between,
lanes and numbers are added, multiplied and so on lane by lane.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.datamodel import models
from numba.extending import overload, register_model

from autoloss.ops.kernels.runtime import FAST, intrinsic_of

LANES = 16
_ROW = ir.VectorType(ir.FloatType(), LANES)
_INT = ir.IntType(32)
_ZERO = ir.Constant(_ROW, [0.0] * LANES)
_CONTRACT = ("contract",)  # as in runtime.FAST


class Lanes(types.Type):  # type: ignore[misc]  # numba has no types
    """The type of sixteen float32, to numba."""

    def __init__(self) -> None:
        super().__init__("lanes")


lanes = Lanes()


@register_model(Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _ROW)


def shuffled(builder: Any, a: Any, b: Any, which: Sequence[int]) -> Any:
    """Of a's lanes, numbered from 0, and b's, from 16: these."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT, LANES), list(which)))


def _splat(builder: Any, number: Any) -> Any:
    kind = ir.VectorType(number.type, LANES)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(_INT, 0))
    return shuffled(builder, one, one, [0] * LANES)


def _first(builder: Any, n: Any) -> Any:
    """A mask of the first n lanes."""
    numbers = ir.Constant(ir.VectorType(_INT, LANES), list(range(LANES)))
    return builder.icmp_signed("<", numbers, _splat(builder, builder.trunc(n, _INT)))


def row_at(builder: Any, address: Any) -> Any:
    """The lanes in memory at an address."""
    return builder.inttoptr(address, _ROW.as_pointer())


def _call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(builder.module.declare_intrinsic(name, (), kind), values)


@intrinsic_of(lanes, types.int64)
def _load(builder: Any, address: Any) -> Any:
    return builder.load(row_at(builder, address), align=4)


@intrinsic_of(lanes, types.int64, types.int64)
def _load_first(builder: Any, address: Any, n: Any) -> Any:
    given = row_at(builder, address), ir.Constant(_INT, 4), _first(builder, n), _ZERO
    return _call(builder, "llvm.masked.load.v16f32.p0", _ROW, *given)


@intrinsic_of(types.void, types.int64, lanes)
def _store(builder: Any, address: Any, values: Any) -> None:
    builder.store(values, row_at(builder, address), align=4)


@intrinsic_of(types.void, types.int64, lanes, types.int64)
def _store_first(builder: Any, address: Any, values: Any, n: Any) -> None:
    given = values, row_at(builder, address), ir.Constant(_INT, 4), _first(builder, n)
    _call(builder, "llvm.masked.store.v16f32.p0", ir.VoidType(), *given)


@intrinsic_of(lanes, types.float32)
def spread(builder: Any, number: Any) -> Any:
    """A number in every lane."""
    return _splat(builder, number)


@intrinsic_of(lanes, lanes)
def root(builder: Any, values: Any) -> Any:
    """Square roots."""
    return _call(builder, "llvm.sqrt.v16f32", _ROW, values)


@intrinsic_of(lanes, lanes)
def rectified(builder: Any, values: Any) -> Any:
    """The values, 0 for those below; NaN stays NaN."""
    return builder.select(builder.fcmp_ordered("<", values, _ZERO), _ZERO, values)


@intrinsic_of(lanes, lanes, lanes)
def where_positive(builder: Any, signs: Any, values: Any) -> Any:
    """The values where the signs are above 0, else 0; NaN is not above."""
    return builder.select(builder.fcmp_ordered(">", signs, _ZERO), values, _ZERO)


@intrinsic_of(lanes, types.int64, types.int16, lanes)
def drawn(builder: Any, address: Any, lowest: Any, values: Any) -> Any:
    """The values where the int16 in memory at an address are not below `lowest`, else 0."""
    kind = ir.VectorType(ir.IntType(16), LANES)
    draws = builder.load(builder.inttoptr(address, kind.as_pointer()), align=2)
    return builder.select(builder.icmp_signed(">=", draws, _splat(builder, lowest)), values, _ZERO)


@intrinsic_of(types.float32, lanes)
def total(builder: Any, values: Any) -> Any:
    """The sum over lanes, halves added to halves: the same wherever it is compiled."""
    for side in (8, 4, 2, 1):
        turned = [(lane + side) % LANES for lane in range(LANES)]
        values = builder.fadd(values, shuffled(builder, values, values, turned))
    return builder.extract_element(values, ir.Constant(_INT, 0))


def _arithmetic(symbol: Callable[[Any, Any], Any], code: str) -> None:
    """Let numba compute `symbol` of lanes, and of lanes and numbers."""

    @intrinsic_of(lanes, lanes, lanes)
    def both(builder: Any, a: Any, b: Any) -> Any:
        return getattr(builder, code)(a, b, flags=_CONTRACT)

    @overload(symbol)
    def choose(a, b):  # type: ignore[no-untyped-def]  # numba compares this with what is found
        if a is lanes and b is lanes:
            return lambda a, b: both(a, b)
        if a is lanes and b is types.float32:
            return lambda a, b: both(a, spread(b))
        if a is types.float32 and b is lanes:
            return lambda a, b: both(spread(a), b)
        return None


for _symbol, _code in (
    (operator.add, "fadd"),
    (operator.iadd, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _arithmetic(_symbol, _code)


@njit(**FAST)
def load(address, n):
    """The first n numbers from `address`, others 0."""
    return _load(address) if n >= LANES else _load_first(address, n)


@njit(**FAST)
def store(address, values, n):
    """Write the first n."""
    if n >= LANES:
        _store(address, values)
    else:
        _store_first(address, values, n)
