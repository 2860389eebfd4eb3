"""A table as a data set's description has it: CSV, Parquet, or RecBole's atomic files.

pyarrow reads, some rows at a time. What is no number, date or label of the description's is refused
with its line, which is looked for only then.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from autoloss.data.formats._table import PART, Described
from autoloss.data.specs import TABLE, ColumnSplit, DatasetSpec, DateSplit, TableSpec, Value
from autoloss.errors import ConfigError, DataError, did_you_mean

BLOCK = 1 << 24  # bytes of text read at a time
BLOCK_ROWS = 1 << 17  # and rows of Parquet
ISO = "%Y-%m-%d"
EPOCH = {"seconds": 1_000, "milliseconds": 1}  # formats of dates: numbers since 1970, in UTC
WORDS = ("nan", "na", "n/a", "null", "none", "\\n", "?", "-")  # what often means a missing value
UNITS: dict[str | None, Callable[[pl.Series], pl.Series]] = {
    "year": lambda dates: dates.dt.year(),
    "month": lambda dates: dates.dt.month(),
    "day": lambda dates: dates.dt.date(),
    "weekday": lambda dates: dates.dt.weekday(),  # 1 is Monday
    "hour": lambda dates: dates.dt.hour(),
}
VECTOR = "float_seq"
ATOMIC = ("token", "float", "token_seq", VECTOR)


@dataclass(frozen=True)
class Rows:
    """Some rows of a file: text, in Parquet other types too; and where a row's cell stands."""

    frame: pl.DataFrame
    place: Callable[[int, str], str]  # of a row of the frame and one of its columns


def read_table(spec: DatasetSpec, paths: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """The label, the fields and, where a date or a column splits, `PART`: some rows at a time.

    Numbers are Float64, of a label Int64 where it must be whole; all else is text.

    Raises:
        ConfigError: the description names a column that is not there.
        DataError: a file is malformed, or a cell is not what the description says.
    """
    file = f"configs/datasets/{spec.name}.yaml"
    if spec.table is None:
        raise ConfigError(file, "the key 'table' is missing", "add it (docs/data.md)")
    needed = [spec.task.label, *(field.read_from for field in spec.fields)]
    if isinstance(spec.split, DateSplit | ColumnSplit):
        needed.append(spec.split.column)
    for rows in read_rows(spec.table, paths, dict.fromkeys(needed), file):
        yield _Cells(spec, file, rows).frame()


FORMATS = {TABLE: Described(read_table)}


def read_rows(
    table: TableSpec, paths: Sequence[Path], needed: Iterable[str], where: str
) -> Iterator[Rows]:
    """The rows of all files, the columns that are needed; `where` it is said which these are.

    Raises:
        ConfigError: a column is not there.
        DataError: a file is malformed.
    """
    if table.format == "atomic":
        yield from _Atomic(table, paths, where).rows(list(needed))
        return
    for path in paths:
        known = columns_of(table, path)
        require_in_header(needed, known, str(path), where)
        yield from _read(table, path, {name: known[name] for name in needed})


def all_columns(table: TableSpec, paths: Sequence[Path]) -> list[str]:
    """The columns that can be fields, of atomic files together."""
    if table.format == "atomic":
        homes = _Atomic(table, paths, "the files").homes
        return [name for name, written in homes.items() if not written.endswith(VECTOR)]
    return list(columns_of(table, paths[0]))


def columns_of(table: TableSpec, path: Path) -> dict[str, str]:
    """The columns of a file by name, each with what the file calls it.

    Raises:
        DataError: it has none, or one twice.
    """
    if not path.is_file() or not path.stat().st_size:
        problem = "the file is empty" if path.is_file() else "no such file"
        raise DataError(str(path), problem, "put the data there")
    if table.header is not True:
        return {name: name for name in table.header}
    where, written = f"{path}, line 1", list[str]()
    if table.format == "parquet":
        with _parquet(path) as file:
            where, written = str(path), file.schema_arrow.names
    else:
        written = first_cells(path, table.between)
    names = written
    if table.format == "atomic":
        names = [text.rpartition(":")[0] for text in written]
        if odd := [text for text in written if text.rpartition(":")[2] not in ATOMIC]:
            expected = f"name:type with a type of {', '.join(ATOMIC)}"
            mend = "correct it, or check `table.separator`"
            raise DataError(where, f"expected {expected}, found {odd[0]!r}", mend)
    for k, name in enumerate(names):
        if not name or name in names[:k]:
            twice = f"the column '{name}' is there twice"
            problem = twice if name else f"column {k + 1} has no name"
            mend = "give each column a name of its own"
            if table.format == "csv":
                mend += ", or, if this line is no header, name the columns in `table.header`"
            raise DataError(where, problem, mend)
    return dict(zip(names, written, strict=True))


def first_cells(path: Path, separator: str) -> list[str]:
    """The cells of the first line of a text file."""
    with closing(_Lines(path, separator)) as lines:
        return next(iter(lines), [])


def _read(table: TableSpec, path: Path, named: Mapping[str, str]) -> Iterator[Rows]:
    """Columns of one file, by their names and what the file calls them, some rows at a time."""
    batches = _parquet_batches if table.format == "parquet" else _text_batches
    done = 0
    for batch in batches(table, path, list(named.values())):
        frame = pl.DataFrame(pl.from_arrow(batch))
        frame.columns = list(named)

        def place(row: int, _: str, first: int = done) -> str:
            return _place(table, path, first + row)

        yield Rows(frame.with_columns(_plain(path, column, table) for column in frame), place)
        done += frame.height


def require_in_header(needed: Iterable[str], known: Collection[str], path: str, where: str) -> None:
    """Look for columns among those of `path`, which `where` describes.

    Raises:
        ConfigError: one is not there.
    """
    for name in needed:
        if name not in known:
            hint = did_you_mean(name, known)
            if len(known) == 1:
                hint += " (all is one column: check `table.separator`)"
            raise ConfigError(where, f"there is no column '{name}' in {path}", hint)


def _text_batches(table: TableSpec, path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    names = None if table.header is True else list(table.header)
    try:
        yield from pacsv.open_csv(
            path,
            pacsv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
            pacsv.ParseOptions(delimiter=table.between, newlines_in_values=True),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                include_columns=columns,
                strings_can_be_null=True,
                null_values=list(table.missing),
            ),
        )
    except pa.ArrowInvalid as error:
        raise _malformed(table, path, str(error)) from None


def _parquet_batches(table: TableSpec, path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with _parquet(path) as file:
        yield from file.iter_batches(BLOCK_ROWS, columns=columns)


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowException as error:
        mend = "name a Parquet file, or correct `table.format`"
        raise DataError(str(path), f"not a Parquet file: {error}", mend) from None


def _plain(path: Path, column: pl.Series, table: TableSpec) -> pl.Series:
    """A column of numbers, dates, truth values or text; what says that a value is missing is null.

    Raises:
        DataError: it holds lists or the like.
    """
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        problem = f"expected single values in '{column.name}', found {column.dtype}"
        raise DataError(str(path), problem, "leave the column out, or write it as one value")
    if column.dtype.is_float():
        return column.fill_nan(None)
    if column.dtype.is_numeric() or column.dtype.is_temporal():
        return column
    texts = column.cast(pl.String)
    return texts.set(texts.is_in(list(table.missing)), None)


class _Lines:
    """The rows of a text file, blank lines passed over; `line` is where the last one begins."""

    def __init__(self, path: Path, separator: str) -> None:
        self.path, self.line = path, 1
        text = pa.input_stream(str(path), compression="detect")
        self._text = io.TextIOWrapper(text, encoding="utf-8-sig", newline="")
        self._rows = csv.reader(self._text, delimiter=separator)

    def __iter__(self) -> Iterator[list[str]]:
        try:
            while True:
                self.line = self._rows.line_num + 1
                cells = next(self._rows, None)
                if cells is None:
                    return
                if cells:
                    yield cells
        except UnicodeDecodeError as error:
            where, mend = _undecoded(self.path), "save the file as UTF-8"
            raise DataError(where, f"not UTF-8: {error.reason}", mend) from None
        except csv.Error as error:
            where, mend = f"{self.path}, line {self.line}", "check quotes and `table.separator`"
            raise DataError(where, f"cannot be read: {error}", mend) from None

    def close(self) -> None:
        """Close the file."""
        self._text.close()


def _undecoded(path: Path) -> str:
    """The first line that is not UTF-8."""
    with io.BufferedReader(pa.input_stream(str(path), compression="detect")) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"{path}, line {number}"
    return str(path)


def _place(table: TableSpec, path: Path, row: int) -> str:
    """Where row number `row` of a file is, for messages."""
    if table.format == "parquet":
        return f"{path}, row {row + 1}"
    with closing(_Lines(path, table.between)) as lines:
        for number, _ in enumerate(lines, start=-(table.header is True)):
            if number == row:
                break
        return f"{path}, line {lines.line}"


def _malformed(table: TableSpec, path: Path, reason: str) -> DataError:
    """What is wrong with a text file that pyarrow does not read: most often a line's width."""
    width = len(columns_of(table, path))
    with closing(_Lines(path, table.between)) as lines:
        for cells in lines:
            if len(cells) != width:
                line = table.between.join(cells)
                problem = f"expected {width} columns separated by {table.between!r}, found "
                mend = "correct the line; a value that holds a separator stands in double quotes"
                where = f"{path}, line {lines.line}"
                return DataError(where, f"{problem}{len(cells)}: {line[:80]!r}", mend)
    return DataError(str(path), f"cannot be read: {reason}", "correct the file")


def dates(column: pl.Series, form: str | None) -> pl.Series:
    """Datetimes of a column: null where it is none by the format `form`, ISO's date if None.

    `seconds` and `milliseconds` are numbers since 1970, other formats strftime's; with a time zone
    they are in UTC. A column that has dates already needs none.
    """
    if column.dtype.is_temporal():
        moments = column.cast(pl.Datetime("us"), strict=False)
    elif form in EPOCH:
        since = numbers(column) * EPOCH[form]
        moments = pl.from_epoch(since.cast(pl.Int64, strict=False), time_unit="ms")
    else:
        moments = column.cast(pl.String).str.to_datetime(form or ISO, strict=False, time_unit="us")
    return moments.dt.replace_time_zone(None)


def numbers(column: pl.Series) -> pl.Series:
    """Finite numbers of a column: null where it is none."""
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    values = column.cast(pl.Float64, strict=False)
    return values.set(~values.is_finite(), None)


@dataclass(frozen=True)
class _Cells:
    """Rows of a file as values of a data set's."""

    spec: DatasetSpec
    yaml: str  # where it is described, for messages
    rows: Rows

    def frame(self) -> pl.DataFrame:
        """Label, fields and part."""
        columns = [self.label(), *map(self.field, range(len(self.spec.fields)))]
        if (part := self.part()) is not None:
            columns.append(part)
        return pl.DataFrame(columns)

    def label(self) -> pl.Series:
        """The label, which no row may lack: a number, or by the map a class."""
        task = self.spec.task
        mend = f"correct it, or `task` in {self.yaml}"
        if task.map is None:
            values, what = numbers(self.rows.frame[task.label]), "a number"
            if task.rule.kind == "subtract":
                whole = values.set(values != values.floor(), None)
                values, what = whole.cast(pl.Int64, strict=False), "a whole number"
        else:
            values, what = self.classed(task.label, task.map), f"one of {_listed(task.map)}"
            mend = f"correct it, or add it to `task.map` in {self.yaml}"
        self.require(values, task.label, f"{what} as the label", mend, optional=False)
        return values.alias(task.label)

    def field(self, k: int) -> pl.Series:
        """Text of a category or a unit of a date, or a number."""
        field = self.spec.fields[k]
        raw = self.rows.frame[field.read_from]
        if field.kind == "categorical":
            return raw.cast(pl.String).alias(field.name)
        key = f"`fields` in {self.yaml}"
        if field.kind == "date":
            moments = self.moments(field.read_from, field.format, f"`format` of {key}", True)
            return UNITS[field.unit](moments).cast(pl.String).alias(field.name)
        values = numbers(raw)
        mend = f"correct it, or have '{field.name}' as `kind: categorical` in {key}"
        self.require(values, field.read_from, f"a number as '{field.read_from}'", mend)
        return values.alias(field.name)

    def part(self) -> pl.Series | None:
        """The number of the part of the split that a row is in; None where a random one says."""
        split, key = self.spec.split, f"`split` in {self.yaml}"
        if isinstance(split, DateSplit):
            moments = self.moments(split.column, split.format, f"`format` of {key}", False)
            later = moments >= split.validation, moments >= split.test
            return (later[0].cast(pl.UInt8) + later[1].cast(pl.UInt8)).alias(PART)
        if isinstance(split, ColumnSplit):
            parts = self.classed(split.column, split.parts)
            what = f"one of {_listed(split.parts)} as '{split.column}', which says the part"
            mend = f"correct it, or add it to a part of {key}"
            self.require(parts, split.column, what, mend, optional=False)
            return parts.cast(pl.UInt8).alias(PART)
        return None

    def moments(self, column: str, form: str | None, key: str, optional: bool) -> pl.Series:
        """The datetimes of a column."""
        try:
            moments = dates(self.rows.frame[column], form)
        except pl.exceptions.ComputeError as error:
            reason = str(error).splitlines()[0]
            mend = f"correct {key}, as in {ISO} %H:%M; or {' or '.join(EPOCH)}"
            raise ConfigError(self.yaml, f"no format of dates: {form!r} ({reason})", mend) from None
        what = f"a date of the form {form or ISO!r} as '{column}'"
        self.require(moments, column, what, f"correct it, or {key}", optional=optional)
        return moments

    def classed(self, column: str, classes: Mapping[Value, int]) -> pl.Series:
        """Of each cell the number that `classes` has for it, null where it has none."""
        texts = self.rows.frame[column].cast(pl.String)
        values = texts.unique().drop_nulls()
        known = {text: n for text in values if (n := _class_of(text, classes)) is not None}
        if not known:
            return pl.Series([None] * len(texts), dtype=pl.Int64)
        return texts.replace_strict(
            list(known), list(known.values()), default=None, return_dtype=pl.Int64
        )

    def require(
        self, values: pl.Series, column: str, what: str, mend: str, *, optional: bool = True
    ) -> None:
        """A DataError about the first cell that gave no value, or, unless optional, is missing."""
        raw = self.rows.frame[column]
        wrong = values.is_null() & (raw.is_not_null() | (not optional))
        if not wrong.any():
            return
        row = int(wrong.arg_max() or 0)
        text = raw[row]
        shown = "a missing value" if text is None else repr(str(text)[:80])
        if text is None:
            mend = "give the row one, or take it out"
        elif str(text).strip().lower() in WORDS:
            mend += f"; if it stands for a missing value, add it to `table.missing` in {self.yaml}"
        raise DataError(self.rows.place(row, column), f"expected {what}, found {shown}", mend)


def _class_of(text: str, classes: Mapping[Value, int]) -> int | None:
    """By the text, or by the number that it is."""
    if text in classes:
        return classes[text]
    try:
        return classes.get(float(text))
    except ValueError:
        return None


def _listed(values: Collection[Value]) -> str:
    return ", ".join(f"{v:g}" if isinstance(v, float) else repr(v) for v in values)


class _Atomic:
    """RecBole's interactions, each with what the files on its user and its item say of these.

    `homes` has each column with its type: the interactions', then those of the other files. A user
    or an item that its file does not have has missing values there, as in RecBole.
    """

    def __init__(self, table: TableSpec, paths: Sequence[Path], where: str) -> None:
        kinds = [path.suffix for path in paths]
        if len({*kinds}) < len(kinds) or not {".inter"} <= {*kinds} <= {".inter", ".user", ".item"}:
            shown = ", ".join(map(str, paths))
            problem = f"expected one .inter, and at most one .user and one .item, found {shown}"
            raise ConfigError(f"{where}, key 'table.files'", problem, "name these")
        self.table, self.where = table, where
        self.main = paths[kinds.index(".inter")]
        self.own = columns_of(table, self.main)
        self.sides = {path: columns_of(table, path) for path in paths if path != self.main}
        self.keys = {path: self._key(path) for path in self.sides}
        self.homes = dict(self.own)
        for path, columns in self.sides.items():
            for name in columns.keys() - {self.keys[path]}:
                if name in self.homes:
                    problem = f"'{name}' is a column of another of these files, too"
                    raise DataError(f"{path}, line 1", problem, "rename it in one of them")
            self.homes |= columns

    def _key(self, path: Path) -> str:
        """The column of users or items: the one that the interactions have too."""
        shared = [name for name in self.sides[path] if name in self.own]
        if len(shared) != 1:
            problem = f"expected one column that {self.main} has too, found {shared}"
            raise DataError(f"{path}, line 1", problem, "rename columns, or leave the file out")
        return shared[0]

    def rows(self, needed: Sequence[str]) -> Iterator[Rows]:
        """The columns that are needed, an interaction a row."""
        require_in_header(needed, self.homes, str(self.main), self.where)
        for name in needed:
            if self.homes[name].endswith(VECTOR):
                problem = f"'{name}' holds vectors, and a field single values"
                raise ConfigError(self.where, problem, "leave it out")
        sides = {path: self._side(path, needed) for path in self.sides}
        wanted = dict.fromkeys([*(n for n in needed if n in self.own), *self.keys.values()])
        for rows in _read(self.table, self.main, {name: self.own[name] for name in wanted}):
            frame = rows.frame
            for path, side in sides.items():
                frame = frame.join(side, on=self.keys[path], how="left", maintain_order="left")

            def place(row: int, column: str, rows: Rows = rows) -> str:
                for path, side in sides.items():
                    key = self.keys[path]
                    if column in side.columns and column != key:
                        line = (side[key] == rows.frame[key][row]).arg_max() or 0
                        return _place(self.table, path, line)
                return rows.place(row, column)

            yield Rows(frame, place)

    def _side(self, path: Path, needed: Sequence[str]) -> pl.DataFrame:
        """What a file says of the users or items that it has, a row each."""
        key, columns = self.keys[path], self.sides[path]
        wanted = [key, *(name for name in needed if name in columns and name != key)]
        named = {name: columns[name] for name in wanted}
        none = pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
        frame = pl.concat([none, *(rows.frame for rows in _read(self.table, path, named))])
        if (again := ~frame[key].is_first_distinct()).any():
            row = again.arg_max() or 0
            problem = f"{key} {frame[key][row]!r} is there twice"
            raise DataError(_place(self.table, path, row), problem, "keep one of the lines")
        return frame
