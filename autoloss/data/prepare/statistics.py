"""What the raw data hold against what a data set's file says that they hold (paper Table 1)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from autoloss.data.manifest import RawManifest
from autoloss.data.progress import Say
from autoloss.data.specs import DatasetSpec, Expected
from autoloss.errors import DataError


class ContentCheck:
    """The checks of one preparation, made as soon as each number is known.

    A number that `expected` gives is published, and data that differ from it are refused. One that
    `inferred` gives is read off others' code or logs: a difference is told, and kept in the
    manifest. The same holds for all numbers once malformed lines were skipped. Generated data are
    not checked.
    """

    def __init__(self, spec: DatasetSpec, raw: RawManifest, say: Say) -> None:
        self.spec, self.raw, self.say, self.lenient = spec, raw, say, False
        self.differences: list[str] = []
        self.applies = not raw.generated
        if not self.applies:
            say(f"{spec.name}: generated data, not {spec.title}; statistics are not checked")

    def rows(self, labels: npt.NDArray[np.int32], skipped: int) -> None:
        """All rows and their classes; `skipped` malformed lines belong to the rows."""
        self.lenient = skipped > 0
        counts = tuple(np.bincount(labels, minlength=self.spec.task.classes).tolist())
        self._compare("rows", lambda e: e.rows, len(labels) + skipped)
        self._compare("rows of each class", lambda e: e.class_counts, counts)

    def field(self, name: str, distinct: int, size: int | None) -> None:
        """A field over all rows: its distinct values, and its number of ids if that is known."""
        self._compare(f"distinct values of {name}", lambda e: e.distinct.get(name), distinct)
        if size is not None:
            self._compare(f"ids of {name}, all rows counted", lambda e: e.sizes.get(name), size)

    def _compare(self, what: str, of: Callable[[Expected], object], value: object) -> None:
        for checks, published in ((self.spec.expected, True), (self.spec.inferred, False)):
            right = None if checks is None else of(checks)
            if not self.applies or right is None or right == value:
                continue
            problem = f"expected {right} {what}, found {value}"
            if published and not self.lenient:
                where = f"correct `expected` in the description of {self.spec.name}"
                raise DataError(self.spec.name, problem, f"{self.raw.mend}, or {where}")
            if problem in self.differences:  # by an earlier split
                continue
            self.differences.append(problem)
            why = "malformed lines were skipped" if published else "the number is inferred"
            self.say(f"{self.spec.name}: warning: {problem} ({why}; preparation goes on)")
