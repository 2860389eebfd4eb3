"""Criteo, ML-20m and Avazu from generated folders, against naive encodings of the same files."""

import math
import shutil
import subprocess
import sys
from decimal import Decimal, getcontext
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import (
    MANIFEST,
    RawFile,
    RawManifest,
    digest,
    read_manifest,
    write_manifest,
)
from autoloss.data.prepare.dataset import prepare
from autoloss.data.prepare.encode import bucket, encode_labels
from autoloss.data.specs import DatasetSpec, TaskSpec, load_dataset
from autoloss.errors import DataError
from autoloss.synth.write import generate

ROOT = Path(__file__).parents[2]
ROWS = {"criteo": 100_000, "ml-20m": 30_000, "avazu": 30_000}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Generated raw folders, made when first asked for."""
    folders = {}

    def of(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name) / "raw"
            generate(name, ROWS[name], 7, folders[name], say=lambda _: None)
        return folders[name]

    return of


def prepared(name, raw_dir, out, spec=None, **options):
    said = []
    spec = spec or load_dataset(name, ROOT)
    return prepare(spec, raw_dir, {0: out}, say=said.append, **options)[0], said


def number(text):
    """Criteo's rule, as pytorch-fm writes it."""
    if text == "":
        return "NULL"
    v = int(text)
    return str(int(math.log(v) ** 2)) if v > 2 else str(v - 2)


def naive(column, min_count, order, train):
    """Ids by counting in pandas; a value's text decides among equal counts."""
    values = column.iloc[order].reset_index(drop=True)
    counts = values.iloc[:train].value_counts().rename("count").rename_axis("value").reset_index()
    kept = counts[counts["count"] >= min_count]
    kept = kept.sort_values(["count", "value"], ascending=[False, True])
    ids = {value: k for k, value in enumerate(kept["value"], start=1)}
    return values.map(ids).fillna(0).astype(int).to_numpy(), len(kept) + 1, column.nunique()


def expected_order(rows):
    order = np.random.default_rng(np.random.SeedSequence(42, spawn_key=(0,))).permutation(rows)
    return order, rows - 2 * round(rows / 10)


def test_criteo_agrees_with_a_naive_encoding_bit_for_bit(raw, tmp_path):
    manifest, _ = prepared("criteo", raw("criteo"), tmp_path / "out", block_bytes=3_000_000)
    data = PreparedData.open(tmp_path / "out")
    table = pd.read_csv(
        raw("criteo") / "train.txt", sep="\t", header=None, dtype=str, keep_default_na=False
    )
    order, train = expected_order(len(table))
    assert np.load(tmp_path / "out" / "rows.npy").tolist() == order.tolist()
    assert data.labels.tolist() == table[0].iloc[order].astype(int).tolist()
    for k, stats in enumerate(manifest.fields):
        column = table[k + 1]
        values = column.map(number) if k < 13 else column.replace("", "NULL")
        ids, size, _ = naive(values, 10, order, train)
        assert np.array_equal(data.ids[:, k], ids), stats.name
        assert (stats.size, stats.distinct) == (size, column.nunique())
        counts = values.value_counts()
        assert stats.size_counting_all == (counts >= 10).sum() + 1
        assert stats.folded == len(counts) - (size - 1)
    data.verify()


@pytest.mark.parametrize("name", ["ml-20m", "avazu"])
def test_the_others_agree_with_a_naive_encoding(raw, tmp_path, name):
    manifest, _ = prepared(name, raw(name), tmp_path / "out", block_bytes=500_000)
    data, spec = PreparedData.open(tmp_path / "out"), load_dataset(name, ROOT)
    (file,) = (path for path in raw(name).iterdir() if path.name != MANIFEST)
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table = table.rename(columns={"userId": "user", "movieId": "item"})
    order, train = expected_order(len(table))
    raw_labels = table[spec.task.label].iloc[order].astype(float)
    labels = np.ceil(raw_labels) - 1 if name == "ml-20m" else raw_labels
    assert data.labels.tolist() == labels.astype(int).tolist()
    assert data.ids.shape == (ROWS[name], {"ml-20m": 2, "avazu": 22}[name])
    for k, field in enumerate(spec.fields):
        ids, size, distinct = naive(table[field.name], field.min_count, order, train)
        assert np.array_equal(data.ids[:, k], ids), field.name
        assert (manifest.fields[k].size, manifest.fields[k].distinct) == (size, distinct)


@settings(max_examples=8, deadline=None)
@given(block=st.integers(1, 2_000_000))
def test_the_size_of_a_block_changes_nothing(raw, tmp_path_factory, block):
    folder = tmp_path_factory.mktemp("blocks")
    whole, _ = prepared("ml-20m", raw("ml-20m"), folder / "whole")
    block = max(block, 5_000)  # a block a line is slow
    cut, _ = prepared("ml-20m", raw("ml-20m"), folder / "cut", block_bytes=block)
    assert cut == whole
    for name in ("ids.npy", "labels.npy", "rows.npy"):
        assert (folder / "cut" / name).read_bytes() == (folder / "whole" / name).read_bytes()


def test_no_rounding_error_in_the_rule_for_numbers():
    """⌊(ln v)²⌋ against 40 digits, on both sides of every step up to 2^31, at e^√k."""
    getcontext().prec = 40
    for k in range(2, int(math.log(2**31) ** 2)):
        near = int(Decimal(k).sqrt().exp())
        for v in range(max(near - 1, 3), near + 3):
            assert int(bucket(str(v))) == int(Decimal(v).ln() ** 2) == int(number(str(v))), v


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ceil", [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        ("floor", [0, 0, 0, 1, 1, 2, 2, 3, 3, 4]),
        ("round", [0, 0, 1, 1, 1, 2, 3, 3, 3, 4]),
    ],
)
def test_half_stars_become_five_classes(kind, expected):
    stars = pl.Series("rating", np.arange(1, 11) / 2)
    task = TaskSpec(classes=5, label="rating", rule={"kind": kind, "value": 1})
    assert encode_labels(stars, task).tolist() == expected
    with pytest.raises(DataError, match=r"label 6\.0 gives class 5"):
        encode_labels(pl.Series("rating", [6.0]), task)
    with pytest.raises(DataError, match="expected numbers"):
        encode_labels(pl.Series("rating", ["5"]), task)


def test_whole_rules_refuse_half_stars():
    task = TaskSpec(classes=5, label="rating", rule={"kind": "subtract", "value": 1})
    with pytest.raises(DataError, match="whole numbers"):
        encode_labels(pl.Series("rating", [1.0, 2.5]), task)


def with_spec(name, **changes):
    content = load_dataset(name, ROOT).model_dump(mode="json")
    return DatasetSpec.model_validate(content | changes)


def test_generated_data_say_so_and_are_not_checked(raw, tmp_path):
    manifest, said = prepared("criteo", raw("criteo"), tmp_path / "out", max_rows=2_000)
    assert manifest.generated
    assert manifest.title.endswith("click (generated)")
    assert any("generated data" in line for line in said)
    assert manifest.differences == ()
    assert (manifest.rows, manifest.raw_rows) == (2_000, ROWS["criteo"])


def sealed(folder, **changes):
    """`folder` with a manifest that agrees with its files, as another's would."""
    old = read_manifest(folder, RawManifest, "")
    files = [
        RawFile(name=f.name, bytes=(folder / f.name).stat().st_size, sha256=digest(folder / f.name))
        for f in old.files
    ]
    write_manifest(folder, old.model_copy(update={"files": tuple(files), **changes}))
    return folder


def test_published_numbers_are_required_and_inferred_ones_only_told(raw, tmp_path):
    folder = tmp_path / "real"
    shutil.copytree(raw("ml-20m"), folder)
    sealed(folder, mirror="https://a.org/x.zip")
    with pytest.raises(DataError, match=r"expected 20000263 rows, found 30000(?s:.)*fetch movie"):
        prepared("ml-20m", folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found, _ = prepared("ml-20m", raw("ml-20m"), tmp_path / "out")
    users, items = (field.distinct for field in found.fields)
    right = {"rows": 30_000, "distinct": {"user": users}, "sizes": {"user": users + 1}}
    inferred = {"distinct": {"item": 1}, "sizes": {"item": items + 1}}
    spec = with_spec("ml-20m", expected=right, inferred=inferred)
    manifest, said = prepared("ml-20m", folder, tmp_path / "out", spec)
    assert manifest.differences == (f"expected 1 distinct values of item, found {items}",)
    assert "warning" in said[-1]
    assert PreparedData.open(tmp_path / "out").manifest == manifest
    spec = with_spec("ml-20m", expected={"sizes": {"user": users}}, inferred=None)
    with pytest.raises(DataError, match="ids of user, all rows counted"):
        prepared("ml-20m", folder, tmp_path / "out", spec)


def test_skipped_lines_are_in_the_manifest(raw, tmp_path):
    folder = tmp_path / "raw"
    generate("ml-20m", 1_000, 1, folder, say=lambda _: None)
    lines = (folder / "ratings.csv").read_text().splitlines(keepends=True)
    lines[500:500] = ["1,2,6,3\n", "1,2\n"]
    (folder / "ratings.csv").write_text("".join(lines))
    sealed(folder)
    with pytest.raises(DataError, match="line 501: expected a rating"):
        prepared("ml-20m", folder, tmp_path / "out")
    spec = with_spec("ml-20m", max_bad_rows=2)
    manifest, said = prepared("ml-20m", folder, tmp_path / "out", spec)
    assert (manifest.bad_rows, manifest.raw_rows) == (2, 1_000)
    assert any("line 502: expected 4 columns, found 2" in line for line in said)


def test_a_file_of_a_header_alone_holds_no_rows(raw, tmp_path):
    folder = tmp_path / "raw"
    shutil.copytree(raw("ml-20m"), folder)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    with pytest.raises(DataError, match="there are no rows"):
        prepared("ml-20m", sealed(folder), tmp_path / "out")


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Twelve times the rows need less than a third of the larger file's bytes more."""
    code = """
import resource, sys
from pathlib import Path
from autoloss.data.prepare.dataset import prepare
from autoloss.data.specs import load_dataset
spec = load_dataset("criteo", Path(sys.argv[1]))
for name in ("small", "large"):
    prepare(spec, Path(name), {0: Path(name + "-out")}, say=lambda _: None, block_bytes=1 << 20)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    for name, rows in (("small", 25_000), ("large", 300_000)):
        generate("criteo", rows, 0, tmp_path / name, say=lambda _: None)
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    small, large = map(int, done.stdout.split())
    file = (tmp_path / "large" / "train.txt").stat().st_size
    assert large - small < file / 3, (small, large, file)
