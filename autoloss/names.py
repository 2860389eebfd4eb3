"""What may be called what: names that rules, files, rows and statistics tell apart from all others.

A variant is a method with something changed. What its name looks like is said here alone, so that
no method can have such a name.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

# Of data sets, sources and studies: they stand in paths, in rules' wildcards and on command lines.
PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
TAKEN = ("reference", "fetch", "prepare")  # folders of results/ and logs/ that are no study's
WORD = r"[a-z][a-z0-9_]*"
WORD_MEND = "use small letters, digits and _, a letter first, and no word of Python"
EVERY, UNDER = "_every_", "_under_"


def _not_taken(name: str) -> str:
    if name in TAKEN:
        raise ValueError(f"'{name}' is a folder's that is no study's")
    return name


Name = Annotated[str, Field(pattern=f"^{PATTERN}$", max_length=100)]
StudyName = Annotated[Name, AfterValidator(_not_taken)]


def at_frequency(method: str, every: int) -> str:
    """The name of a method with an outer step every so many steps."""
    return f"{method}{EVERY}{every}"


def under_reading(method: str, reading: str) -> str:
    """The name of a method under another reading of an open choice."""
    return f"{method}{UNDER}{reading}"


def varied(name: str) -> str:
    """The method whose variant `name` is; `name` itself if it is none."""
    return re.split(rf"{UNDER}|{EVERY}\d+$", name)[0]


def is_word(name: str) -> bool:
    """Whether `name` can be a module's, and so a method's, a model's or a loss's."""
    return bool(re.fullmatch(WORD, name)) and not keyword.iskeyword(name)


def name_problem(name: str, own: str) -> tuple[str, str] | None:
    """Why `name` cannot name a method, and the mend; None if it can. `own` is our method."""
    if not is_word(name):
        return f"'{name}' cannot name a method", WORD_MEND
    if UNDER in name or re.fullmatch(rf"{own}{EVERY}\d+", name):
        forms = f"{at_frequency(own, 3)} and ..{UNDER}.."
        return f"'{name}' is the name of a variant", f"choose one not of the forms {forms}"
    return None


def two_alike(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """The first two names whose labels a reader cannot tell apart; None if all differ."""
    seen: dict[str, str] = {}
    for name, label in labels.items():
        other = seen.setdefault(plain(label), name)
        if other != name:
            return other, name
    return None


def plain(label: str) -> str:
    """A label without what readers overlook: capitals and the width of spaces."""
    return " ".join(label.split()).casefold()
