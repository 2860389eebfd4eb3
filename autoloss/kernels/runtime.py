"""Kernels: functions of raw memory, compiled once per machine and run by torch's own threads.

A second pool of threads beside torch's would wait for its work on the cores that torch's computes
on. So a kernel is started as torch starts its loops, by the OpenMP library that it brought along
(`GOMP_parallel`); where there is none, by the calling thread alone. What a kernel computes does not
depend on the number of threads: tasks are independent.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from llvmlite import binding, ir
from numba import carray, config, njit, types
from numba.extending import intrinsic
from torch import Tensor

from autoloss.kernels.cache import compiled

HERE = Path(__file__).parent
# Of numba: a product and a sum may become one operation; nothing else is rearranged.
FAST: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}
CHUNK = 64  # rows of a task, where a task is rows
_AS_DOUBLE, _AS_BITS = struct.Struct("d"), struct.Struct("q")
_Number = ctypes.CFUNCTYPE(ctypes.c_int)
_ALONE = _Number(lambda: 0), _Number(lambda: 1)  # this thread's number, and how many there are


def _openmp() -> Any:
    """The OpenMP library that torch has loaded, or None."""
    with suppress(OSError, AttributeError):  # another system's name for it, or no such mode
        return ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD)
    return None


_OPENMP = _openmp()
for _name, _found, _stub in zip(
    ("autoloss_thread", "autoloss_threads"),
    ("omp_get_thread_num", "omp_get_num_threads"),
    _ALONE,
    strict=True,
):
    _function = getattr(_OPENMP, _found) if _OPENMP else _stub
    binding.add_symbol(_name, ctypes.cast(_function, ctypes.c_void_p).value)
_thread = types.ExternalFunction("autoloss_thread", types.intc())
_threads = types.ExternalFunction("autoloss_threads", types.intc())


def _pointer_to(kind: Any) -> Any:
    """An intrinsic: an address as a pointer to `kind`."""

    @intrinsic
    def pointer(context: Any, address: Any) -> Any:
        target = types.CPointer(kind)

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(target))

        return target(types.int64), code

    return pointer


_to_float, _to_double = _pointer_to(types.float32), _pointer_to(types.float64)
_to_int, _to_long = _pointer_to(types.int32), _pointer_to(types.int64)
_to_short = _pointer_to(types.uint16)


def bitcast(source: Any, target: Any) -> Any:
    """An intrinsic: a number of type `source` as the one of type `target` with the same bits."""

    @intrinsic
    def cast(context: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), code

    return cast


real = bitcast(types.int64, types.float64)  # a float that was handed to a kernel


def intrinsic_of(result: Any, *given: Any) -> Callable[[Callable[..., Any]], Any]:
    """An intrinsic of these types, from what makes its code: `(builder, *values) -> value`."""

    def made(code: Callable[..., Any]) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            found = code(builder, *values)
            return context.get_dummy_value() if result is types.void else found

        def one(context: Any, a: Any) -> Any:
            return result(*given), generate

        def two(context: Any, a: Any, b: Any) -> Any:
            return result(*given), generate

        def three(context: Any, a: Any, b: Any, c: Any) -> Any:
            return result(*given), generate

        def four(context: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
            return result(*given), generate

        return intrinsic((one, two, three, four)[len(given) - 1])  # numba counts the arguments

    return made


def _prefetch(to_write: int) -> Any:
    """An intrinsic: have the line of memory at an address brought to the cache meanwhile."""

    @intrinsic_of(types.void, types.int64)
    def prefetch(builder: Any, address: Any) -> None:
        memory, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [memory, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch.p0", (), kind)
        how = [ir.Constant(number, value) for value in (to_write, 3, 1)]  # to stay, of data
        builder.call(function, [builder.inttoptr(address, memory), *how])

    return prefetch


fetch_line, look_at = _prefetch(1), _prefetch(0)  # to be written, and to be read only


@njit
def fetch(address, size):
    """Have all of these bytes brought there."""
    for line in range(address & -64, address + size, 64):
        fetch_line(line)


@njit
def floats(address, *shape):
    """The float32 array at `address`."""
    return carray(_to_float(address), shape)


@njit
def doubles(address, *shape):
    """The float64 array at `address`."""
    return carray(_to_double(address), shape)


@njit
def ints(address, *shape):
    """The int32 array at `address`."""
    return carray(_to_int(address), shape)


@njit
def shorts(address, *shape):
    """The uint16 array at `address`."""
    return carray(_to_short(address), shape)


@njit
def longs(address, *shape):
    """The int64 array at `address`."""
    return carray(_to_long(address), shape)


@njit
def share(tasks):
    """Which of `tasks` are this thread's: first, and one past the last."""
    thread, threads = _thread(), _threads()
    return tasks * thread // threads, tasks * (thread + 1) // threads


class Kernel:
    """A compiled function `f(a)` of its arguments `a[0], a[1], ...`, the first its tasks' number.

    Every thread calls it and does its `share` of the tasks. Tensors come as addresses, floats as
    their bits (`real`).
    """

    def __init__(self, function: Callable[[Any], None]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @cached_property
    def address(self) -> int:
        """Of the machine code; compiled when it is first asked for, or read from the cache."""
        signature = types.void(types.CPointer(types.int64))
        with _cache():
            self._compiled = compiled(self._function, signature, FAST)
        found: int = self._compiled.address
        return found

    @cached_property
    def _run(self) -> Callable[[Any], None]:
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.address)

    def __call__(self, tasks: int, *arguments: Tensor | int | float | None) -> None:
        """Run on torch's threads. Tensors must be contiguous; None is the address 0."""
        # As bytes: an array of ctypes' own would take as long again as all else here.
        packed = struct.pack(f"{len(arguments) + 1}q", tasks, *map(_as_int, arguments))
        threads = min(torch.get_num_threads(), tasks)
        if threads > 1 and _OPENMP:
            _OPENMP.GOMP_parallel(ctypes.c_void_p(self.address), packed, threads, 0)
        elif tasks:
            self._run(packed)


def chunks(rows: int) -> int:
    """Tasks of CHUNK rows."""
    return -(-rows // CHUNK)


def fits(*tensors: Tensor | None) -> bool:
    """Whether kernels take these: float32 on a CPU."""
    for tensor in tensors:  # asked a dozen times a step: a generator would cost three times as much
        if tensor is not None and (tensor.dtype is not torch.float32 or not tensor.is_cpu):
            return False
    return True


def _as_int(argument: Tensor | int | float | None) -> int:
    kind = type(argument)  # asked 20 times a call: the commonest first
    if kind is int:
        return argument  # type: ignore[return-value]
    if argument is None:
        return 0
    if kind is float:
        found: int = _AS_BITS.unpack(_AS_DOUBLE.pack(argument))[0]
        return found
    if isinstance(argument, Tensor):
        if not argument.is_contiguous():
            raise ValueError(f"a kernel was given a tensor with strides {argument.stride()}")
        return argument.data_ptr()
    return int(argument)


@contextmanager
def _cache() -> Iterator[None]:
    """Compiled code is kept beside the sources, by what they all say: numba looks at one file."""
    sources = b"".join(file.read_bytes() for file in sorted(HERE.glob("*.py")))
    before = config.CACHE_DIR
    config.CACHE_DIR = str(HERE / "__pycache__" / hashlib.sha256(sources).hexdigest()[:16])
    try:
        yield
    finally:
        config.CACHE_DIR = before
