"""How large a study's data are: as prepared, or before that as its description says."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from autoloss.data.manifest import MANIFEST, Manifest, read_manifest
from autoloss.data.specs import SPLITS
from autoloss.errors import ConfigError, UserError
from autoloss.study.study import Study

# Ids of a field whose size nobody states, and shares of a split that names none.
UNKNOWN = {"categorical": 1000, "numeric": 100, "quantiles": 10, "buckets": 10, "date": 30}
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True)
class DataSize:
    """Of a data set: rows of a split's parts, ids by field, classes; `known` says where from."""

    name: str
    splits: dict[str, int]
    field_sizes: tuple[int, ...]
    classes: int
    known: str

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(self.splits.values())

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
        """Numbers in the arrays of a prepared split, the labels included."""
        return self.rows * (self.fields + 1)

    @property
    def predicted(self) -> int:
        """Numbers that a run predicts of the test rows."""
        return self.splits["test"] * (1 if self.classes == 2 else self.classes)

    def batches(self, splits: Iterable[str], batch_size: int) -> int:
        """Steps of one epoch over `splits` (a last batch of one example is dropped)."""
        full, rest = divmod(sum(self.splits[name] for name in splits), batch_size)
        return full + (rest > 1)


def data_size(study: Study, name: str) -> DataSize:
    """The size of a data set with the study's row limit.

    Raises:
        ConfigError: neither a manifest nor a description says how many rows it has.
    """
    folder = study.prepared_folder(name, study.splits[0])  # others have nearly as many ids
    if (folder / MANIFEST).exists():
        with suppress(UserError):  # a damaged or an old one is prepared again, as it is described
            made = read_manifest(folder, Manifest, "prepare it again")
            ids = tuple(field.size for field in made.fields)
            return DataSize(name, made.splits, ids, made.classes, "prepared")
    made_of = study.dataset(name).derived
    if made_of is None:
        return _described(study, name)
    base = data_size(study, made_of.base)
    share = min(1.0, (made_of.rows or base.rows) / base.rows)
    splits = {split: round(share * rows) for split, rows in base.splits.items()}
    return replace(base, name=name, splits=splits)


def _described(study: Study, name: str) -> DataSize:
    spec, limit = study.dataset(name), study.config.study.max_rows
    checks = [check for check in (spec.expected, spec.inferred) if check]
    stated = next((check.rows for check in checks if check.rows), None)
    rows = min((number for number in (stated, limit) if number), default=None)
    if rows is None:
        raise ConfigError(
            f"configs/datasets/{name}.yaml",
            "does not say how many rows there are (expected.rows)",
            f"add it, or prepare the data first: `autoloss prepare {name}`",
        )
    sizes: dict[str, int] = {}
    for check in checks[::-1]:
        sizes |= check.distinct
    for check in checks:
        sizes |= check.sizes  # of encoded fields; distinct raw values are an upper bound
    random = spec.split.by == "random"
    shares = spec.split.model_dump() if random else SHARES
    splits = {split: round(rows * shares[split]) for split in SPLITS}
    splits[SPLITS[0]] = rows - sum(splits[split] for split in SPLITS[1:])
    ids = tuple(min(sizes.get(field.name, UNKNOWN[field.kind]), rows) for field in spec.fields)
    whole = all(field.name in sizes for field in spec.fields)
    return DataSize(
        name, splits, ids, spec.task.classes, "described" if whole else "described, in part"
    )
