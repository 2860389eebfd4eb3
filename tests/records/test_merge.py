"""Another machine's runs: taken if they are sound and ours to have, refused by name if not."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile

import pytest
import torch

from autoloss.config import overlay
from autoloss.errors import RecordError
from autoloss.records.merge import Merge
from autoloss.records.schema import Failure
from autoloss.records.store import MAX_BYTES, read_record, read_search, write_record
from autoloss.report.check import check_study
from autoloss.study.study import Study
from tests.studied import BOHB, CE, FROZEN, OURS, tiny_study, working_in
from tests.tiny import ROOT


@pytest.fixture
def study(studied, tmp_path):
    """The tiny study, its data here and its runs in `there/`, another machine's tree."""
    here = tmp_path / "here"
    shutil.copytree(studied / "data", here / "data")
    shutil.copytree(studied / "results" / "smoke", tmp_path / "there")
    with working_in(here):
        yield tiny_study()


@pytest.fixture
def there(tmp_path):
    return tmp_path / "there"


def theirs(there, file):
    """Where the other tree has a file of ours."""
    return there.joinpath(*file.parts[2:])


def rewritten(file, **over):
    """A forgery: its checksum fits."""
    write_record(read_record(file).model_copy(update=over), file)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.json")}


def test_a_whole_study_is_taken_with_its_searches_lists_and_controllers(study, there):
    merged = Merge(study, there).run()
    assert not merged.refused
    assert not merged.different
    report = check_study(study)
    assert report.sound, report.lines
    assert files(study.results / "runs") == files(there / "runs")
    assert len(merged.listed) == len(list(there.glob("runs/*/*/*/seeds_*.json")))
    again = Merge(study, there).run()
    assert (again.taken, again.listed) == ([], [])
    assert len(again.same) == len(report_runs(there))


def report_runs(there):
    return list(there.glob("runs/*/*/*/seed_*.json"))


def test_what_is_here_and_sound_stays_and_a_difference_is_said(study, there):
    file = study.record_file(CE, 0)
    Merge(study, there).run()
    before = file.read_bytes()
    rewritten(theirs(there, file), digest="f" * 64)
    merged = Merge(study, there).run()
    assert file.read_bytes() == before
    assert [line for line in merged.different if str(CE) in line] == merged.different
    assert "ffffffffffffffff there" in merged.different[0]


def test_a_damaged_record_here_and_a_failure_here_are_replaced_but_not_the_other_way(study, there):
    Merge(study, there).run()
    file, good = study.record_file(CE, 0), study.record_file(CE, 0).read_bytes()
    file.write_bytes(good[:100])
    assert Merge(study, there).run().taken == [f"{CE} seed 0"]
    assert file.read_bytes() == good
    failure = Failure(kind="OutOfMemoryError", message="", traceback="")
    failed = {"status": "failed", "failure": failure, "metrics": {}, "digest": None}
    rewritten(file, **failed)
    assert Merge(study, there).run().taken == [f"{CE} seed 0"]
    assert file.read_bytes() == good
    rewritten(theirs(there, file), **failed)
    assert Merge(study, there).run().different == [
        f"{CE} seed 0: failed there, digest {read_record(file).digest[:16]} here"
    ]
    assert file.read_bytes() == good


def link_out(there, file, tmp_path):
    secret = tmp_path / "secret.json"
    shutil.move(file, secret)
    file.symlink_to(secret)


def link_folder(there, file, tmp_path):
    shutil.move(file.parent, tmp_path / "elsewhere")
    file.parent.symlink_to(tmp_path / "elsewhere")


def fifo(there, file, tmp_path):
    file.unlink()
    os.mkfifo(file)


def a_folder(there, file, tmp_path):
    file.unlink()
    file.mkdir()


def big(there, file, tmp_path):
    with file.open("r+b") as opened:
        opened.truncate(MAX_BYTES + 1)


def edited(there, file, tmp_path):
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 00'))


def other_code(there, file, tmp_path):
    about = read_record(file).provenance
    rewritten(file, provenance=about.model_copy(update={"code": "0"}))


def another_run(there, file, tmp_path):
    shutil.copy(file.with_name("seed_1.json"), file)


def spent(there, file, tmp_path):
    rewritten(file, budget=read_record(file).budget.model_copy(update={"epochs": 99}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (link_out, "is a link"),
        (link_folder, "is a link"),
        (fifo, "no plain file"),
        (a_folder, "no plain file"),
        (big, "larger than"),
        (edited, "damaged"),
        (other_code, "other code"),
        (another_run, "seed 1"),
        (spent, "99 epochs in a run, 2 are allowed"),
    ],
)
def test_what_is_not_sound_is_refused_by_name_and_the_rest_taken(
    study, there, tmp_path, spoil, message
):
    spoil(there, theirs(there, study.record_file(CE, 0)), tmp_path)
    merged = Merge(study, there).run()
    assert merged.refused
    assert all(line.startswith(f"{CE} seed") and message in line for line in merged.refused)
    assert not study.record_file(CE, 0).exists()
    assert not study.shard_file(CE, 0, 1).exists()  # snakemake makes the missing seed
    assert study.record_file(OURS, 0).exists()


class Evil:
    """Unpickled, it writes a file."""

    def __reduce__(self):
        return (os.system, ("touch pwned",))


def evil(content, file):
    torch.save({**content, "weighting": Evil()}, file)


def evil_zip(content, file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil()))
        archive.writestr("archive/version", "3\n")


def other_values(content, file):
    torch.save({"weighting": {k: v + 1 for k, v in content["weighting"].items()}}, file)


def endless(content, file):
    """A view of one number that claims to be 4 TB."""
    torch.save({"weighting": {"w": torch.zeros(1).expand(2**40)}}, file)


def bomb(content, file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(80 * 2**20))


def cut(content, file):
    file.write_bytes(file.read_bytes()[:-30])


def gone(content, file):
    file.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (evil, "no controller"),
        (evil_zip, "no controller"),
        (other_values, "not the one"),
        (endless, "too large"),
        (bomb, "compressed"),
        (cut, "no controller"),
        (gone, "not there"),
    ],
)
def test_a_controller_that_is_not_the_records_is_refused_and_runs_no_code(
    study, there, spoil, message
):
    file = theirs(there, study.controller_file(OURS, 0))
    spoil(torch.load(file, weights_only=True), file)
    merged = Merge(study, there).run()
    assert message in next(line for line in merged.refused if line.startswith(f"{OURS} seed 0"))
    assert not study.record_file(OURS, 0).exists()
    assert not study.controller_file(OURS, 0).exists()
    # The frozen method's run of that seed depends on a run that is not here.
    assert any(line.startswith(f"{FROZEN} seed 0") for line in merged.refused)
    assert study.record_file(FROZEN, 1).exists()
    assert not os.path.lexists("pwned")


def test_a_search_that_chose_what_it_never_tried_is_refused_with_its_runs(study, there):
    file = theirs(there, study.search_file(BOHB))
    chosen = {"method.weights": [1.0, 0.0, 0.0, 0.0], "method.no_such": 1}
    write_record(read_search(file).model_copy(update={"chosen": chosen}), file)
    merged = Merge(study, there).run()
    refused = [line for line in merged.refused if line.startswith(str(BOHB))]
    assert refused == [f"{BOHB} search: chose what it never tried"]
    assert not study.cell_folder(BOHB).exists()


def test_runs_whose_search_is_not_there_are_refused_in_one_line(study, there):
    theirs(there, study.search_file(BOHB)).unlink()
    merged = Merge(study, there).run()
    assert merged.refused == [f"{BOHB} search: no search"]
    assert not study.cell_folder(BOHB).exists()


def test_a_search_that_chose_what_is_no_option_is_refused_though_it_says_it_tried_it(study, there):
    file = theirs(there, study.search_file(BOHB))
    search, chosen = read_search(file), {"method.no_such": 1}
    tried = [search.trials[0].model_copy(update={"assignment": chosen}), *search.trials[1:]]
    write_record(search.model_copy(update={"chosen": chosen, "trials": tried}), file)
    merged = Merge(study, there).run()
    assert f"{BOHB} search: chose what cannot be: unknown option" in merged.refused
    assert not study.cell_folder(BOHB).exists()


def test_runs_of_another_configuration_are_refused_and_nothing_is_written(study, there):
    other = Study(overlay(study.config, {"training": {"lr": 0.5}}, "test"), ROOT)
    merged = Merge(other, there).run()
    assert not merged.taken
    assert any("the configuration asks for" in line for line in merged.refused)
    assert not other.results.exists()


def test_without_the_data_here_it_says_what_to_run(study, there):
    shutil.rmtree("data")
    merged = Merge(study, there).run()
    assert not merged.taken
    assert all("snakemake --cores all data/prepared/" in line for line in merged.refused)


def test_a_folder_that_is_no_tree_is_refused(study, tmp_path):
    with pytest.raises(RecordError, match="no results tree"):
        Merge(study, tmp_path).run()
