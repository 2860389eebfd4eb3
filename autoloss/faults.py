"""Whose an error is: the machine's, which stops a job, or the method's, which is a result.

A disk, memory, a library or a driver that fails says nothing of a method, wherever in its code it
shows itself. Such an error becomes a `MachineError`: nothing is recorded, and the run goes on from
its last checkpoint when the fault is gone. Everything else that a run raises is the method's own.
"""

from __future__ import annotations

import errno
import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoloss.errors import MachineError, UserError

OF_THE_MACHINE = (OSError, MemoryError, ImportError, EOFError, pickle.PickleError)
# What torch and threading say in a RuntimeError: of drivers, allocators, files and processes.
SAID_BY_THE_MACHINE = re.compile(
    r"CUDA error|CUDA driver|CUDA out of memory|CUDNN_STATUS|CUBLAS_STATUS|cuDNN error|NCCL error"
    r"|No CUDA GPUs|NVIDIA driver|can't allocate memory|not enough memory|alloc_cpu"
    r"|PytorchStream(Reader|Writer)|can't start new thread|unable to (mmap|open shared memory)"
)
_ROOM, _RIGHTS = "make room on that disk", "make it writable and readable for you"
MENDS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "lift the limit on the size of files (`ulimit -f unlimited`)",
    errno.EMFILE: "lift the limit on open files (`ulimit -n`)",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "mount that file system to be written to",
}
MEMORY = "give the job more memory, or lower training.batch_size or the number of jobs at a time"
LIBRARY = "install what is missing (`make setup`)"
OTHER = "see to that machine's disk, memory, driver or libraries"
AGAIN = "then run the command again: what is done is kept, a run goes on from its last checkpoint"


def fault_in(error: BaseException) -> BaseException | None:
    """What the machine did in `error` or in what led to it; None if it is the method's own."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        if _is_of_the_machine(link):
            return link
        seen.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return None


def machine_error(fault: BaseException, where: str) -> MachineError:
    """What to tell of a fault: the file it names, or `where` it was met, and how to mend it."""
    if isinstance(fault, OSError):
        named = os.fsdecode(fault.filename) if isinstance(fault.filename, str | bytes) else where
        said = fault.strerror or str(fault) or type(fault).__name__
        problem, mend = f"cannot be read or written: {said}", MENDS.get(fault.errno or 0, OTHER)
        return MachineError(named, problem, f"{mend}, {AGAIN}")
    problem = f"{type(fault).__name__}: {fault}".removesuffix(": ")
    mend = OTHER
    if isinstance(fault, MemoryError) or "memory" in problem.lower():
        mend = MEMORY
    elif isinstance(fault, ImportError):
        mend = LIBRARY
    return MachineError(where, f"a fault of the machine, {problem}", f"{mend}, {AGAIN}")


@contextmanager
def machine_faults(where: str | Path) -> Iterator[None]:
    """Within it, a fault of the machine becomes a `MachineError` that tells `where`.

    Raises:
        MachineError: in place of such a fault; other errors pass.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (fault := fault_in(error)) is None:
            raise
        raise machine_error(fault, str(where)) from error


def _is_of_the_machine(error: BaseException) -> bool:
    if isinstance(error, OF_THE_MACHINE) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and bool(SAID_BY_THE_MACHINE.search(str(error)))
