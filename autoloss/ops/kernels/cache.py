"""Compiled kernels on disk: each in a file of its own, sealed, and made anew where it is not sound.

numba's own cache believes what it reads: a cut file is an error for ever, a garbled one may be
machine code. Here a file begins with SHA-256 over the rest of it, and is named by all that the code
depends on. What cannot be read, verified or written costs a compilation and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature

SEAL = hashlib.sha256().digest_size


class SealedCache(FunctionCache):  # type: ignore[misc]  # numba has no types
    """The place of one function's code, as `CFunc` asks for it."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function, or None where there is none that is sound."""
        target_context.refresh()
        try:
            content = self._file(sig, target_context.codegen()).read_bytes()
            seal, code = content[:SEAL], content[SEAL:]
            if hashlib.sha256(code).digest() != seal:
                return None
            return self._impl.rebuild(target_context, pickle.loads(code))
        except MemoryError:
            raise
        except Exception:  # whatever a bad file does to pickle, numba or LLVM: it is made anew
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep it, by a temporary name and a rename; a disk that refuses is no reason to stop."""
        if not self._impl.check_cachable(data):
            return
        file = self._file(sig, data.codegen)
        code = pickle.dumps(self._impl.reduce(data), protocol=pickle.HIGHEST_PROTOCOL)
        temporary = file.with_name(f"{file.name}.{uuid.uuid4().hex[:16]}.tmp")
        with suppress(OSError):
            self._impl.locator.ensure_cache_path()
            try:
                temporary.write_bytes(hashlib.sha256(code).digest() + code)
                os.replace(temporary, file)
            finally:
                temporary.unlink(missing_ok=True)

    def _file(self, sig: Any, codegen: Any) -> Path:
        """Named by versions, signature, processor and the function's code."""
        key = numba.__version__, llvmlite.__version__, self._index_key(sig, codegen)
        name = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        return Path(self.cache_path) / f"{self._impl.filename_base}.{name}.nbc"


def compiled(function: Callable[[Any], None], signature: Any, options: dict[str, Any]) -> Any:
    """`function` as machine code: from the cache if a sound file is there, else compiled."""
    made: Any = CFunc(function, normalize_signature(signature), locals={}, options=options)
    with suppress(RuntimeError, OSError):  # nowhere to write: every process compiles for itself
        made._cache = SealedCache(function)
    made.compile()
    return made
