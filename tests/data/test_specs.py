"""The registry: what ships is valid, and a mistake in YAML names file, key and mend."""

from pathlib import Path

import pytest
import yaml

from autoloss.data.formats import formats
from autoloss.data.specs import dataset_names, load_dataset, load_source
from autoloss.errors import ConfigError
from tests.interpreter import printed_by

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """A copy of the shipped configuration that a test may spoil."""
    for folder in ("datasets", "sources"):
        (tmp_path / "configs" / folder).mkdir(parents=True)
        for path in (ROOT / "configs" / folder).glob("*.yaml"):
            (tmp_path / "configs" / folder / path.name).write_text(path.read_text())
    return tmp_path


def spoil(project, kind, name, change):
    path = project / "configs" / kind / f"{name}.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def test_everything_shipped_loads_and_names_a_known_source():
    assert {"ml100k", "ml100k-ctr", "adult"} <= set(dataset_names(ROOT))
    for name in dataset_names(ROOT):
        spec = load_dataset(name, ROOT)
        assert load_source(spec.source, ROOT).mirrors


def test_tasks_of_the_shipped_data_sets():
    assert load_dataset("ml100k", ROOT).task.task.outputs == 5
    assert load_dataset("ml100k-ctr", ROOT).task.task.binary
    assert len(load_dataset("ml100k-ctr", ROOT).fields) == 8
    assert load_dataset("adult", ROOT).task.task.binary
    assert load_dataset("ml-20m", ROOT).task.task.outputs == 5
    assert len(load_dataset("adult", ROOT).fields) == 12


@pytest.mark.parametrize(
    ("name", "fields", "feature_values"), [("criteo", 39, 1_086_810), ("avazu", 22, 2_018_012)]
)
def test_sizes_sum_to_the_published_numbers_of_feature_values(name, fields, feature_values):
    spec = load_dataset(name, ROOT)
    assert list(spec.inferred.sizes) == [field.name for field in spec.fields]
    assert (len(spec.fields), sum(spec.inferred.sizes.values())) == (fields, feature_values)
    assert sum(spec.inferred.class_counts) == spec.expected.rows


@pytest.mark.parametrize(
    ("name", "terms", "author"),
    [("movielens-100k", "redistribute", "Harper"), ("adult", "CC BY 4.0", "Kohavi")],
)
def test_both_mirrors_of_a_source_are_pinned_and_its_terms_stated(name, terms, author):
    source = load_source(name, ROOT)
    assert [mirror.kind for mirror in source.mirrors] == ["url", "wheel"]
    assert all(len(member.sha256) == 64 for mirror in source.mirrors for member in mirror.members)
    assert {mirror.format for mirror in source.mirrors} <= set(formats())
    assert terms in source.licence
    assert author in source.citation


@pytest.mark.parametrize(
    ("name", "files", "author"),
    [
        ("criteo", ["train.txt"], "Criteo"),
        ("criteo-x1", ["train.csv", "valid.csv", "test.csv"], "Zhu"),
        ("criteo-x4", ["train.csv", "valid.csv", "test.csv"], "Zhu"),
        ("avazu-x4", ["train.csv", "valid.csv", "test.csv"], "Avazu"),
        ("movielens-20m", ["ratings.csv"], "Harper"),
    ],
)
def test_the_papers_own_data_have_terms_to_accept_and_an_archive_of_known_content(
    name, files, author
):
    source = load_source(name, ROOT)
    assert source.must_accept
    assert author in source.citation
    for mirror in source.mirrors:
        assert [member.name for member in mirror.members] == files
        assert mirror.bytes
        assert mirror.md5 or mirror.sha256


def test_laptop_data_need_no_acceptance():
    assert not any(load_source(name, ROOT).must_accept for name in ("adult", "movielens-100k"))


@pytest.mark.parametrize(
    ("kind", "name", "change", "parts"),
    [
        ("datasets", "ml100k", lambda c: c.update(sorce="x"), ["'sorce'", "'source'"]),
        (
            "datasets",
            "ml100k",
            lambda c: c["fields"][1].update(min_cuont=3),
            ["fields.1", "'min_cuont'", "did you mean 'min_count'?"],
        ),
        ("datasets", "ml100k", lambda c: c["task"]["rule"].update(valeu=1), ["task.rule", "valeu"]),
        ("sources", "movielens-100k", lambda c: c["mirrors"][0].update(md6="0"), ["md6", "'md5'"]),
        (
            "sources",
            "movielens-20m",
            lambda c: c["mirrors"][0]["members"][0].pop("bytes"),
            ["mirrors.0", "members.0", "max_bytes"],
        ),
        (
            "sources",
            "movielens-20m",
            lambda c: c["mirrors"][0]["members"][0].update(path="../ratings.csv"),
            ["mirrors.0", "members.0.path", "'../ratings.csv'"],
        ),
        ("sources", "criteo-x4", lambda c: c["mirrors"][0].update(archive="none"), ["one member"]),
        (
            "sources",
            "criteo-x4",
            lambda c: c["mirrors"][0]["members"][0].update(path="a/test.csv"),
            ["the same name"],
        ),
        ("datasets", "ml100k", lambda c: c.pop("split"), ["split", "missing"]),
        ("datasets", "ml100k", lambda c: c["split"].update(test=0.3), ["must be 1"]),
        ("datasets", "ml100k", lambda c: c.update(name="ml"), ["'ml'", "file's name"]),
        ("datasets", "ml100k", lambda c: c["task"].update(classes=1), ["task.classes", "found 1"]),
        ("datasets", "ml100k", lambda c: c["fields"].append({"name": "user"}), ["twice"]),
        ("datasets", "ml100k", lambda c: c["fields"].append({"name": "rating"}), ["label"]),
        ("datasets", "criteo", lambda c: c["inferred"]["sizes"].update(I14=3), ["field 'I14'"]),
        ("datasets", "criteo", lambda c: c["inferred"].update(class_counts=[1]), ["be 2 numbers"]),
        ("datasets", "ml-20m", lambda c: c["task"]["rule"].update(kind="up"), ["task.rule.kind"]),
        ("datasets", "criteo", lambda c: c.update(max_bad_rows=-1), ["max_bad_rows"]),
        (
            "datasets",
            "ml100k",
            lambda c: c["task"].update(rule={"kind": "at_least", "value": 4}),
            ["2 classes"],
        ),
        (
            "datasets",
            "ml100k",
            lambda c: c.update(source="movielens-10k"),
            ["movielens-10k", "did you mean 'movielens-100k'?"],
        ),
    ],
)
def test_a_mistake_names_file_key_and_mend(project, kind, name, change, parts):
    spoil(project, kind, name, change)
    with pytest.raises(ConfigError) as caught:
        (load_dataset if kind == "datasets" else load_source)(name, project)
    for part in [f"{name}.yaml", *parts]:
        assert part in str(caught.value)


def test_an_unknown_data_set_suggests_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'ml100k'"):
        load_dataset("ml100", ROOT)


def test_broken_yaml_is_a_config_error(project):
    (project / "configs/datasets/ml100k.yaml").write_text("name: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_dataset("ml100k", project)


def test_reading_the_registry_imports_no_heavy_library():
    code = (
        "import sys, autoloss.data.specs; "
        "print(sorted({'torch', 'pandas', 'polars', 'numpy'} & set(sys.modules)))"
    )
    assert printed_by(code) == "[]"


def formats_folder(project):
    folder = project / "autoloss" / "data" / "formats"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("declared", ["DATASET = ", "DATASET: dict[str, object] = "])
def test_a_formats_file_may_describe_a_data_set_and_hidden_files_none(project, declared):
    content = yaml.safe_load((project / "configs/datasets/adult.yaml").read_text())
    folder = formats_folder(project)
    (folder / "mine.py").write_text(f"{declared}{content | {'name': 'mine'}}\n")
    (folder / ".#mine.py").write_bytes(b"\xff(")
    (folder / "._mine.py").write_bytes(b"\x00\x05\x16")
    assert "mine" in dataset_names(project)
    assert load_dataset("mine", project).title == content["title"]


def test_two_descriptions_of_one_data_set_are_refused(project):
    (formats_folder(project) / "adult.py").write_text("DATASET = {'name': 'adult'}\n")
    with pytest.raises(ConfigError, match=r"adult\.py.*'adult' is described in .*adult\.yaml too"):
        load_dataset("ml100k", project)
