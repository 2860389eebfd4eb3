"""What a product is of: commands refuse indexes, data and folders of another study."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from autoloss import arguments, target
from autoloss.arguments import sound_data, study_of_plan
from autoloss.config import overlay
from autoloss.data.manifest import MANIFEST
from autoloss.errors import ConfigError, DataError, RecordError
from autoloss.records.expected import prepared_hash
from autoloss.report.analysis import read_index, write_comparisons, write_index
from autoloss.report.tables import write_table
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT


@pytest.fixture
def study(studied, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(studied, folder)
    with working_in(folder):
        yield tiny_study()


def with_other_alpha(study):
    return Study(overlay(study.config, {"statistics": {"alpha": 0.5}}, "test"), study.root)


def test_an_index_of_another_configuration_is_refused_by_all_that_read_it(study):
    write_index(study, "table_2")
    other = with_other_alpha(study)
    for make in (read_index, write_comparisons, lambda of, name: list(write_table(of, name))):
        with pytest.raises(RecordError, match="of another configuration, or by other code"):
            make(other, "table_2")
    assert len(read_index(study, "table_2"))


def test_only_descriptions_that_an_index_is_made_of_make_it_another(tmp_path):
    """Of claims and costs is no table nor figure made; published numbers and readings are."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    study = Study(tiny_study().config, tmp_path)
    for name, made_of in (
        *(("claims", False), ("costs", False), ("devices", False)),
        *(("published", True), ("sensitivity", True)),
    ):
        before = identity.report_key(study)
        with (tmp_path / "configs" / f"{name}.yaml").open("a") as file:
            file.write("\n# another\n")
        assert (identity.report_key(study) != before) == made_of, name


@pytest.mark.parametrize(
    ("old", "new", "made_of"),
    [
        ("share: 0.3, where: region", "share: 0.35, where: region", True),
        ("xi_over_lr: 10.0", "xi_over_lr: 20.0", True),
        ("label: ξ × 10\n", "label: ξ tenfold\n", True),
        ("name: region_05,", "name: region_five,", True),
        ("ids: [2]} # women, a third", "ids: [1]} # women, a third", True),
        ("because: it chooses by value", "because: it takes the smallest", False),
        ("# Share of positives.", "# Rare positives.", False),
    ],
)
def test_points_and_changes_of_the_regimes_make_an_index_another(tmp_path, old, new, made_of):
    """Its runs are looked up by their names, which say nothing of shares and options."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "regimes.yaml"
    before = identity.report_key(Study(tiny_study().config, tmp_path))
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert (identity.report_key(Study(tiny_study().config, tmp_path)) != before) == made_of


def test_an_index_cut_short_is_a_damaged_record(study):
    file = write_index(study, "table_2")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(RecordError, match="is damaged"):
        read_index(study, "table_2")


def test_by_hand_nothing_is_written_over_another_configurations_results(study, monkeypatch):
    study.config_file.write_text(study.config.model_dump_json())
    monkeypatch.setattr(target, "load_config", lambda *given: study.config)
    monkeypatch.setattr(arguments, "study_of", lambda config, name: with_other_alpha(study))
    with pytest.raises(ConfigError, match=r"is of another configuration than the one asked for"):
        study_of_plan(None, None)
    monkeypatch.setattr(arguments, "study_of", lambda config, name: study)
    assert study_of_plan(None, None) is study


def test_a_changed_byte_of_prepared_data_is_found_before_training(study):
    cell = study.cells("table_2")[0]
    file = study.prepared_folder(cell.dataset, 0) / "labels.npy"
    sound_data(study, cell, [0])
    labels = np.load(file)
    np.save(file, labels[::-1].copy())
    with pytest.raises(DataError, match=r"labels\.npy: expected sha256"):
        sound_data(study, Cell(*vars(cell).values()), [0])


def test_data_prepared_by_another_description_are_refused(study):
    dataset = study.cells("table_2")[0].dataset
    known = prepared_hash(study, dataset, 0)
    assert known is not None
    file = study.prepared_folder(dataset, 0) / MANIFEST
    text = file.read_text().replace('"key": null', f'"key": "{"0" * 16}"', 1)
    file.write_text(text)
    with pytest.raises(RecordError, match="by another description"):
        prepared_hash(study, dataset, 0)
