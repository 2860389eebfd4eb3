"""Preparation against hand-worked and naive encodings; splits; determinism; all or nothing."""

import hashlib
import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.data.formats import formats
from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import RawFile, RawManifest, write_manifest
from autoloss.data.prepare import dataset as preparing
from autoloss.data.prepare.encode import bucket, encode_field, encode_labels
from autoloss.data.prepare.split import split_rows
from autoloss.data.specs import DatasetSpec, FieldSpec, SplitSpec, TaskSpec
from autoloss.errors import ConfigError, DataError
from autoloss.study.fingerprint import PREPARATION, reached
from tests.tiny import ROOT

FILES = ("ids.npy", "labels.npy", "rows.npy", "manifest.json")
SPLIT = {"train": 0.8, "validation": 0.1, "test": 0.1, "seed": 42}


def dataset(**changes):
    content = {
        "name": "toy",
        "title": "Toy",
        "source": "toys",
        "stands_for": "nothing",
        "task": {"classes": 5, "label": "rating", "rule": {"kind": "subtract", "value": 1}},
        "fields": [
            {"name": "user", "min_count": 2},
            {"name": "age", "kind": "numeric", "min_count": 3},
            {"name": "genres"},
        ],
        "split": SPLIT,
    }
    return DatasetSpec.model_validate(content | changes)


def prepare(spec, raw, out, **options):
    """Split 0 alone, in `out`."""
    return preparing.prepare(spec, raw, {0: out}, **options)[0]


def toy_frame(rows=200, seed=0):
    random = np.random.default_rng(seed)
    ages = random.integers(-1, 60, rows)
    genres = random.choice(["Drama", "Comedy|Drama", "War"], rows)
    return pl.DataFrame(
        {
            "user": [f"u{n}" for n in random.zipf(1.6, rows) % 40],
            "rating": random.integers(1, 6, rows),
            "age": [None if n % 7 == 0 else str(n) for n in ages],
            "genres": [None if n % 11 == 0 else name for n, name in zip(ages, genres, strict=True)],
        }
    )


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """A raw folder whose parser gives `toy_frame`."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "x").write_bytes(b"x")
    file = RawFile(name="x", bytes=1, sha256=hashlib.sha256(b"x").hexdigest())
    write_manifest(
        folder, RawManifest(source="toys", mirror="m", format="toy", files=(file,), fetched="now")
    )
    monkeypatch.setitem(formats(), "toy", lambda _: toy_frame())
    return folder


def test_hand_worked_encoding():
    values = ["a", "b", "a", "b", "b", "c", None, None, "a", "d", None]
    field = FieldSpec(name="f", min_count=2)
    ids, stats = encode_field(pl.Series("f", values), field, train=8)
    # Training holds b three times, NULL and a twice, c once: b=1, then NULL before a (by value).
    assert ids.tolist() == [3, 1, 3, 1, 1, 0, 2, 2, 3, 0, 2]
    assert ids.dtype == np.uint8
    assert (stats.size, stats.distinct, stats.folded, stats.min_count) == (4, 5, 2, 2)


def test_a_value_first_seen_after_training_is_the_default():
    ids, _ = encode_field(pl.Series("f", ["x", "y", "z", "z"]), FieldSpec(name="f"), train=2)
    assert ids.tolist() == [1, 2, 0, 0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("-3", "-5"), ("0", "-2"), ("2", "0"), ("3", "1"), ("24", "10"), ("73", "18")),
        *(("-0.5", "-3"), ("1.9", "-1"), ("2.5", "0"), ("20.5", "9")),
    ],
)
def test_criteo_rule_for_numbers(value, expected):
    assert bucket(value) == expected
    if float(value) > 2:
        assert int(bucket(value)) == int(math.log(float(value)) ** 2)


def test_numbers_share_buckets_and_missing_ones_are_a_value():
    numeric = FieldSpec(name="age", kind="numeric")
    ids, stats = encode_field(pl.Series("age", ["24", "25", None, "25", "7"]), numeric, train=5)
    assert ids.tolist() == [1, 1, 3, 1, 2]
    assert stats.distinct == 4


def test_a_number_that_is_none_is_named():
    fields = FieldSpec(name="age", kind="numeric"), FieldSpec(name="age", kind="buckets", edges=[1])
    for text in ("old", "1,5"):
        for field in fields:
            with pytest.raises(DataError, match=f"column 'age'.*'{text}'"):
                encode_field(pl.Series("age", ["1.5", text]), field, train=1)


def naive(column, kind, min_count, train):
    """The same rules, row by row, in pandas and plain Python."""

    def text(value):
        if pd.isna(value):
            return "NULL"
        if kind == "categorical":
            return value
        return str(int(math.log(int(value)) ** 2)) if int(value) > 2 else str(int(value) - 2)

    values = column.map(text)
    counts = values.iloc[:train].value_counts().to_dict()
    kept = sorted((v for v in counts if counts[v] >= min_count), key=lambda v: (-counts[v], v))
    return [kept.index(value) + 1 if value in kept else 0 for value in values]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("min_count", [1, 2, 5])
def test_agrees_with_a_naive_encoding(seed, min_count):
    frame = toy_frame(150, seed)
    for name, kind in (("user", "categorical"), ("age", "numeric"), ("genres", "categorical")):
        field = FieldSpec(name=name, kind=kind, min_count=min_count)
        expected = naive(pd.Series(frame[name].to_list()), kind, min_count, 100)
        assert encode_field(frame[name], field, train=100)[0].tolist() == expected


def test_labels_by_both_rules():
    ratings = pl.Series("rating", [1, 3, 4, 5])
    subtract = TaskSpec(classes=5, label="rating", rule={"kind": "subtract", "value": 1})
    click = TaskSpec(classes=2, label="rating", rule={"kind": "at_least", "value": 4})
    assert encode_labels(ratings, subtract).tolist() == [0, 2, 3, 4]
    assert encode_labels(ratings, click).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("values", [[1, 6], [0, 1], [1, None], ["1", "2"]])
def test_a_label_out_of_range_missing_or_no_number_is_refused(values):
    subtract = TaskSpec(classes=5, label="rating", rule={"kind": "subtract", "value": 1})
    with pytest.raises(DataError, match="column 'rating'"):
        encode_labels(pl.Series("rating", values), subtract)


@given(
    rows=st.integers(20, 3000),
    seed=st.integers(0, 2**32),
    number=st.integers(0, 1000),
    share=st.floats(0.05, 1),
)
def test_splits_are_disjoint_exhaustive_in_proportion_and_differ(rows, seed, number, share):
    spec = SplitSpec.model_validate(SPLIT | {"seed": seed})
    order, sizes = split_rows(rows, spec, number)
    assert sorted(order.tolist()) == list(range(rows))
    assert sum(sizes.values()) == rows
    assert abs(sizes["validation"] - rows / 10) <= 0.5
    kept = max(20, int(share * rows))
    sample, sizes = split_rows(rows, spec, number, max_rows=kept)
    assert len(set(sample.tolist())) == sum(sizes.values()) == kept
    assert set(sample.tolist()) <= set(range(rows))
    other, _ = split_rows(rows, spec, number + 1, max_rows=kept)
    assert set(other.tolist()) == set(sample.tolist())  # one sample, otherwise split
    assert other.tolist() != sample.tolist()


@pytest.mark.parametrize("max_rows", [-1, 0, 4])
def test_an_empty_split_is_refused(max_rows):
    with pytest.raises(DataError, match="empty split"):
        split_rows(100, SplitSpec.model_validate(SPLIT), 0, max_rows)


def test_prepared_folder_round_trip(raw, tmp_path):
    manifest = prepare(dataset(), raw, tmp_path / "out")
    data = PreparedData.open(tmp_path / "out")
    frame, rows = toy_frame(), np.load(tmp_path / "out" / "rows.npy")
    assert data.manifest == manifest
    assert data.ids.shape == (200, 3)
    assert data.task.outputs == 5
    assert sorted(rows) == list(range(200))
    assert manifest.splits == {"train": 160, "validation": 20, "test": 20}
    start = 0
    for name, size in manifest.splits.items():
        ids, labels = data.split(name)
        assert isinstance(ids, np.memmap)
        assert labels.tolist() == [r - 1 for r in frame["rating"].to_numpy()[rows[start:][:size]]]
        assert np.bincount(labels, minlength=5).tolist() == list(manifest.class_counts[name])
        for column, field in enumerate(dataset().fields):
            values = pd.Series(frame[rows][field.name].to_list())
            expected = naive(values, field.kind, field.min_count, 160)
            assert ids[:, column].tolist() == expected[start : start + size]
        start += size
    assert data.field_sizes == tuple(int(data.ids[:, f].max()) + 1 for f in range(3))
    assert manifest.statistics.interactions == 200
    assert manifest.statistics.feature_values == sum(f.distinct for f in manifest.fields)
    data.verify()


def test_twice_is_the_same_bytes_and_the_mirror_is_not_in_the_hash(raw, tmp_path):
    first = prepare(dataset(), raw, tmp_path / "one")
    prepare(dataset(), raw, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    text = (raw / "manifest.json").read_text()
    (raw / "manifest.json").write_text(text.replace('"mirror": "m"', '"mirror": "other"'))
    again = prepare(dataset(), raw, tmp_path / "one")
    assert (again.mirror, again.data_hash) == ("other", first.data_hash)
    seeded = dataset(split=SPLIT | {"seed": 1})
    assert prepare(seeded, raw, tmp_path / "one").data_hash != first.data_hash


def test_max_rows_keeps_a_sample_of_the_raw_rows(raw, tmp_path):
    manifest = prepare(dataset(expected={"rows": 200}), raw, tmp_path / "out", max_rows=150)
    assert (manifest.rows, manifest.raw_rows) == (150, 200)
    assert manifest.splits == {"train": 120, "validation": 15, "test": 15}


@pytest.mark.parametrize(
    ("label", "max_rows", "parts"),
    [
        (
            [1] * 200,
            None,
            ["no example of class 1 in all rows", "200 of class 0", "correct `task`"],
        ),
        ([1, 2, 3] * 66, None, ["no example of class 3 in all rows"]),
        ([1, 2, 3, 4, 5] + [1, 2, 3, 4] * 49, None, ["no example of class 4 in the "]),
        (
            [1, 2, 3, 4, 5] * 40,
            50,
            ["in the validation rows of split 0", "raise `study.max_rows`", "is 50"],
        ),
    ],
)
def test_a_split_without_a_class_is_found_before_training(
    raw, tmp_path, monkeypatch, label, max_rows, parts
):
    frame = toy_frame(len(label)).with_columns(rating=pl.Series(label))
    monkeypatch.setitem(formats(), "toy", lambda _: frame)
    with pytest.raises(DataError) as caught:
        prepare(dataset(), raw, tmp_path / "out", max_rows=max_rows)
    for part in ("toy: no example of class", *parts):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_files_folder_is_not_replaced_and_a_link_is_followed(raw, tmp_path):
    large, out = tmp_path / "large", tmp_path / "out"
    large.mkdir()
    out.symlink_to(large)
    for _ in range(2):
        prepare(dataset(), raw, out)
    assert out.is_symlink()
    (large / "manifest.json").unlink()  # as Snakemake does before it runs a rule again
    prepare(dataset(), raw, out)
    assert {path.name for path in large.iterdir()} == {*FILES}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out.autoloss-")]
    (large / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"not in its manifest.*'notes\.txt'"):
        prepare(dataset(), raw, out)
    assert (large / "notes.txt").read_text() == "mine"


def test_what_cannot_be_opened_names_the_data_set_not_its_folder(raw, tmp_path):
    out = tmp_path / "toy.50" / "split_0"
    prepare(dataset(), raw, out)
    for name in ("ids.npy", "manifest.json"):
        (out / name).unlink()
        with pytest.raises(DataError, match=r"`autoloss prepare toy`,? with the .*--config"):
            PreparedData.open(out)


@pytest.mark.parametrize(
    ("expected", "part"),
    [
        ({"rows": 201}, "expected 201 rows, found 200"),
        ({"rows": 200, "distinct": {"genres": 9}}, "expected 9 distinct values of genres, found 4"),
        ({"rows": 200, "class_counts": [200, 0, 0, 0, 0]}, "rows of each class"),
    ],
)
def test_unexpected_content_is_refused(raw, tmp_path, expected, part):
    with pytest.raises(DataError, match=part):
        prepare(dataset(expected=expected), raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_error_in_the_middle_leaves_nothing_or_the_old(raw, tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "write_manifest", full_disk)
        with pytest.raises(OSError, match="no space"):
            prepare(dataset(), raw, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    before = prepare(dataset(), raw, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "write_manifest", full_disk)
        with pytest.raises(OSError, match="no space"):
            prepare(dataset(split=SPLIT | {"seed": 1}), raw, tmp_path / "out")
    assert PreparedData.open(tmp_path / "out").manifest == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]


@pytest.mark.parametrize("name", [".out.autoloss-partial", ".out.0123abcd.partial"])
def test_what_a_killed_preparation_left_is_cleared_away_and_nothing_of_the_users(
    raw, tmp_path, name
):
    (tmp_path / name).mkdir()
    (tmp_path / name / "ids.npy").write_bytes(b"half")
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.partial").mkdir()
    prepare(dataset(), raw, tmp_path / "out")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".out.old", ".out.partial", "out", "raw"]


def test_a_disk_without_room_is_found_before_the_work(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "ROOM", 10**18)
    with pytest.raises(DataError, match=r"preparing toy needs .* are free on this disk"):
        prepare(dataset(), raw, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_no_lines_can_be_skipped_of_a_format_that_is_read_as_a_whole(raw, tmp_path):
    with pytest.raises(ConfigError, match="delete `max_bad_rows`"):
        prepare(dataset(max_bad_rows=1), raw, tmp_path / "out")


def test_a_wrong_raw_byte_stops_preparation(raw, tmp_path):
    (raw / "x").write_bytes(b"y")
    with pytest.raises(DataError, match="fetch toys --force"):
        prepare(dataset(), raw, tmp_path / "out")


def test_wrong_source_column_or_format_is_named(raw, tmp_path):
    with pytest.raises(DataError, match="holds toys, expected games"):
        prepare(dataset(source="games"), raw, tmp_path / "out")
    with pytest.raises(ConfigError, match="did you mean 'user'"):
        prepare(dataset(fields=[{"name": "usr"}]), raw, tmp_path / "out")
    text = (raw / "manifest.json").read_text()
    (raw / "manifest.json").write_text(text.replace('"format": "toy"', '"format": "recbol"'))
    with pytest.raises(ConfigError, match="did you mean 'recbole'"):
        prepare(dataset(), raw, tmp_path / "out")


def spoil_ids(folder, change):
    ids = np.load(folder / "ids.npy")
    np.save(folder / "ids.npy", change(ids))


def put(array, value):
    array = array.copy()
    array[3, 1] = value
    return array


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda ids: put(ids, 10_000), "row 3, column 1 holds 10000"),
        (lambda ids: put(ids, -1), "holds -1"),
        (lambda ids: ids[:-1], r"found int32 \[199, 3\]"),
        (lambda ids: ids.astype(np.int64), "found int64"),
    ],
)
def test_opening_refuses_damaged_ids(raw, tmp_path, change, part):
    prepare(dataset(), raw, tmp_path / "out")
    spoil_ids(tmp_path / "out", change)
    with pytest.raises(DataError, match=part):
        PreparedData.open(tmp_path / "out")


@pytest.mark.parametrize("name", ["ids.npy", "labels.npy", "manifest.json"])
def test_opening_refuses_missing_or_truncated_files(raw, tmp_path, name):
    prepare(dataset(), raw, tmp_path / "out")
    path = tmp_path / "out" / name
    path.write_bytes(path.read_bytes()[:5])
    with pytest.raises(DataError, match="prepare"):
        PreparedData.open(tmp_path / "out")
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        PreparedData.open(tmp_path / "out")


def test_labels_in_range_and_manifest_unchanged(raw, tmp_path):
    prepare(dataset(), raw, tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"classes": 3}))
    with pytest.raises(DataError, match=r"labels\.npy"):
        PreparedData.open(tmp_path / "out")
    path.write_text(json.dumps(content | {"classes": 6}))
    with pytest.raises(DataError, match="changed by hand"):
        PreparedData.open(tmp_path / "out")


def test_verify_finds_a_changed_byte_that_is_still_in_range(raw, tmp_path):
    prepare(dataset(), raw, tmp_path / "out")
    spoil_ids(tmp_path / "out", lambda ids: put(ids, 0 if ids[3, 1] else 1))
    with pytest.raises(DataError, match="expected sha256"):
        PreparedData.open(tmp_path / "out").verify()


def test_an_unknown_split_suggests_the_nearest(raw, tmp_path):
    prepare(dataset(), raw, tmp_path / "out")
    with pytest.raises(DataError, match="did you mean 'train'"):
        PreparedData.open(tmp_path / "out").split("trian")


def test_an_edit_of_a_parser_prepares_anew_and_one_of_the_loader_does_not():
    own = ROOT / "autoloss" / "data" / "formats" / "ml_100k.py"
    hashed = {file.relative_to(ROOT).as_posix() for file in reached([PREPARATION], [own])}
    parts = {"formats/ml_100k.py", "formats/_lines.py", "prepare/encode.py"}
    assert {f"autoloss/data/{part}" for part in parts} <= hashed
    assert not any(name.startswith("autoloss/data/load/") for name in hashed)


def test_splits_of_one_reading_are_those_of_readings_of_their_own(raw, tmp_path):
    """What a split holds does not depend on what other splits there are."""
    folders = {k: tmp_path / "out" / f"split_{k}" for k in (0, 1, 7)}
    made = preparing.prepare(dataset(), raw, folders)
    assert len({manifest.data_hash for manifest in made.values()}) == 3
    for k, folder in folders.items():
        alone = preparing.prepare(dataset(), raw, {k: tmp_path / "alone" / f"split_{k}"})[k]
        assert alone == made[k] == PreparedData.open(folder).manifest
        assert made[k].split == k
        for name in FILES:
            twin = tmp_path / "alone" / f"split_{k}" / name
            assert (folder / name).read_bytes() == twin.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


@given(values=st.lists(st.sampled_from("abcde"), min_size=30, max_size=60), data=st.data())
def test_nothing_that_is_fitted_sees_validation_or_test_rows(values, data):
    """Whatever a field has in a row that is not trained on, training rows keep their ids."""
    number, min_count = data.draw(st.integers(0, 20)), data.draw(st.integers(1, 4))
    order, sizes = split_rows(len(values), SplitSpec.model_validate(SPLIT), number)
    train, field = sizes["train"], FieldSpec(name="f", min_count=min_count)
    changed = list(values)
    for row in order[train:]:
        changed[row] = data.draw(st.sampled_from("abcdexyz"))
    (ids, stats), (again, other) = (
        encode_field(pl.Series("f", column).gather(order), field, train)
        for column in (values, changed)
    )
    assert ids[:train].tolist() == again[:train].tolist()
    assert stats.size == other.size


@pytest.mark.parametrize("number", range(3))
def test_other_validation_and_test_rows_leave_the_arrays_of_training(
    raw, tmp_path, monkeypatch, number
):
    frame = toy_frame(1000)
    monkeypatch.setitem(formats(), "toy", lambda _: frame)
    made = preparing.prepare(dataset(), raw, {number: tmp_path / "one"})[number]
    rows, train = np.load(tmp_path / "one" / "rows.npy"), made.splits["train"]
    unseen = np.isin(np.arange(1000), rows[train:])
    other = frame.with_columns(
        pl.when(pl.Series(unseen)).then(pl.lit("new")).otherwise("user").alias("user"),
        pl.when(pl.Series(unseen)).then(pl.lit("59")).otherwise("age").alias("age"),
        pl.when(pl.Series(unseen)).then(None).otherwise("genres").alias("genres"),
    )
    monkeypatch.setitem(formats(), "toy", lambda _: other)
    again = preparing.prepare(dataset(), raw, {number: tmp_path / "two"})[number]
    before, after = (np.load(tmp_path / name / "ids.npy") for name in ("one", "two"))
    assert (before[:train] == after[:train]).all()
    assert (before[train:] != after[train:]).any()
    assert [f.size for f in made.fields] == [f.size for f in again.fields]


def test_clusters_number_the_test_rows_values_alike_in_every_split(raw, tmp_path, monkeypatch):
    monkeypatch.setitem(formats(), "toy", lambda _: toy_frame(1000))
    folders = {k: tmp_path / "out" / f"split_{k}" for k in range(3)}
    preparing.prepare(dataset(cluster="user"), raw, folders)
    users, of_number = toy_frame(1000)["user"], {}
    for folder in folders.values():
        data = PreparedData.open(folder)
        rows = np.load(folder / "rows.npy")[-data.manifest.splits["test"] :]
        clusters = data.clusters()
        assert len(clusters) == len(rows)
        for number, row in zip(clusters.tolist(), rows.tolist(), strict=True):
            assert of_number.setdefault(number, users[row]) == users[row]
    assert len(set(of_number.values())) == len(of_number)
    data.verify()
    prepare(dataset(), raw, tmp_path / "none")
    assert PreparedData.open(tmp_path / "none").clusters() is None


def test_a_cluster_must_be_a_field():
    with pytest.raises(ValueError, match="the cluster 'usr' must be one of the fields"):
        dataset(cluster="usr")
