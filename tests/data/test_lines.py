"""Large text files: each malformed line is named, and blocks do not change what is accepted."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.data.formats import formats, read_raw
from autoloss.data.formats._lines import LONGEST, Leniency, parse, read_lines
from autoloss.data.formats._table import Layout
from autoloss.data.manifest import RawManifest, write_manifest
from autoloss.data.specs import load_dataset
from autoloss.errors import DataError
from tests.tiny import ROOT

LAYOUTS = {name: form for name, form in formats().items() if isinstance(form, Layout)}
CRITEO, CRITEO_X4, MOVIELENS_20M, AVAZU_X4 = (
    LAYOUTS[name] for name in ("criteo", "criteo_x4", "movielens20m", "avazu_x4")
)
ROW = CRITEO.example


def read(folder, layout=CRITEO, limit=0, block=1 << 20, said=None):
    leniency = Leniency(limit, (said if said is not None else []).append)
    frames = list(read_lines(layout, folder, leniency, block))
    return frames, leniency


def write(folder, content, layout=CRITEO):
    if isinstance(content, str):
        content = content.encode()
    (folder / layout.files[0]).write_bytes(content)


def cells(**changes):
    """A right line of Criteo with cells changed by column."""
    right = dict(zip(CRITEO.columns, ROW.split("\t"), strict=True))
    return "\t".join((right | changes).values())


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_an_example_line_is_right_and_as_wide_as_the_columns(layout, tmp_path):
    header = f"{layout.header}\n" if layout.header else ""
    write(tmp_path, header + f"{layout.example}\n" * 3, layout)
    (frame,), _ = read(tmp_path, layout)
    assert frame.columns == list(layout.columns)
    assert frame.height == 3
    assert layout.width == len(layout.columns)


def test_values_of_criteo(tmp_path):
    write(tmp_path, cells(click="1", I1="-3", I2="", C1="0000000f", C2="") + "\n")
    (frame,), _ = read(tmp_path)
    row = frame.row(0, named=True)
    assert [row[name] for name in ("click", "I1", "I2", "C1", "C2")] == [1, -3, None, 15, None]


def test_values_of_movielens_and_avazu(tmp_path):
    write(tmp_path, f"{MOVIELENS_20M.header}\n7,9,0.5,1\n7,9,5,1\n", MOVIELENS_20M)
    (frame,), _ = read(tmp_path, MOVIELENS_20M)
    assert frame["rating"].to_list() == [0.5, 5.0]
    write(tmp_path, f"{AVAZU_X4.header}\n{AVAZU_X4.example}\n", AVAZU_X4)
    (frame,), _ = read(tmp_path, AVAZU_X4)
    assert (frame["hour"][0], frame["C20"][0], frame["site_id"][0]) == (14102100, -1, 0x1FBE01FE)


def test_the_files_of_a_format_are_read_in_its_order(tmp_path):
    for name, click in (("test.csv", 1), ("train.csv", 0), ("valid.csv", 1)):
        row = CRITEO_X4.example.replace("0", str(click), 1)
        (tmp_path / name).write_text(f"{CRITEO_X4.header}\n{row}\n")
    frames, _ = read(tmp_path, CRITEO_X4)
    assert [frame["click"][0] for frame in frames] == [0, 1, 1]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (ROW + "\t1", ["expected 40 columns, found 41"]),
        (ROW.rpartition("\t")[0], ["expected 40 columns, found 39"]),
        ("", ["expected 40 columns, found 1"]),
        (cells(C3="7b47g3c4"), ["as C3 (0-9, a-f; may be empty), found '7b47g3c4'"]),
        (cells(C3="7b47"), ["8 hexadecimal digits as C3 (0-9, a-f; may be empty), found '7b47'"]),
        (cells(C3="7B4723C4"), ["as C3 (0-9, a-f; may be empty), found '7B4723C4'"]),
        (cells(C3="-b4723c4"), ["as C3"]),
        (cells(I4="1-2"), ["a whole number as I4 (at most 9 digits; may be empty), found '1-2'"]),
        (cells(I4="1e5"), ["as I4 (at most 9 digits; may be empty), found '1e5'"]),
        (cells(I4="1.5"), ["a whole number as I4", "found '1.5'"]),
        (cells(I4="1234567890"), ["as I4"]),
        (cells(I4="9" * 30), ["as I4"]),
        (cells(click="2"), ["a label of 0 or 1 as click, found '2'"]),
        (cells(click=""), ["as click, found ''"]),
        (cells(click="00"), ["as click, found '00'"]),
        (ROW + "\r", [r"Windows' \r\n", "sed -i"]),
        (cells(I4='"1"'), ["as I4", """found '"1"'"""]),
        (cells(C1="é" * 4), ["as C1", "found 'éééé'"]),
        (cells(I4="NaN"), ["as I4", "found 'NaN'; leave a missing value empty"]),
        (ROW.replace("\t", ","), ["40 columns separated by tabs, found commas"]),
        (ROW.replace("\t", " "), ["40 columns separated by tabs, found spaces"]),
        (cells(C26="").rstrip("\t"), ["40 columns, found 39: none as C26"]),
        ("\ufeff" + ROW, ["byte order mark"]),
    ],
)
def test_a_malformed_line_is_named_with_a_right_one(tmp_path, line, parts):
    write(tmp_path, f"{ROW}\n{ROW}\n{line}\n{ROW}\n")
    for block in (1, 1 << 20):
        with pytest.raises(DataError) as caught:
            read(tmp_path, block=block)
        message = str(caught.value)
        for part in ("train.txt, line 3:", repr(ROW), "max_bad_rows", "autoloss fetch", *parts):
            assert part in message


def test_a_header_where_none_belongs_and_none_where_one_does(tmp_path):
    write(tmp_path, "\t".join(c.replace("I", "") for c in CRITEO.columns) + f"\n{ROW}\n")
    with pytest.raises(DataError, match="line 1: "):
        read(tmp_path)
    write(tmp_path, "\t".join("a" for _ in CRITEO.columns) + f"\n{ROW}\n")
    with pytest.raises(DataError, match="this format has no header"):
        read(tmp_path)
    write(tmp_path, f"{MOVIELENS_20M.example}\n", MOVIELENS_20M)
    with pytest.raises(DataError, match="line 1: expected the header 'userId,movieId"):
        read(tmp_path, MOVIELENS_20M)


NAMES = "\t".join(CRITEO.columns)


@pytest.mark.parametrize(
    "header", [NAMES, NAMES + "\r", "\ufeff" + NAMES, NAMES.replace("\t", ","), NAMES.upper()]
)
def test_a_header_is_called_a_header(tmp_path, header):
    write(tmp_path, f"{header}\n{ROW}\n")
    with pytest.raises(DataError, match=r"line 1: .*this format has no header, found a header"):
        read(tmp_path)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(list(CRITEO.columns)),
    st.sampled_from(["1.0", "NaN", "ABCDEF01", '"1"', " 1", "é", "1,5", "+1", "x" * 300, "_"]),
)
def test_whatever_is_in_a_cell_the_message_names_its_column(tmp_path_factory, name, cell):
    folder = tmp_path_factory.mktemp("cell")
    write(folder, f"{ROW}\n{cells(**{name: cell})}\n")
    with pytest.raises(DataError) as caught:
        read(folder)
    shown = re.escape(repr(cell[:80]))
    assert re.match(rf"expected .* as {name}\b.*, found {shown}", caught.value.problem)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda h: h + "\r", "Windows"),
        (lambda h: "\ufeff" + h, "byte order mark"),
        (lambda h: h.replace("C13", "c13"), "'c13' in the place of 'C13', column 27"),
    ],
)
def test_what_differs_in_a_header_is_shown(tmp_path, change, part):
    write(tmp_path, f"{change(CRITEO_X4.header)}\n{CRITEO_X4.example}\n", CRITEO_X4)
    with pytest.raises(DataError) as caught:
        read(tmp_path, CRITEO_X4)
    assert part in caught.value.problem


@pytest.mark.parametrize(
    ("mirror", "mend"),
    [
        ("imported from train.txt", "correct the imported file, then run `autoloss data import m"),
        ("generated, seed 0", "generate the data again with `autoloss data synth`"),
        ("https://a.org", "run `autoloss fetch mine --force`"),
    ],
)
@pytest.mark.parametrize("format", ["criteo", "recbole", "uci", "widedeep"])
def test_a_mend_names_the_source_that_was_read_and_how_it_came(tmp_path, format, mirror, mend):
    raw = RawManifest(source="mine", mirror=mirror, format=format, files=(), fetched="now")
    write_manifest(tmp_path, raw)
    files = {"criteo": "train.txt", "recbole": "ml-100k.user", "uci": "adult.test"}
    (tmp_path / files.get(format, "adult.parquet.brotli")).write_text("a\tb\n")
    with pytest.raises(DataError) as caught:
        list(read_raw(load_dataset("adult", ROOT), raw, tmp_path, Leniency(0, print)))
    assert caught.value.mend.startswith(mend)


@pytest.mark.parametrize("cut", [1, 3, 9, 60])
def test_a_file_cut_off_in_its_last_line_is_refused(tmp_path, cut):
    write(tmp_path, f"{ROW}\n{ROW}\n"[:-cut])
    with pytest.raises(DataError, match=r"line 2: .*(cut off|as C26)"):
        read(tmp_path)


def test_empty_missing_compressed_and_binary_files(tmp_path):
    with pytest.raises(DataError, match=r"train\.txt: no such file"):
        read(tmp_path)
    write(tmp_path, b"")
    with pytest.raises(DataError, match="the file is empty"):
        read(tmp_path)
    write(tmp_path, b"\x1f\x8b\x08" + bytes(range(256)))
    with pytest.raises(DataError, match="line 1: expected plain ASCII"):
        read(tmp_path)
    write(tmp_path, b"\xff\xfe" + ROW.encode("utf-16-le"))
    with pytest.raises(DataError, match="line 1: expected plain ASCII"):
        read(tmp_path)
    write(tmp_path, bytes(3 * LONGEST))
    with pytest.raises(DataError, match="is the file compressed"):
        read(tmp_path, block=100)


@pytest.mark.parametrize("block", [1, 300, 1000, 1 << 20])
def test_malformed_lines_are_skipped_up_to_a_limit_counted_and_named(tmp_path, block):
    bad = [cells(click=str(k)) for k in range(2, 9)]
    write(tmp_path, "\n".join([ROW, *bad[:3], ROW, *bad[3:], ROW]) + "\n")
    said = []
    frames, leniency = read(tmp_path, limit=7, block=block, said=said)
    assert (sum(len(frame) for frame in frames), leniency.skipped) == (3, 7)
    assert len(said) == 5
    assert "line 2: expected a label" in said[0]
    with pytest.raises(DataError, match=r"line 9: .*6 malformed lines were skipped before"):
        read(tmp_path, limit=6, block=block)


CHARACTERS = '0159af-+. \t\n\r,eE"é'


@settings(max_examples=100, deadline=None)
@given(st.data())
@pytest.mark.parametrize("layout", [CRITEO, MOVIELENS_20M, AVAZU_X4])
def test_what_is_accepted_is_what_the_pattern_of_a_line_accepts(layout, tmp_path_factory, data):
    """Blocks are judged as a whole, then line by line: the two never disagree."""
    row = layout.example
    lines = [row] * 2
    for k in range(2):
        start, length = data.draw(st.integers(0, len(row))), data.draw(st.integers(0, 3))
        new = data.draw(st.text(CHARACTERS, max_size=3))
        lines.insert(k, row[:start] + new + row[start + length :])
    block = ("\n".join(lines) + "\n").encode()
    folder = tmp_path_factory.mktemp("fuzz")
    header = layout.header.encode() + b"\n" if layout.header else b""
    write(folder, header + block, layout)
    frames, leniency = read(folder, layout, limit=100)  # raises if the two disagree
    one_by_one, again = read(folder, layout, limit=100, block=1)
    assert leniency.skipped == again.skipped
    assert sum(map(len, frames)) == sum(map(len, one_by_one))
    assert (parse(block, layout) is None) == (leniency.skipped > 0)
