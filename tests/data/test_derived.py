"""Data sets made of another's splits: who is drawn, whose label is flipped, and who is not."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from autoloss.data.derived_specs import DerivedSpec
from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import data_hash, write_manifest
from autoloss.data.prepare.derived import derive
from autoloss.data.specs import SPLITS, derived_from, load_dataset
from autoloss.errors import ConfigError, DataError
from autoloss.study import identity
from autoloss.study.study import Study
from tests.tiny import ROOT, save_arrays, tiny_manifest

ROWS, PARTS = 2000, {"train": 1600, "validation": 200, "test": 200}
SIZES = (4, 40)  # of `f0`, whose second most frequent value has id 2, and of `f1`
REGION = {"field": "f0", "ids": [2]}


@pytest.fixture
def bases(tmp_path):
    """Two splits of one table, prepared; its rows' labels and ids go with them."""
    random = np.random.default_rng(7)
    ids = np.stack([random.choice(4, ROWS, p=[0, 0.5, 0.3, 0.2]), random.integers(0, 40, ROWS)], 1)
    labels = (random.random(ROWS) < 0.4).astype(int)
    folders = {}
    for split in (0, 1):
        order = np.random.default_rng(split).permutation(ROWS)
        folder = tmp_path / "base" / f"split_{split}"
        folder.mkdir(parents=True)
        users = order[-200:] % 20
        digests = save_arrays(folder, ids=ids[order], labels=labels[order], clusters=users)
        np.save(folder / "rows.npy", order)
        manifest = tiny_manifest("base", 2, ROWS, digests)
        names = ("f0", "f1")
        one = manifest.fields[0]
        fields = [
            one.model_copy(update={"name": name, "size": size, "min_count": 30})
            for name, size in zip(names, SIZES, strict=True)
        ]
        about = {"splits": PARTS, "fields": tuple(fields), "split": split, "cluster": "f0"}
        about |= {"data_hash": data_hash(digests, SIZES, 2, PARTS)}
        write_manifest(folder, manifest.model_copy(update=about))
        folders[split] = folder
    return folders


def made(bases, max_rows=None, **how):
    """The derived splits, opened, and the `flipped` of each."""
    about = {"name": "mine", "title": "Mine", "base": "adult", **how}
    spec = load_dataset("adult", ROOT)
    field = spec.fields[0]
    names = {"fields": tuple(field.model_copy(update={"name": name}) for name in ("f0", "f1"))}
    described = derived_from(
        spec.model_copy(update=names), DerivedSpec.model_validate(about), "test"
    )
    home = next(iter(bases.values())).parent.parent / "mine"
    folders = {split: home / f"split_{split}" for split in bases}
    derive(described, bases, folders, max_rows=max_rows)
    opened = [PreparedData.open(folder) for folder in folders.values()]
    for data in opened:
        data.verify()
    return opened, [np.load(data.folder / "flipped.npy") for data in opened]


def part_of(data):
    return np.repeat(list(SPLITS), list(data.manifest.splits.values()))


@pytest.mark.parametrize("parts", [["train"], ["train", "validation"]])
@pytest.mark.parametrize("region", [None, REGION])
def test_that_share_is_flipped_there_and_nothing_else_is_touched(bases, parts, region):
    opened, flips = made(bases, flips={"share": 0.25, "parts": parts, "region": region})
    counts = []
    for folder, data, flipped in zip(bases.values(), opened, flips, strict=True):
        base = PreparedData.open(folder)
        assert np.array_equal(data.ids, base.ids)
        assert np.array_equal(data.labels, np.where(flipped, 1 - base.labels, base.labels))
        assert np.array_equal(data.clusters(), base.clusters())
        part, inside = part_of(data), np.isin(base.ids[:, 0], [2] if region else [0, 1, 2, 3])
        assert not flipped[~inside].any()
        counts.append({name: int(flipped[part == name].sum()) for name in PARTS})
        share = 0.25 * inside.mean()
        wanted = {name: round(share * n) if name in parts else 0 for name, n in PARTS.items()}
        assert counts[-1] == wanted
        assert data.manifest.splits == PARTS
        assert data.data_hash != base.data_hash
    assert counts[0] == counts[1]  # as many in every split


def test_a_larger_share_flips_the_same_labels_and_more(bases):
    few, many = (made(bases, flips={"share": share})[1][0] for share in (0.1, 0.3))
    assert (few <= many).all()
    assert few.sum() < many.sum()


def test_who_is_flipped_follows_the_seed_and_the_row_not_the_split(bases):
    opened, flips = made(bases, flips={"share": 0.2})
    pairs = zip(opened, flips, strict=True)
    rows = [set(np.load(data.folder / "rows.npy")[hit].tolist()) for data, hit in pairs]
    both = len(rows[0] & rows[1]) / len(rows[0])
    assert both > 0.75  # a training row of one split is one of the other's in 8 of 10 cases
    again = made(bases, flips={"share": 0.2})[1]
    assert all(np.array_equal(a, b) for a, b in zip(flips, again, strict=True))
    other = made(bases, flips={"share": 0.2}, seed=43)[1]
    assert not np.array_equal(flips[0], other[0])


@pytest.mark.parametrize("rows", [None, 1000])
def test_the_clean_part_is_what_is_not_flipped_under_the_same_ids(bases, rows):
    flips = {"share": 0.25, "region": REGION}
    (noisy, _), (flipped, _) = made(bases, rows=rows, flips=flips)
    kept = np.load(noisy.folder / "rows.npy")[~flipped]
    ids, labels, sizes = noisy.ids[~flipped], noisy.labels[~flipped], noisy.field_sizes
    train = noisy.manifest.splits["train"]
    opened, none = made(bases, rows=rows, flips={**flips, "dropped": True})
    assert np.array_equal(np.load(opened[0].folder / "rows.npy"), kept)
    assert np.array_equal(opened[0].ids, ids)
    assert opened[0].field_sizes == sizes
    assert np.array_equal(opened[0].labels, labels)
    assert not none[0].any()
    parts = [data.manifest.splits for data in opened]
    assert parts[0] == parts[1] == {**noisy.manifest.splits, "train": train - int(flipped.sum())}


@pytest.mark.parametrize("positives", [None, 0.1, 0.5])
def test_rows_are_drawn_in_every_part_with_that_share_of_positives(bases, positives):
    opened, _ = made(bases, rows=500, positives=positives)
    for folder, data in zip(bases.values(), opened, strict=True):
        base = PreparedData.open(folder)
        share = positives or float(np.mean(base.labels))
        assert data.manifest.splits == {"train": 400, "validation": 50, "test": 50}
        part = part_of(data)
        for name, size in data.manifest.splits.items():
            assert data.labels[part == name].sum() == round(size * share)
        place = {int(row): k for k, row in enumerate(np.load(folder / "rows.npy"))}
        kept = [place[int(row)] for row in np.load(data.folder / "rows.npy")]
        assert kept == sorted(kept)
        assert np.array_equal(data.labels, base.labels[kept])
        assert np.array_equal(data.ids[:, 0], base.ids[kept, 0])
        trained = base.ids[kept[:400], 1]
        frequent = [value for value in range(1, 40) if (trained == value).sum() >= 30]
        new = {value: k for k, value in enumerate(frequent, start=1)}
        assert data.ids[:, 1].tolist() == [new.get(int(v), 0) for v in base.ids[kept, 1]]
        assert data.field_sizes == (4, len(frequent) + 1)


def test_rows_drawn_and_then_flipped_are_as_many_in_every_split(bases):
    opened, flips = made(bases, rows=1000, positives=0.3, flips={"share": 0.4, "region": REGION})
    assert flips[0].sum() == flips[1].sum() > 0
    assert all((data.ids[f, 0] == 2).all() for data, f in zip(opened, flips, strict=True))


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"rows": 1500, "positives": 0.9}, "positive rows in train, adult has"),
        ({"rows": 60, "positives": 0.02}, "no example of class 1 is left in validation"),
        ({"rows": 100, "flips": {"share": 0.2, "region": REGION}}, "keep their ids"),
        ({"flips": {"share": 0.2, "region": {"field": "f0", "ids": [9]}}}, "has no row"),
    ],
)
def test_what_the_base_cannot_give_is_refused(bases, how, problem):
    with pytest.raises(DataError, match=problem):
        made(bases, **how)


def test_a_limited_base_gives_as_many_as_it_can(bases):
    opened, _ = made(bases, rows=50_000, positives=0.5, max_rows=ROWS)
    assert 1000 < opened[0].manifest.rows < 1600
    assert np.mean(opened[0].labels) == pytest.approx(0.5, abs=0.01)


@pytest.fixture
def project(tmp_path):
    for folder in ("datasets", "sources"):
        (tmp_path / "configs" / folder).mkdir(parents=True)
        for file in (ROOT / "configs" / folder).glob("*.yaml"):
            (tmp_path / "configs" / folder / file.name).write_text(file.read_text())
    return tmp_path


def describe(project, **keys):
    content = {"name": "noisy", "title": "Noisy", "base": "adult", **keys}
    (project / "configs" / "datasets" / "noisy.yaml").write_text(yaml.safe_dump(content))
    return load_dataset("noisy", project)


def test_one_file_describes_it_and_all_else_is_the_bases(project):
    spec, base = describe(project, flips={"share": 0.2}), load_dataset("adult", project)
    assert (spec.fields, spec.source, spec.split) == (base.fields, base.source, base.split)
    assert (spec.stands_for, spec.derived.base) == ("", "adult")
    assert base.derived is None


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({}, ["noisy.yaml", "changes nothing of its base", "add rows, or flips"]),
        ({"positives": 0.1}, ["key 'positives'", "share among `rows`", "add rows"]),
        ({"flips": {"share": 1.0}}, ["flips.share", "less than 1"]),
        ({"flips": {"share": 0.1, "parts": ["test"]}}, ["flips.parts.0"]),
        ({"flips": {"share": 0.1, "region": {"field": "sexx", "ids": [2]}}}, ["mean 'sex'"]),
        ({"base": "ml100k", "flips": {"share": 0.1}}, ["5 classes", "two classes"]),
        ({"base": "noisy", "flips": {"share": 0.1}}, ["itself"]),
        ({"base": "criteo-flipped", "flips": {"share": 0.1}}, ["made of another", "name criteo"]),
        ({"base": "adlt", "flips": {"share": 0.1}}, ["there is no 'adlt'", "did you mean 'adult'"]),
    ],
)
def test_a_mistake_names_file_key_and_mend(project, keys, parts):
    with pytest.raises(ConfigError) as caught:
        describe(project, **keys)
    for part in parts:
        assert part in str(caught.value)


def test_its_key_follows_the_bases_and_its_own_description(monkeypatch):
    study = Study.load({}, ROOT)
    names = ["adult_at_adult_region_40", "adult_at_adult_everywhere_40"]
    keys = [identity.preparation_key(study, name) for name in names]
    assert len({*keys, identity.preparation_key(study, "adult")}) == 3
    monkeypatch.setattr(identity, "preparation_code", lambda formats: "other")
    now = Study.load({}, ROOT)
    assert all(identity.preparation_key(now, n) != k for n, k in zip(names, keys, strict=True))
