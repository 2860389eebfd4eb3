"""MovieLens-100K in the two forms it is distributed in (stands for ML-20m of paper §3.1).

`grouplens` is the official archive (u.data, u.user, u.item), `recbole` the same tables as tab
separated files with a header. Both give one frame, row for row and value for value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl

from autoloss.data.formats._table import Line, Table

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

_YEAR = re.compile(r"\((\d{4})\)")

User = tuple[str | None, str | None, str | None, str | None]
Film = tuple[str | None, str | None]


_GROUPLENS = (
    Table("u.data", "\t", "196\t242\t3\t881250949"),
    Table("u.user", "|", "1|24|M|technician|85711"),
    Table(
        "u.item",
        "|",
        "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)"
        "|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0",
        encoding="latin-1",
    ),
)
_RECBOLE = (
    Table(
        "ml-100k.inter",
        "\t",
        "196\t242\t3\t881250949",
        header="user_id:token\titem_id:token\trating:float\ttimestamp:float",
    ),
    Table(
        "ml-100k.user",
        "\t",
        "1\t24\tM\ttechnician\t85711",
        header="user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token",
    ),
    Table(
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
    tables: tuple[Table, Table, Table],
    film_of: Callable[[Line, list[str]], Film],
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


def _user(line: Line, cells: list[str]) -> User:
    _, age, gender, occupation, zip_code = cells
    if age:
        line.integer(age, "the age")
    return age or None, gender or None, occupation or None, zip_code or None


def _grouplens_film(line: Line, cells: list[str]) -> Film:
    flags = cells[-len(GENRES) :]
    if set(flags) - {"0", "1"}:
        raise line.error("19 genre flags of 0 or 1", "|".join(flags))
    return _year(cells[1]), _genres(
        [name for name, flag in zip(GENRES, flags, strict=True) if flag == "1"]
    )


def _recbole_film(line: Line, cells: list[str]) -> Film:
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


FORMATS = {"grouplens": read_grouplens, "recbole": read_recbole}
