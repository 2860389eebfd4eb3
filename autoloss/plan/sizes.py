"""How large a study's data are: as prepared, or before that as its description says."""

from __future__ import annotations

from collections.abc import Iterable

from autoloss.data.manifest import MANIFEST, Manifest, read_manifest
from autoloss.data.registry import SPLITS, DatasetSpec, FieldSpec, UrlMirror, load_source
from autoloss.errors import ConfigError, UserError
from autoloss.strict import Strict
from autoloss.study import Study

UNKNOWN = {"categorical": 1000, "numeric": 100}  # ids of a field whose size nobody states


class DataSize(Strict):
    """Rows by split, ids by field and classes of a data set; `known` says where that is from."""

    name: str
    rows: int
    splits: dict[str, int]
    field_sizes: tuple[int, ...]
    classes: int
    known: str

    @property
    def fields(self) -> int:
        """Number of input fields."""
        return len(self.field_sizes)

    @property
    def features(self) -> int:
        """Rows of the embedding table."""
        return sum(self.field_sizes)

    @property
    def values(self) -> int:
        """Numbers in the prepared arrays, the labels included."""
        return self.rows * (self.fields + 1)

    def batches(self, splits: Iterable[str], batch_size: int) -> int:
        """Steps of one epoch over `splits` (a last batch of one example is dropped)."""
        full, rest = divmod(sum(self.splits[name] for name in splits), batch_size)
        return full + (rest > 1)


class SourceSize(Strict):
    """Bytes of a source: to download (None: a wheel's, not known), and of its raw files."""

    name: str
    download_bytes: int | None
    raw_bytes: int


def data_size(study: Study, name: str) -> DataSize:
    """The size of a data set with the study's row limit.

    Raises:
        ConfigError: neither a manifest nor a description says how many rows it has.
    """
    folder = study.prepared_folder(name)
    if (folder / MANIFEST).exists():
        try:
            return _prepared(name, read_manifest(folder, Manifest, "prepare it again"))
        except UserError:
            pass  # one that is damaged or old is prepared again, from the description
    return _described(study, study.dataset(name))


def source_size(study: Study, name: str) -> SourceSize:
    """The size of a source, by the mirror that is tried first."""
    mirror = load_source(name, study.root).mirrors[0]
    return SourceSize(
        name=name,
        download_bytes=mirror.bytes if isinstance(mirror, UrlMirror) else None,
        raw_bytes=sum(member.limit for member in mirror.members),
    )


def _prepared(name: str, manifest: Manifest) -> DataSize:
    return DataSize(
        name=name,
        rows=manifest.rows,
        splits=manifest.splits,
        field_sizes=tuple(field.size for field in manifest.fields),
        classes=manifest.classes,
        known="prepared",
    )


def _described(study: Study, spec: DatasetSpec) -> DataSize:
    checks = [check for check in (spec.expected, spec.inferred) if check]
    rows = next((check.rows for check in checks if check.rows), None)
    limit = study.config.study.max_rows
    if rows is None and limit is None:
        raise ConfigError(
            f"configs/datasets/{spec.name}.yaml",
            "does not say how many rows there are (expected.rows)",
            f"add it, or prepare the data first: `autoloss prepare {spec.name}`",
        )
    rows = min(size for size in (rows, limit) if size)
    sizes: dict[str, int] = {}
    for check in checks[::-1]:
        sizes |= check.distinct
    for check in checks:
        sizes |= check.sizes  # of encoded fields; distinct raw values are an upper bound
    shares = {name: getattr(spec.split, name) for name in SPLITS}
    splits = {name: round(rows * shares[name]) for name in SPLITS[1:]}
    return DataSize(
        name=spec.name,
        rows=rows,
        splits={SPLITS[0]: rows - sum(splits.values()), **splits},
        field_sizes=tuple(min(_ids(field, sizes), rows) for field in spec.fields),
        classes=spec.task.classes,
        known="described" if all(f.name in sizes for f in spec.fields) else "described, in part",
    )


def _ids(field: FieldSpec, sizes: dict[str, int]) -> int:
    return sizes.get(field.name, UNKNOWN[field.kind])
