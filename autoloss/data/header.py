"""Files that a data set's `table` describes, against their first lines and in messages."""

from __future__ import annotations

from autoloss.data.formats.table import (
    all_columns,
    dates,
    first_cells,
    read_rows,
    require_in_header,
)
from autoloss.data.specs import DatasetSpec, DateSplit
from autoloss.errors import DataError


def require_columns(spec: DatasetSpec) -> None:
    """Look whether a data set's own files have the columns that it names: by their first lines.

    Raises:
        ConfigError: a column is not there.
        DataError: the columns of a file cannot be told, or are not as many as the description's.
    """
    assert spec.table is not None
    table, where = spec.table, f"configs/datasets/{spec.name}.yaml"
    together = [spec.local] if table.format == "atomic" else [(file,) for file in spec.local]
    for files in together:
        known = all_columns(table, files)
        require_in_header(spec.columns, known, str(files[0]), where)
        if table.header is not True:
            found = len(first_cells(files[0], table.between))
            if found != len(known):
                problem = f"expected {len(known)} columns separated by {table.between!r}"
                mend = f"correct the line, or `table.header` in {where}"
                raise DataError(f"{files[0]}, line 1", f"{problem}, found {found}", mend)


def located(error: DataError, spec: DatasetSpec) -> DataError:
    """An error of a data set's preparation with its name, files and the dates that there are."""
    if not spec.local or spec.table is None:
        return error
    if error.where != "split" and not error.where.startswith("column "):
        return error
    where, problem = ", ".join(map(str, spec.local)), f"{spec.name}: {error.where}: {error.problem}"
    if error.where == "split" and isinstance(spec.split, DateSplit):
        column, ends = spec.split.column, []
        for rows in read_rows(spec.table, spec.local, [column], spec.name):
            moments = dates(rows.frame[column], spec.split.format).drop_nulls()
            ends += [str(end)[:19] for end in (moments.min(), moments.max())]
        first, last = (end.removesuffix(" 00:00:00") for end in (min(ends), max(ends)))
        problem += f"; dates of '{column}' are {first} to {last}"
    return DataError(where, problem, error.mend)
