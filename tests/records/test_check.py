"""Every run that is not there, changed or not the right one is found, named and made anew."""

from __future__ import annotations

import json
import shutil

import pytest

from autoloss.errors import RecordError
from autoloss.records.chosen import run_id_of
from autoloss.records.index import build_index
from autoloss.records.schema import Failure
from autoloss.records.store import MAX_BYTES, read_record, read_search, seal, write_record
from autoloss.report.check import check_study
from autoloss.study.cell import Cell
from autoloss.training.runner import Runner
from tests.studied import BOHB, CE, FROZEN, OURS


def found(study):
    return {(f.kind, f.where, f.seed) for f in check_study(study).findings}


def edit(file, change):
    """As an editor would: the text, not the checksum."""
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change, 1))


def test_a_whole_tree_is_sound(study):
    report = check_study(study)
    assert report.sound, report.lines
    assert report.lines[-1] == "All is well."


def digit(study):
    """A metric of CE's seed 1 with another last digit."""
    file = study.record_file(CE, 1)
    auc = str(read_record(file).metrics["test"]["auc"])
    edit(file, (auc, auc[:-1] + str((int(auc[-1]) + 1) % 10)))


def half(study):
    file = study.record_file(CE, 1)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def one_bit(study):
    file = study.record_file(CE, 1)
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def emptied(study):
    study.record_file(CE, 1).write_bytes(b"")


def unsealed(study):
    file = study.record_file(CE, 1)
    content = json.loads(file.read_text())
    del content["checksum"]
    file.write_text(json.dumps(content))


def huge(study):
    with study.record_file(CE, 1).open("r+b") as file:
        file.truncate(MAX_BYTES + 1)


def old(study):
    file = study.record_file(CE, 1)
    file.write_text(file.read_text().replace('"schema_version": 6', '"schema_version": 5'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (digit, "checksum is off"),
        (unsealed, "checksum is off"),
        (half, "damaged"),
        (one_bit, "damaged|checksum|schema"),
        (emptied, "damaged"),
        (huge, "larger than"),
        (old, "is of schema 5, this autoloss reads schema 6"),
    ],
)
def test_a_changed_record_is_named_refused_by_the_index_and_made_anew_to_the_bit(
    study, damage, message
):
    before = read_record(study.record_file(CE, 1)).digest
    damage(study)
    report = check_study(study)
    assert {(f.kind, f.where, f.seed) for f in report.findings} == {("damaged", str(CE), 1)}
    with pytest.raises(RecordError, match=f"(?s)seed_1.json: .*({message}).*--rerun"):
        build_index(study, [CE])
    removed = report.remove()
    assert set(removed) == {study.record_file(CE, 1), study.shard_file(CE, 0, 1)}
    assert study.record_file(CE, 0).exists()
    Runner(study, lambda line: None).train_shard(CE, 0, 1)
    assert read_record(study.record_file(CE, 1)).digest == before
    assert check_study(study).sound


def resealed(study, cell, seed, /, **over):
    """A record with other content, and a checksum that fits: a forgery, or other code's."""
    file = study.record_file(cell, seed)
    write_record(read_record(file).model_copy(update=over), file)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"run_id": "0" * 16}, "the configuration asks for"),
        ({"seed": 0}, "is of ml100k-ctr/deepfm/ce seed 0"),
        ({"method": "kl"}, "is of ml100k-ctr/deepfm/kl"),
        ({"scale": "paper"}, "paper"),
        ({"split": 0}, "is of split 0, not of split 1"),
        ({"provenance": "code"}, "other code"),
        ({"provenance": "data_hash"}, "other data"),
    ],
)
def test_a_sound_record_of_another_run_is_stale(study, over, message):
    if "provenance" in over:
        about = read_record(study.record_file(CE, 1)).provenance
        over = {"provenance": about.model_copy(update={over["provenance"]: "f" * 16})}
    resealed(study, CE, 1, **over)
    report = check_study(study)
    assert [(f.kind, f.seed) for f in report.findings] == [("stale", 1)]
    assert message in report.findings[0].problem
    with pytest.raises(RecordError, match=message):
        build_index(study, [CE])


def test_lost_runs_searches_and_lists_are_named(study):
    study.record_file(CE, 0).unlink()
    study.search_file(BOHB).unlink()
    study.shard_file(OURS, 0, 1).unlink()
    edit(study.shard_file(Cell("adult", "deepfm", "slf_frozen"), 0, 1), ('"ok"', '"failed"'))
    assert {(kind, where) for kind, where, _ in found(study)} == {
        ("missing", str(CE)),
        ("missing", f"{BOHB} search"),
        ("stale", str(BOHB)),  # nobody knows what it should have been trained with
        ("unlisted", str(study.shard_file(OURS, 0, 1))),
        ("unlisted", str(study.shard_file(Cell("adult", "deepfm", "slf_frozen"), 0, 1))),
    }


def test_an_edited_search_is_found(study):
    edit(study.search_file(BOHB), ('"monitor": "auc"', '"monitor": "auk"'))
    assert ("damaged", f"{BOHB} search", None) in found(study)


def test_a_controller_that_is_lost_or_another_is_found_and_so_is_one_taken_from_elsewhere(study):
    study.controller_file(OURS, 0).unlink()
    shutil.copy(
        study.controller_file(Cell("ml100k", "deepfm", "autoloss"), 0),
        study.controller_file(OURS, 1),
    )
    assert found(study) == {("missing", str(OURS), 0), ("damaged", str(OURS), 1)}
    other = read_record(study.record_file(OURS, 0)).controller.model_copy(update={"sha256": "0"})
    resealed(study, OURS, 0, controller=other)
    assert ("stale", str(FROZEN), 0) in found(study)


def test_predictions_that_are_lost_or_others_are_found_and_made_anew(study):
    file, other = study.predictions_file(CE, 0), study.predictions_file(CE, 1)
    before = file.read_bytes()
    shutil.copy(file, other)
    file.unlink()
    report = check_study(study)
    assert {(f.kind, f.where, f.seed) for f in report.findings} == {
        ("missing", str(CE), 0),
        ("damaged", str(CE), 1),
    }
    assert set(report.remove()) == {other, study.shard_file(CE, 0, 1)}
    Runner(study, lambda line: None).train_shard(CE, 0, 1)
    assert file.read_bytes() == before
    assert check_study(study).sound


def test_a_failed_run_is_named_and_tried_again_only_when_asked(study):
    failure = Failure(kind="TrainingDivergedError", message="loss is nan", traceback="")
    resealed(study, CE, 1, status="failed", failure=failure, metrics={}, digest=None)
    report = check_study(study)
    assert ("failed", str(CE), 1) in {(f.kind, f.where, f.seed) for f in report.findings}
    assert any("TrainingDivergedError: loss is nan" in line for line in report.lines)
    assert " sound runs and 1 failed, in " in report.lines[0]
    assert study.record_file(CE, 1).exists()
    assert report.remove() == [study.shard_file(CE, 0, 1)]


def test_more_budget_than_allowed_is_found(study):
    budget = read_record(study.record_file(CE, 1)).budget
    resealed(study, CE, 1, budget=budget.model_copy(update={"epochs": 99}))
    assert [(f.kind, f.where) for f in check_study(study).findings] == [("over budget", str(CE))]


def test_runs_of_two_machines_are_told_apart(study):
    about = read_record(study.record_file(CE, 1)).provenance
    other = about.model_copy(update={"hardware": {**about.hardware, "cpu": "Another"}})
    resealed(study, CE, 1, provenance=other)
    report = check_study(study)
    assert report.sound
    assert any("2 machines" in line for line in report.lines)
    assert any(line.startswith("  1 runs:") and "Another" in line for line in report.lines)


def test_where_the_prepared_data_are_gone_all_runs_must_be_of_the_same(study):
    shutil.rmtree("data")
    assert check_study(study).sound
    assert len(build_index(study, [CE])) == 2
    about = read_record(study.record_file(CE, 1)).provenance
    other = about.model_copy(update={"data_hash": "f" * 64})
    resealed(study, CE, 1, provenance=other, run_id=run_id_of(study, CE, 1, "f" * 64))
    assert ("mixed", f"{CE.dataset} split 1", None) in found(study)
    with pytest.raises(RecordError, match="other data"):
        build_index(study, [OURS, CE])


def test_a_search_of_another_schema_says_so(study):
    file = study.search_file(BOHB)
    file.write_text(file.read_text().replace('"schema_version": 3', '"schema_version": 2'))
    with pytest.raises(RecordError, match="is of schema 2, this autoloss reads schema 3"):
        read_search(file)


def test_the_checksum_is_over_every_byte_before_it():
    text = '{\n "a": 1\n}\n'
    assert seal(text) != seal(text.replace("1", "2"))
    assert json.loads(seal(text))["a"] == 1
