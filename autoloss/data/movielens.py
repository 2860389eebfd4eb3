"""MovieLens-100K in the two forms it is distributed in (stands for ML-20m of paper §3.1).

`grouplens` is the official archive (u.data, u.user, u.item), `recbole` the same tables as tab
separated files with a header. Both give one frame, row for row and value for value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from autoloss.errors import DataError

COLUMNS = ("user", "item", "rating", "age", "gender", "occupation", "zip", "year", "genres")
SCHEMA = {name: pl.Int64 if name == "rating" else pl.String for name in COLUMNS}
RATINGS = range(1, 6)
# fmt: off
GENRES = (  # in the order of the flags of u.item
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
    "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery",
    "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
MEND = "fetch the data again with `autoloss fetch movielens-100k --force`, or correct the line"

_YEAR = re.compile(r"\((\d{4})\)")

User = tuple[str | None, str | None, str | None, str | None]
Film = tuple[str | None, str | None]


@dataclass(frozen=True)
class _Table:
    """A text table: its file, separator, number of columns and a line as it should be."""

    file: str
    separator: str
    example: str
    encoding: str = "utf-8"
    header: str | None = None

    @property
    def width(self) -> int:
        return len(self.example.split(self.separator))

    def rows(self, folder: Path) -> Iterator[tuple[_Line, list[str]]]:
        """Every line's cells, with what an error message about the line needs."""
        path = folder / self.file
        if not path.exists():
            raise DataError(str(path), "no such file", MEND)
        with path.open(encoding=self.encoding, errors="strict") as file:
            number = 0
            try:
                for number, text in enumerate(file, start=1):
                    line = _Line(self, path, number)
                    if number == 1 and self.header is not None:
                        if text.rstrip("\n") != self.header:
                            raise line.error(f"header {self.header!r}", text.rstrip("\n"))
                    elif text.strip():  # the last line of a file may be blank
                        cells = text.rstrip("\n").split(self.separator)
                        if len(cells) != self.width:
                            raise line.error(f"{self.width} columns", f"{len(cells)}")
                        yield line, cells
            except UnicodeDecodeError as error:
                where = _Line(self, path, number + 1)
                raise where.error(f"{self.encoding} text", str(error)) from None


@dataclass(frozen=True)
class _Line:
    table: _Table
    path: Path
    number: int

    def error(self, expected: str, found: str) -> DataError:
        example = f"a right line is {self.table.example!r}"
        problem = f"expected {expected}, found {found}; {example}"
        return DataError(f"{self.path}, line {self.number}", problem, MEND)

    def integer(self, text: str, what: str) -> int:
        if not text.isascii() or not text.isdigit():
            raise self.error(f"a whole number as {what}", repr(text))
        return int(text)


_GROUPLENS = (
    _Table("u.data", "\t", "196\t242\t3\t881250949"),
    _Table("u.user", "|", "1|24|M|technician|85711"),
    _Table(
        "u.item",
        "|",
        "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)"
        "|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0",
        encoding="latin-1",
    ),
)
_RECBOLE = (
    _Table(
        "ml-100k.inter",
        "\t",
        "196\t242\t3\t881250949",
        header="user_id:token\titem_id:token\trating:float\ttimestamp:float",
    ),
    _Table(
        "ml-100k.user",
        "\t",
        "1\t24\tM\ttechnician\t85711",
        header="user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token",
    ),
    _Table(
        "ml-100k.item",
        "\t",
        "1\tToy Story\t1995\tAnimation Children's Comedy",
        header="item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
    ),
)


def read_grouplens(folder: Path) -> pl.DataFrame:
    """The frame of the official archive's u.data, u.user and u.item."""
    return _read(folder, _GROUPLENS, _grouplens_film)


def read_recbole(folder: Path) -> pl.DataFrame:
    """The frame of RecBole's ml-100k.inter, ml-100k.user and ml-100k.item."""
    return _read(folder, _RECBOLE, _recbole_film)


def _read(
    folder: Path,
    tables: tuple[_Table, _Table, _Table],
    film_of: Callable[[_Line, list[str]], Film],
) -> pl.DataFrame:
    ratings, users_table, films_table = tables
    users = {cells[0]: _user(line, cells) for line, cells in users_table.rows(folder)}
    films = {cells[0]: film_of(line, cells) for line, cells in films_table.rows(folder)}
    rows = []
    for line, (user, film, text, _) in ratings.rows(folder):
        rating = line.integer(text, "the rating")
        if rating not in RATINGS:
            raise line.error("a rating of 1 to 5", text)
        if user not in users:
            raise line.error(f"a user of {users_table.file}", repr(user))
        if film not in films:
            raise line.error(f"a film of {films_table.file}", repr(film))
        rows.append((user, film, rating, *users[user], *films[film]))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _user(line: _Line, cells: list[str]) -> User:
    _, age, gender, occupation, zip_code = cells
    if age:
        line.integer(age, "the age")
    return age or None, gender or None, occupation or None, zip_code or None


def _grouplens_film(line: _Line, cells: list[str]) -> Film:
    flags = cells[-len(GENRES) :]
    if set(flags) - {"0", "1"}:
        raise line.error("19 genre flags of 0 or 1", "|".join(flags))
    return _year(cells[1]), _genres(
        [name for name, flag in zip(GENRES, flags, strict=True) if flag == "1"]
    )


def _recbole_film(line: _Line, cells: list[str]) -> Film:
    _, title, last, genres = cells
    names = genres.split()
    if unknown := sorted(set(names) - set(GENRES)):
        raise line.error("genres of u.genre", repr(unknown[0]))
    # RecBole cut the title's last bracket off as the year; put it back, and one rule serves both:
    # film 1412 is "… (1995) (V)".
    return _year(f"{title} ({last})"), _genres(names)


def _year(title: str) -> str | None:
    """The last bracketed year of a title; one film of the 1682 has none."""
    years = _YEAR.findall(title)
    return years[-1] if years else None


def _genres(names: list[str]) -> str | None:
    """A film's set of genres as one value; "unknown" marks a film without any."""
    return "|".join(sorted(set(names) - {"unknown"})) or None
