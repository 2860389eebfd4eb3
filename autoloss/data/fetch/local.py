"""Files of this machine that a data set's description names: read where they are, never copied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from autoloss.data.fetch.content import measure_file
from autoloss.data.manifest import HERE, MANIFEST, Manifest, RawFile, RawManifest, read_manifest
from autoloss.data.specs import TABLE, DatasetSpec, Pinned
from autoloss.errors import ConfigError, DataError


def measure_local(spec: DatasetSpec) -> RawManifest:
    """What the data set's files hold now.

    Raises:
        ConfigError: one is not there.
    """
    require_files(spec)
    return RawManifest(
        source=spec.source,
        mirror=HERE,
        format=TABLE,
        files=tuple(map(_measured, spec.local)),
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def require_files(spec: DatasetSpec) -> None:
    """A ConfigError unless the data set's files are there."""
    for file in spec.local:
        if not file.is_file():
            where = f"configs/datasets/{spec.name}.yaml, key 'table.files'"
            mend = f"correct the path: it is from {Path.cwd()}"
            raise ConfigError(where, f"there is no file {file}", mend)


def require_columns(spec: DatasetSpec) -> None:
    """Look at the first lines of the data set's files, where these are there.

    Raises:
        ConfigError: the description names a column that they have not.
        DataError: the columns of a file cannot be told.
    """
    if spec.table and spec.local and all(file.is_file() for file in spec.local):
        from autoloss.data import header  # with a frame library: for those who have files

        header.require_columns(spec)


def require_unchanged(prepared: Iterable[tuple[DatasetSpec, Iterable[Path]]]) -> None:
    """Look whether data sets' own files are what their prepared folders were made of.

    A file is read again only if its size is another, or it was written after it was prepared.

    Raises:
        ConfigError: a file is not there, and nothing is prepared.
        DataError: some have changed since; it names all of them.
    """
    changed = [
        (file, spec.name, str(home))
        for spec, places in prepared
        for file, home in _changed(spec, places)
    ]
    if changed:
        files, names, homes = (list(dict.fromkeys(column)) for column in zip(*changed, strict=True))
        have, were = "have" if files[1:] else "has", "were" if names[1:] else "was"
        mend = f"put back what was there; or, to take what is there now, `rm -r {' '.join(homes)}`:"
        raise DataError(
            ", ".join(files),
            f"{have} changed since {' and '.join(names)} {were} prepared",
            f"{mend} it is then prepared anew, and what was trained on it is trained anew",
        )


def _changed(spec: DatasetSpec, folders: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The data set's files that have changed since it was prepared, each with its prepared home."""
    manifests = [file for folder in folders if (file := folder / MANIFEST).exists()]
    if not manifests:
        require_files(spec)
    now: dict[str, RawFile] = {}
    for path in manifests:
        home = path.parent.parent
        for before in read_manifest(path.parent, Manifest, f"`rm -r {home}`").raw_files:
            file = Path(before.name)
            if file not in spec.local or not file.is_file():
                continue
            there = file.stat()
            if there.st_size == before.bytes and there.st_mtime < path.stat().st_mtime:
                continue
            if now.setdefault(before.name, _measured(file)) != before:
                yield before.name, home


def _measured(file: Path) -> RawFile:
    return measure_file(file, str(file), Pinned())[0]
