"""Formats of raw files: each file here has some in `FORMATS`, by their names in `configs/sources/`.

A format is a `Layout`, by which large text files are read a block at a time, a function that reads
a raw folder as one frame, or `Described` by each data set. A file whose name begins with `_` has
none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import polars as pl

from autoloss.data.formats._lines import BLOCK, Leniency, read_lines
from autoloss.data.formats._table import Described, Layout
from autoloss.data.manifest import RawManifest
from autoloss.data.specs import DatasetSpec
from autoloss.errors import ConfigError, did_you_mean
from autoloss.folder import files_of, member

Format = Layout | Described | Callable[[Path], pl.DataFrame]


@cache
def formats() -> dict[str, Format]:
    """All formats by name.

    Raises:
        ConfigError: two files have a format of the same name.
        MethodError: a file does not import, or has no `FORMATS`.
    """
    known: dict[str, Format] = {}
    for file in (file for folder in __path__ for file in files_of(Path(folder))):
        own = member(f"{__name__}.{file.stem}", "FORMATS")
        if twice := sorted(known.keys() & own):
            where = f"autoloss/data/formats/{file.name}"
            raise ConfigError(where, f"the format '{twice[0]}' is there already", "rename it")
        known |= own
    return known


def read_raw(
    spec: DatasetSpec,
    raw: RawManifest,
    raw_dir: Path,
    leniency: Leniency,
    block_bytes: int = BLOCK,
) -> Iterator[pl.DataFrame]:
    """The rows of a raw folder, or of a data set's own files, in their order: one frame or many.

    Raises:
        ConfigError: there is no such format, or lines of it cannot be skipped.
        DataError: a file is missing or malformed.
    """
    if raw.format not in formats():
        hint = did_you_mean(raw.format, formats())
        raise ConfigError(f"source {raw.source}", f"no parser for format '{raw.format}'", hint)
    form = formats()[raw.format]
    if isinstance(form, Layout):
        yield from read_lines(form, raw_dir, leniency, block_bytes)
        return
    if leniency.limit:
        where, mend = f"source {raw.source}", "delete `max_bad_rows` of the data set"
        raise ConfigError(where, f"of '{raw.format}' no malformed line can be skipped", mend)
    if isinstance(form, Described):
        yield from form.read(spec, spec.local or [raw_dir / file.name for file in raw.files])
        return
    yield form(raw_dir)
