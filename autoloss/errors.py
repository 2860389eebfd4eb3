"""Errors meant for people: each says what is wrong, where, and how to mend it.

The command line prints them as one message without a traceback and exits with status 2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can mend: `problem` at `where`, and `mend`, what to do about it."""

    def __init__(self, where: str, problem: str, mend: str) -> None:
        super().__init__(f"{where}: {problem}\n  To mend it: {mend}")
        self.where, self.problem, self.mend = where, problem, mend

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        """Pickled by its parts: an error that cannot be leaves a pool of processes waiting."""
        return type(self), (self.where, self.problem, self.mend)


class ConfigError(UserError):
    """A configuration key or value that is unknown, missing, mistyped or out of range."""


class ClashError(ConfigError):
    """Options that are each possible, but not together."""


class DataError(UserError):
    """A raw or prepared data file that is missing, damaged or malformed."""


class MethodError(UserError):
    """A file in `baselines/` that breaks the Method contract."""


class RecordError(UserError):
    """A run record or an index that is missing, damaged or incomplete."""


class MachineError(UserError):
    """A disk, memory, a driver or a library that failed: no result of any method."""


def require_known(names: Iterable[str], known: Collection[str], kind: str, where: str) -> None:
    """Refuse a name of a `kind` of thing that is none of the `known` ones.

    Raises:
        ConfigError: at `where`, with the nearest known name.
    """
    for name in names:
        if name not in known:
            raise ConfigError(where, f"there is no {kind} '{name}'", did_you_mean(name, known))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `name`: the nearest known one, or all of them."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
