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
from numba import carray, cfunc, config, njit, types
from numba.extending import intrinsic
from torch import Tensor

HERE = Path(__file__).parent
# Of numba: a product and a sum may become one operation; nothing else is rearranged.
FAST: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}
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


def bitcast(source: Any, target: Any) -> Any:
    """An intrinsic: a number of type `source` as the one of type `target` with the same bits."""

    @intrinsic
    def cast(context: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), code

    return cast


real = bitcast(types.int64, types.float64)  # a float that was handed to a kernel


@intrinsic
def _fetch(context: Any, address: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = ir.IntType(8).as_pointer()
        kinds = [memory, *[ir.IntType(32)] * 3]
        function = builder.module.declare_intrinsic(
            "llvm.prefetch.p0", (), ir.FunctionType(ir.VoidType(), kinds)
        )
        # To be written, to stay, of data.
        how = [ir.Constant(ir.IntType(32), number) for number in (1, 3, 1)]
        builder.call(function, [builder.inttoptr(arguments[0], memory), *how])
        return context.get_dummy_value()

    return types.void(types.int64), code


@njit
def fetch(address, size):
    """Have these bytes brought to the cache meanwhile."""
    for line in range(address & -64, address + size, 64):
        _fetch(line)


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
        try:
            with _cache():
                self._compiled = cfunc(signature, cache=True, **FAST)(self._function)
        except RuntimeError:  # nowhere to write: every process compiles for itself
            self._compiled = cfunc(signature, **FAST)(self._function)
        found: int = self._compiled.address
        return found

    @cached_property
    def _run(self) -> Callable[[Any], None]:
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.address)

    def __call__(self, tasks: int, *arguments: Tensor | int | float | None) -> None:
        """Run on torch's threads. Tensors must be contiguous; None is the address 0."""
        packed = (ctypes.c_int64 * (len(arguments) + 1))(tasks, *map(_as_int, arguments))
        threads = min(torch.get_num_threads(), tasks)
        if threads > 1 and _OPENMP:
            _OPENMP.GOMP_parallel(ctypes.c_void_p(self.address), packed, threads, 0)
        elif tasks:
            self._run(packed)


def fits(*tensors: Tensor | None) -> bool:
    """Whether kernels take these: float32 on a CPU."""
    return all(t is None or (t.dtype is torch.float32 and t.device.type == "cpu") for t in tensors)


def _as_int(argument: Tensor | int | float | None) -> int:
    if isinstance(argument, Tensor):
        if not argument.is_contiguous():
            raise ValueError(f"a kernel was given a tensor with strides {argument.stride()}")
        return argument.data_ptr()
    if isinstance(argument, float):
        found: int = struct.unpack("<q", struct.pack("<d", argument))[0]
        return found
    return argument or 0


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
