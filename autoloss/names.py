"""What may be called what: names that rules, files and statistics tell apart from all others."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

# Of data sets, sources and studies: they stand in paths, in rules' wildcards and on command lines.
PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
TAKEN = ("reference", "fetch", "prepare")  # folders of results/ and logs/ that are no study's


def _not_taken(name: str) -> str:
    if name in TAKEN:
        raise ValueError(f"'{name}' is a folder's that is no study's")
    return name


Name = Annotated[str, Field(pattern=f"^{PATTERN}$", max_length=100)]
StudyName = Annotated[Name, AfterValidator(_not_taken)]
