"""Both forms of MovieLens-100K give one frame; a malformed line is named with its number."""

import polars as pl
import pytest

from autoloss.data.formats.ml_100k import COLUMNS, GENRES, read_grouplens, read_recbole
from autoloss.errors import DataError

# (id, title with year, genres): an accent, a year inside brackets twice, "(V)" after the year,
# and the one film without a title, as they are in the real files.
FILMS = [
    ("1", "Toy Story (1995)", ["Animation", "Children's", "Comedy"]),
    ("2", "Nosferatu (Nosferatu, eine Symphonie des Grauens) (1922)", ["Horror"]),
    ("3", "unknown", ["unknown"]),
    ("4", "Land Before Time III: The Great Giving (1995) (V)", ["Children's", "Animation"]),
    ("5", "Cérémonie, La (1995)", ["Film-Noir", "Sci-Fi"]),
    ("6", "Good Morning (1971)", ["unknown"]),
    ("7", "2001: A Space Odyssey (1968)", ["Thriller", "Sci-Fi", "Drama"]),
]
USERS = ["1|24|M|technician|85711", "2||F|none|T8H1N", "10|7|F|other|00000"]
RATINGS = ["10\t4\t5\t881250949", "1\t3\t3\t881250950", "2\t5\t1\t881250951", "1\t1\t4\t881250952"]


def write_grouplens(folder):
    lines = []
    for film, title, genres in FILMS:
        flags = "|".join("1" if name in genres else "0" for name in GENRES)
        lines.append(f"{film}|{title}|01-Jan-1997||http://x/{film}|{flags}\n")
    (folder / "u.item").write_bytes("".join(lines).encode("latin-1"))
    (folder / "u.user").write_text("\n".join(USERS) + "\n")
    (folder / "u.data").write_text("\n".join(RATINGS) + "\n\n")


def write_recbole(folder):
    """RecBole's own conversion: the last bracket becomes the year, genres keep u.genre's order."""
    lines = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"]
    for film, title, genres in FILMS:
        head, _, last = title.rpartition(" (")
        head, last = (head, last.rstrip(")")) if head else ("unkonwn", "unkonwn")
        ordered = " ".join(name for name in GENRES if name in genres)
        lines.append(f"{film}\t{head}\t{last}\t{ordered}\n")
    (folder / "ml-100k.item").write_text("".join(lines), encoding="utf-8")
    users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    (folder / "ml-100k.user").write_text(
        users + "".join(line.replace("|", "\t") + "\n" for line in USERS)
    )
    ratings = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (folder / "ml-100k.inter").write_text(ratings + "\n".join(RATINGS) + "\n")


@pytest.fixture
def folders(tmp_path):
    for name, write in (("grouplens", write_grouplens), ("recbole", write_recbole)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    return tmp_path / "grouplens", tmp_path / "recbole"


def test_both_formats_give_the_same_frame(folders):
    first, second = read_grouplens(folders[0]), read_recbole(folders[1])
    assert first.columns == list(COLUMNS)
    assert first.schema == second.schema
    assert first.equals(second)


def test_rows_in_file_order_with_missing_values_as_null(folders):
    rows = read_grouplens(folders[0]).rows()
    assert rows == [
        ("10", "4", 5, "7", "F", "other", "00000", "1995", "Animation|Children's"),
        ("1", "3", 3, "24", "M", "technician", "85711", None, None),
        ("2", "5", 1, None, "F", "none", "T8H1N", "1995", "Film-Noir|Sci-Fi"),
        ("1", "1", 4, "24", "M", "technician", "85711", "1995", "Animation|Children's|Comedy"),
    ]


@pytest.mark.parametrize(
    ("index", "film", "year"),
    [(0, "2", "1922"), (0, "7", "1968"), (1, "7", "1968"), (1, "6", "1971")],
)
def test_the_year_is_the_last_in_the_title(folders, index, film, year):
    folder, data = folders[index], ("u.data", "ml-100k.inter")[index]
    with (folder / data).open("a") as file:
        file.write(f"1\t{film}\t2\t0\n")
    frame = (read_grouplens, read_recbole)[index](folder)
    assert frame.filter(pl.col("item") == film)["year"].to_list() == [year]


@pytest.mark.parametrize(
    ("file", "line", "text", "parts"),
    [
        ("u.data", 2, "1\t3\t3", ["4 columns", "found 3", r"196\t242\t3\t881250949"]),
        ("u.data", 2, "1\t3\tfour\t0", ["whole number as the rating", "'four'"]),
        ("u.data", 2, "1\t3\t3.5\t0", ["whole number", "'3.5'"]),
        ("u.data", 3, "1\t3\t6\t0", ["rating of 1 to 5", "found 6"]),
        ("u.data", 3, "1\t3\t0\t0", ["rating of 1 to 5", "found 0"]),
        ("u.data", 1, "99\t3\t3\t0", ["user of u.user", "'99'"]),
        ("u.data", 1, "1\t99\t3\t0", ["film of u.item", "'99'"]),
        ("u.user", 3, "10|old|F|other|00000", ["as the age", "'old'", "1|24|M|technician"]),
        ("u.user", 1, "1|24|M|technician", ["5 columns", "found 4"]),
        ("u.item", 2, "2|Nosferatu (1922)|x||y|0|1", ["24 columns", "found 7", "Toy Story"]),
        ("u.item", 1, "1|T (1995)|x||y" + "|0" * 18 + "|7", ["genre flags"]),
    ],
)
def test_a_malformed_line_is_named(folders, file, line, text, parts):
    path = folders[0] / file
    lines = path.read_text(encoding="latin-1").split("\n")
    lines[line - 1] = text
    path.write_text("\n".join(lines), encoding="latin-1")
    with pytest.raises(DataError) as caught:
        read_grouplens(folders[0])
    for part in [f"{file}, line {line}:", "expected", "a right line is", "To mend it", *parts]:
        assert part in str(caught.value)


def test_recbole_headers_genres_and_encoding_are_checked(folders):
    path = folders[1] / "ml-100k.item"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"release_year", b"year"))
    with pytest.raises(DataError, match=r"line 1: expected the header"):
        read_recbole(folders[1])
    path.write_bytes(whole.replace(b"Sci-Fi", b"SciFi"))
    with pytest.raises(DataError, match=r"line 6: .*'SciFi'"):
        read_recbole(folders[1])
    path.write_bytes(whole.replace("é".encode(), b"\xe9"))
    with pytest.raises(DataError, match="expected utf-8 text"):
        read_recbole(folders[1])


def test_a_missing_file_is_named(folders):
    (folders[0] / "u.user").unlink()
    with pytest.raises(DataError, match=r"u\.user: no such file"):
        read_grouplens(folders[0])
