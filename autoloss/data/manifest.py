"""Manifests: what a raw folder and a prepared folder hold (the numbers of paper Table 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from autoloss.errors import DataError
from autoloss.records.store import write_text
from autoloss.strict import Strict

MANIFEST = "manifest.json"
GENERATED = "generated"  # how the mirror of generated data begins
IMPORTED = "imported"  # and that of files which the user gave
HERE = "read where they are"  # the mirror of files that a data set's description names


class RawFile(Strict):
    """A file of a raw folder."""

    name: str
    bytes: int
    sha256: str


class RawManifest(Strict):
    """What was fetched, from which mirror, out of which archive, and when (UTC)."""

    schema_version: Literal[1] = 1
    source: str
    mirror: str
    format: str
    files: tuple[RawFile, ...]
    fetched: str
    archive: RawFile | None = None

    @property
    def generated(self) -> bool:
        """Whether this is generated data in a real data set's format."""
        return self.mirror.startswith(GENERATED)

    @property
    def mend(self) -> str:
        """How to bring these files again, by the way that they came."""
        if self.mirror == HERE:
            return f"correct {' or '.join(file.name for file in self.files)}"
        again = f"`autoloss data import {self.source} FILE...`"
        if self.generated:
            return f"generate the data again with `autoloss data synth`, or {again} with others"
        if self.mirror.startswith(IMPORTED):
            return f"correct the imported file, then run {again}"
        return f"run `autoloss fetch {self.source} --force`, or {again} with a corrected file"


class FieldStats(Strict):
    """An encoded field.

    `size` ids, of which 0 stands for every value without its own; `distinct` raw values over all
    rows, a missing one counting as a value; `folded` values (of a numeric field: buckets) that
    have no id of their own because they are rare or absent in training. `size_counting_all` is
    what `size` would be if validation and test rows were counted too, as published sizes are.
    """

    name: str
    kind: str
    size: int
    distinct: int
    min_count: int
    folded: int
    size_counting_all: int | None = None


class Statistics(Strict):
    """A row of the paper's Table 1, and the number of ids that models really embed."""

    interactions: int
    fields: int
    feature_values: int
    encoded_features: int


class Manifest(Strict):
    """One split of a data set, prepared: where it came from, what it holds, its content's hash.

    `bad_rows` malformed lines were skipped, and are not among the `raw_rows`; `differences` are
    those from the data set's `expected` or `inferred` statistics that did not stop preparation.
    `key` is the study's of the description, row limit and code that it was prepared by. `split` is
    its number; `cluster` the field whose values `clusters.npy` numbers.
    """

    schema_version: Literal[2] = 2
    key: str | None = None
    dataset: str
    title: str
    stands_for: str
    source: str
    mirror: str
    raw_files: tuple[RawFile, ...]
    raw_rows: int
    bad_rows: int = 0
    rows: int
    split: int
    splits: dict[str, int]
    fields: tuple[FieldStats, ...]
    classes: int
    class_counts: dict[str, tuple[int, ...]]
    statistics: Statistics
    differences: tuple[str, ...] = ()
    cluster: str | None = None
    arrays: dict[str, str]
    data_hash: str

    @property
    def generated(self) -> bool:
        """Whether its raw data were generated: then it is no data set of the paper's."""
        return self.mirror.startswith(GENERATED)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_hash(
    arrays: Mapping[str, str],
    field_sizes: Sequence[int],
    classes: int,
    splits: Mapping[str, int],
) -> str:
    """Hash of all that a run can see of the data; the mirror it came from is not part of it."""
    content = {
        "arrays": dict(arrays),
        "field_sizes": list(field_sizes),
        "classes": classes,
        "splits": dict(splits),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


AnyManifest = TypeVar("AnyManifest", bound=BaseModel)


def write_manifest(folder: Path, manifest: BaseModel) -> None:
    """Write `manifest` into `folder`, always its last file."""
    write_text(manifest.model_dump_json(indent=2) + "\n", folder / MANIFEST)


def listed(folder: Path) -> set[str]:
    """The files that a folder's manifest names, itself included; none without one."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        names = {str(file["name"]) for file in content.get("files", ())}
        return names | {f"{name}.npy" for name in content.get("arrays", ())} | {MANIFEST}
    except FileNotFoundError:
        return set()
    except (ValueError, AttributeError, KeyError, TypeError):  # damaged, and so no list
        return {MANIFEST}


def read_manifest(folder: Path, model: type[AnyManifest], mend: str) -> AnyManifest:
    """The manifest of `folder`; a DataError ending with `mend` if it is missing or damaged."""
    path = folder / MANIFEST
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(str(path), "no such file", mend) from None
    except (ValidationError, UnicodeDecodeError) as error:
        detail = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DataError(str(path), f"not a manifest of this version: {detail}", mend) from None
