"""Both forms of Adult give one frame; a malformed line or table is named."""

import polars as pl
import pytest

from autoloss.data.formats import formats
from autoloss.data.formats.adult import COLUMNS, LEFT_OUT, NUMBERS, RAW, read_uci, read_widedeep
from autoloss.errors import DataError

# Lines as they are in the real files: workclass, occupation and country may be missing.
TEST = [
    "25, Private, 226802, 11th, 7, Never-married, Machine-op-inspct, Own-child, Black, Male, "
    "0, 0, 40, United-States, <=50K",
    "44, Private, 160323, Some-college, 10, Married-civ-spouse, Machine-op-inspct, Husband, "
    "Black, Male, 7688, 0, 40, United-States, >50K",
]
DATA = [
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, "
    "Male, 2174, 0, 40, United-States, <=50K",
    "54, ?, 180211, Some-college, 10, Married-civ-spouse, ?, Husband, Asian-Pac-Islander, "
    "Male, 0, 1902, 60, South, >50K",
    "18, Private, 1, HS-grad, 9, Never-married, Other-service, Own-child, Other, Female, "
    "0, 0, 20, ?, <=50K",
]
HEADER = "|1x3 Cross validator"


def write_uci(folder):
    (folder / "adult.test").write_text("\n".join([HEADER, *(f"{x}." for x in TEST)]) + "\n\n")
    (folder / "adult.data").write_text("\n".join(DATA) + "\n\n")


def wheel_table():
    """The wheel's table: the rows of adult.test and then of adult.data, without the full stop."""
    rows = [line.split(", ") for line in (*TEST, *DATA)]
    frame = pl.DataFrame(rows, schema=list(RAW.values()), orient="row")
    numbers = [RAW[name] for name in (*NUMBERS, *LEFT_OUT)]
    return frame.with_columns(pl.col(numbers).cast(pl.Int64))


def write_widedeep(folder, table=None):
    (wheel_table() if table is None else table).write_parquet(
        folder / "adult.parquet.brotli", compression="brotli"
    )


@pytest.fixture
def folders(tmp_path):
    for name, write in (("uci", write_uci), ("widedeep", write_widedeep)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    return tmp_path / "uci", tmp_path / "widedeep"


def test_both_formats_give_the_same_frame(folders):
    first, second = (formats()[folder.name](folder) for folder in folders)
    assert first.columns == list(COLUMNS)
    assert first.schema == second.schema
    assert first.equals(second)


def test_rows_in_file_order_with_missing_values_as_null(folders):
    frame = read_uci(folders[0])
    assert frame["over_50k"].to_list() == [0, 1, 0, 1, 0]
    assert frame["age"].to_list() == ["25", "44", "39", "54", "18"]
    assert frame.row(3, named=True) == {
        "age": "54",
        "workclass": None,
        "education": "Some-college",
        "marital_status": "Married-civ-spouse",
        "occupation": None,
        "relationship": "Husband",
        "race": "Asian-Pac-Islander",
        "sex": "Male",
        "capital_gain": "0",
        "capital_loss": "1902",
        "hours_per_week": "60",
        "native_country": "South",
        "over_50k": 1,
    }
    assert frame["native_country"].null_count() == 1


def test_the_weight_and_the_second_education_are_left_out(folders):
    for frame in (read_uci(folders[0]), read_widedeep(folders[1])):
        assert not set(LEFT_OUT) & set(frame.columns)


def test_a_null_of_the_table_is_missing_like_a_question_mark(folders):
    nothing = pl.col(pl.String).replace("?", None)
    write_widedeep(folders[1], wheel_table().with_columns(nothing))
    assert read_widedeep(folders[1]).equals(read_uci(folders[0]))


@pytest.mark.parametrize(
    ("file", "line", "old", "new", "parts"),
    [
        ("adult.data", 1, ", State-gov", "", ["15 columns", "found 14"]),
        ("adult.data", 1, ", ", ",", ["15 columns", "found 1;"]),
        ("adult.data", 2, "54,", "old,", ["whole number as the age", "'old'"]),
        ("adult.data", 1, " 2174,", " -1,", ["whole number as the capital_gain", "'-1'"]),
        ("adult.data", 3, " 20,", " 20.5,", ["hours_per_week", "'20.5'"]),
        ("adult.data", 1, "State-gov", "", ["a value or ? as the workclass", "found ''"]),
        ("adult.data", 1, "State-gov", " State-gov", ["workclass", "' State-gov'"]),
        ("adult.data", 2, ">50K", ">50k", ["label of <=50K or >50K", "'>50k'"]),
        ("adult.data", 2, ">50K", "?", ["label of <=50K or >50K", "'?'"]),
        ("adult.data", 2, ">50K", ">50K.", ["label of <=50K or >50K", "'>50K.'"]),
        ("adult.test", 2, "<=50K.", "<=50K", ["label of <=50K. or >50K.", "'<=50K'"]),
        ("adult.test", 1, HEADER, "|", [f"header '{HEADER}'", "found '|'"]),
    ],
)
def test_a_malformed_line_is_named(folders, file, line, old, new, parts):
    path = folders[0] / file
    lines = path.read_text().split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        read_uci(folders[0])
    right = "a right line is '39, State-gov, 77516, Bachelors"
    for part in [f"{file}, line {line}:", right, "autoloss fetch", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda t: t.drop("gender"), ["column 'gender' of String", "no such column"]),
        (lambda t: t.cast({"age": pl.Float64}), ["column 'age' of Int64", "found Float64"]),
        (
            lambda t: t.with_columns(pl.col("income").replace(">50K", ">50K.")),
            [", row 2:", "income of <=50K or >50K", "'>50K.'"],
        ),
        (
            lambda t: t.with_columns(pl.col("income").replace("<=50K", None)),
            [", row 1:", "found None"],
        ),
    ],
)
def test_a_malformed_table_is_named(folders, change, parts):
    write_widedeep(folders[1], change(wheel_table()))
    with pytest.raises(DataError) as caught:
        read_widedeep(folders[1])
    for part in ["adult.parquet.brotli", "expected", "autoloss fetch", *parts]:
        assert part in str(caught.value)


def test_a_file_that_is_no_parquet_or_missing_is_named(folders):
    path = folders[1] / "adult.parquet.brotli"
    path.write_bytes(b"not a table")
    with pytest.raises(DataError, match=r"brotli: not a parquet file"):
        read_widedeep(folders[1])
    path.unlink()
    (folders[0] / "adult.data").unlink()
    for read, folder in ((read_widedeep, folders[1]), (read_uci, folders[0])):
        with pytest.raises(DataError, match="no such file"):
            read(folder)
