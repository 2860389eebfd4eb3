"""The paper's own data as they are distributed: Criteo, ML-20m and Avazu (paper §3.1, Table 1).

A layout says what every cell of a line must be. `autoloss/data/lines.py` reads by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from autoloss.data.text_table import Table


@dataclass(frozen=True)
class Kind:
    """What a cell may be: for messages, as a pattern, and as values of a column.

    `values` turns a column read as `dtype` into values, and gives null for a cell that does not
    match `pattern`: a reader that compares nulls before and after needs the pattern for messages
    only. A cell of an `optional` kind may be empty, which is a missing value. `limits` say what a
    cell must be beside `what`.
    """

    what: str
    pattern: bytes
    dtype: type[pl.DataType]
    values: Callable[[pl.Expr], pl.Expr]
    optional: bool = False
    limits: str = ""

    def rule(self, column: str) -> str:
        """What a cell of a column must be."""
        limits = "; ".join(filter(None, [self.limits, "may be empty" if self.optional else ""]))
        return f"{self.what} as {column}" + (f" ({limits})" if limits else "")


@dataclass(frozen=True)
class Layout:
    """A text format: its files in the order they are read, and the columns of a line.

    The table's example and header are those of each file. `characters` are all that a line may
    hold: quotes, spaces, carriage returns and non-ASCII text are found by them.
    """

    table: Table
    files: tuple[str, ...]
    columns: dict[str, Kind]
    characters: bytes


def _whole(cells: pl.Expr) -> pl.Expr:
    in_range = cells.is_between(-999_999_999, 999_999_999)
    return pl.when(in_range).then(cells.cast(pl.Int32, strict=False))


def _hex(cells: pl.Expr) -> pl.Expr:
    numbers = cells.str.to_integer(base=16, dtype=pl.UInt32, strict=False)
    return pl.when(cells.str.len_bytes() == 8).then(numbers)


def _click(cells: pl.Expr) -> pl.Expr:
    return pl.when((cells == "0") | (cells == "1")).then((cells == "1").cast(pl.Int8))


def _stars(cells: pl.Expr) -> pl.Expr:
    whole = [f"{n}{end}" for n in range(1, 6) for end in ("", ".0")]
    known = cells.is_in([*whole, *(f"{n}.5" for n in range(5))])
    return pl.when(known).then(cells.cast(pl.Float64, strict=False))


# Text of 8 hexadecimal digits is carried as UInt32, and no other column is: `encode.texts`.
HEX = Kind("8 hexadecimal digits", rb"[0-9a-f]{8}", pl.String, _hex, limits="0-9, a-f")
WHOLE = Kind("a whole number", rb"-?0*[0-9]{1,9}", pl.Int64, _whole, limits="at most 9 digits")
CLICK = Kind("a label of 0 or 1", rb"[01]", pl.String, _click)
STARS = Kind("a rating of 0.5 to 5 in half steps", rb"[0-4]\.5|[1-5](?:\.0)?", pl.String, _stars)
LEFT_OUT = Kind("anything", rb"[^\t,]*", pl.String, lambda cells: cells, optional=True)

_CRITEO = (
    "0,1,1,5,0,1382,4,15,2,181,1,2,,2,68fd1e64,80e26c9b,fb936136,7b4723c4,25c83c98,7e0ccccf,"
    "de7995b8,1f89b562,a73ee510,a8cd5504,b2cb9c98,37c9c164,2824a5f6,1adce6ef,8ba8b39a,891b62e7,"
    "e5ba7672,f54016b9,21ddcdc9,b1252a9d,07b5194c,,3a171ecb,c5c50484,e8b83407,9727dd16"
).replace(",", "\t")
CRITEO = Layout(
    table=Table("train.txt", "\t", _CRITEO),
    files=("train.txt",),
    columns={
        "click": CLICK,
        **{f"I{n}": replace(WHOLE, optional=True) for n in range(1, 14)},
        **{f"C{n}": replace(HEX, optional=True) for n in range(1, 27)},
    },
    characters=b"0123456789abcdef-\t\n",
)
CRITEO_X4 = Layout(  # the same rows and cells, in another order (RecZoo's script)
    table=Table(
        "train.csv",
        ",",
        _CRITEO.replace("\t", ","),
        header=",".join(["Label", *list(CRITEO.columns)[1:]]),
    ),
    files=("train.csv", "valid.csv", "test.csv"),
    columns=CRITEO.columns,
    characters=b"0123456789abcdef-,\n",
)
MOVIELENS_20M = Layout(
    table=Table(
        "ratings.csv",
        ",",
        "1,2,3.5,1112486027",
        header="userId,movieId,rating,timestamp",
    ),
    files=("ratings.csv",),
    columns={"user": WHOLE, "item": WHOLE, "rating": STARS, "timestamp": LEFT_OUT},
    characters=b"0123456789.,\n",
)
_AVAZU_COLUMNS = {
    "id": LEFT_OUT,
    "click": CLICK,
    **dict.fromkeys(("hour", "C1", "banner_pos"), WHOLE),
    **{f"{of}_{what}": HEX for of in ("site", "app") for what in ("id", "domain", "category")},
    **dict.fromkeys(("device_id", "device_ip", "device_model"), HEX),
    **dict.fromkeys(("device_type", "device_conn_type"), WHOLE),
    **{f"C{n}": WHOLE for n in range(14, 22)},
}
AVAZU_X4 = Layout(
    table=Table(
        "train.csv",
        ",",
        "1000009418151094273,0,14102100,1005,0,1fbe01fe,f3845767,28905ebd,ecad2386,7801e8d9,"
        "07d7df22,a99f214a,ddd2926e,44956a24,1,2,15706,320,50,1722,0,35,-1,79",
        header=",".join(_AVAZU_COLUMNS),
    ),
    files=("train.csv", "valid.csv", "test.csv"),
    columns=_AVAZU_COLUMNS,
    characters=b"0123456789abcdef-,\n",
)
LAYOUTS = {
    "criteo": CRITEO,
    "criteo_x4": CRITEO_X4,
    "movielens20m": MOVIELENS_20M,
    "avazu_x4": AVAZU_X4,
}
