"""A data set is one file: YAML where its format is there, else the Python file of its format."""

import pytest
import yaml

from autoloss.data import formats as package
from autoloss.data.fetch.importing import import_files
from autoloss.data.load.prepared import PreparedData
from autoloss.data.prepare.dataset import prepare
from autoloss.data.specs import dataset_names, load_dataset, load_source
from autoloss.errors import ConfigError

SOURCE = {
    "title": "Mine",
    "homepage": "h",
    "licence": "be kind",
    "citation": "cite me",
    "mirrors": [
        {
            "kind": "url",
            "format": "movielens20m",
            "url": "http://127.0.0.1:9/ratings.csv",
            "archive": "none",
            "members": [{"path": "ratings.csv", "max_bytes": 100_000}],
        }
    ],
}
DATASET = {
    "name": "mine",
    "title": "Mine, liked",
    "source": SOURCE,
    "stands_for": "itself",
    "task": {"classes": 2, "label": "rating", "rule": {"kind": "ceil", "value": 4}},
    "fields": [{"name": "user"}, {"name": "item"}],
    "split": {"train": 0.8, "validation": 0.1, "test": 0.1, "seed": 42},
}
RATINGS = [f"{k % 7},{k % 5},{4.5 if k % 2 else 3.5},0" for k in range(300)]
READER = """
from pathlib import Path

import polars as pl

DATASET = {description!r}


def read(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / "ratings.csv", new_columns=["user", "item", "rating", "time"])


FORMATS = {{"mine": read}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project whose folder of formats Python looks into, too."""
    formats, datasets = tmp_path / "autoloss/data/formats", tmp_path / "configs/datasets"
    for folder in (formats, datasets):
        folder.mkdir(parents=True)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(formats)])
    package.formats.cache_clear()
    yield tmp_path
    package.formats.cache_clear()


def write_yaml(project):
    (project / "configs/datasets/mine.yaml").write_text(yaml.safe_dump(DATASET))


def write_python(project):
    mirror = SOURCE["mirrors"][0] | {"format": "mine"}
    own = DATASET | {"source": SOURCE | {"mirrors": [mirror]}}
    file = project / "autoloss/data/formats/mine.py"
    file.write_text(READER.format(description=own))


@pytest.mark.parametrize("write", [write_yaml, write_python])
def test_one_file_describes_a_data_set_that_is_imported_and_prepared(project, write):
    write(project)
    assert dataset_names(project) == ["mine"]
    spec = load_dataset("mine", project)
    assert spec.source == load_source("mine", project).name == "mine"
    file, raw = project / "ratings.csv", project / "data/raw/mine"
    file.write_text("\n".join(["userId,movieId,rating,timestamp", *RATINGS]) + "\n")
    import_files(load_source("mine", project), [file], raw, say=lambda _: None)
    prepare(spec, raw, {0: project / "mine"}, say=lambda _: None)
    data = PreparedData.open(project / "mine")
    assert (len(data.labels), data.task.classes, data.manifest.source) == (300, 2, "mine")


def test_a_mistake_in_it_names_file_and_key(project):
    file = project / "configs/datasets/mine.yaml"
    file.write_text(yaml.safe_dump(DATASET | {"source": SOURCE | {"tilte": "x"}}))
    with pytest.raises(ConfigError, match=r"mine\.yaml, key 'source'.*'tilte'"):
        load_dataset("mine", project)
    file.unlink()
    for text in ("DATASET = read()\n", "DATASET = {\n", "DATASET = 3\n"):
        (project / "autoloss/data/formats/mine.py").write_text(text)
        with pytest.raises(ConfigError, match=r"mine\.py: cannot be read"):
            dataset_names(project)


def test_two_files_with_one_format_are_refused(project):
    write_python(project)
    text = (project / "autoloss/data/formats/mine.py").read_text()
    (project / "autoloss/data/formats/other.py").write_text(text)
    with pytest.raises(ConfigError, match="format 'mine' is there already"):
        package.formats()
