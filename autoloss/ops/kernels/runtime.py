"""Kernels: functions of raw memory, compiled once per machine and run by torch's own threads.

A second pool of threads beside torch's would wait for its work on the cores that torch's computes
on. So a kernel is started as torch starts its loops, by the OpenMP library that it brought along
(`GOMP_parallel`); where there is none, by the calling thread alone. What a kernel computes does not
depend on the number of threads: tasks are independent.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch
from llvmlite import binding, ir
from numba import carray, config, njit, types
from numba.extending import intrinsic
from torch import Tensor

from autoloss.ops.kernels.cache import compiled

HERE = Path(__file__).parent
# Of numba: a product and a sum may become one operation; nothing else is rearranged.
FAST: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}
CHUNK = 64  # rows of a task, where a task is rows
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


real = bitcast(types.int64, types.float64)
Address: TypeAlias = Any  # see `entry`; inside a kernel these are numbers
Rest: TypeAlias = Any


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


_ARGUMENTS = types.CPointer(types.int64)


@intrinsic_of(types.int64, _ARGUMENTS)
def _place(builder: Any, pointer: Any) -> Any:
    return builder.ptrtoint(pointer, ir.IntType(64))


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


def entry(function: Callable[..., None]) -> Callable[[Any], None]:
    """`function` as OpenMP calls it: of one pointer to all arguments, each of 64 bits.

    Its annotations say what each is: an `int`, a `float`, the `Address` of a tensor's first number,
    or, last of them, `Rest`: the address of all arguments that follow.
    """
    read = {"int": "a[{}]", "Address": "a[{}]", "float": "_real(a[{}])"}
    read["Rest"] = "_place(a) + 8 * {}"
    arguments = ", ".join(read[kind].format(k) for k, kind in enumerate(_kinds(function)))
    source = f"def {function.__name__}(a):\n    _function({arguments})"
    names = {"__name__": function.__module__, "_function": njit(**FAST)(function)}
    names |= {"_real": real, "_place": _place}
    exec(compile(source, inspect.getfile(function), "exec"), names)  # numba keeps it by that file
    made: Callable[[Any], None] = names[function.__name__]
    return made


def _kinds(function: Callable[..., None]) -> list[str]:
    return [kind for name, kind in function.__annotations__.items() if name != "return"]


class Kernel:
    """A compiled function of named arguments (see `entry`), the first its tasks' number.

    Every thread calls it and does its `share` of the tasks.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        kinds = _kinds(function)
        self._format = "".join("d" if kind == "float" else "q" for kind in kinds if kind != "Rest")

    @cached_property
    def address(self) -> int:
        """Of the machine code; compiled when it is first asked for, or read from the cache."""
        with _cache():
            self._compiled = compiled(entry(self.function), types.void(_ARGUMENTS), FAST)
        place: int = self._compiled.address
        return place

    @cached_property
    def _run(self) -> Callable[[Any], None]:
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.address)

    def __call__(self, tasks: int, *arguments: Tensor | int | float | None) -> None:
        """Run on torch's threads. Tensors must be contiguous; None is the address 0."""
        # As bytes: an array of ctypes' own would take as long again as all else here.
        more = len(arguments) + 1 - len(self._format)
        packed = struct.pack(f"{self._format}{more}q", tasks, *map(_as_number, arguments))
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


def _as_number(argument: Tensor | int | float | None) -> int | float:
    kind = type(argument)  # asked 20 times a call: the commonest first
    if kind is int or kind is float:
        return argument  # type: ignore[return-value]
    if argument is None:
        return 0
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
