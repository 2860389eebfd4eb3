"""The reference: written from a study, agreed with to the bit, and what is off is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from typer.testing import CliRunner

from autoloss import cli
from autoloss.errors import RecordError
from autoloss.records.schema import Failure
from autoloss.records.store import read_record, write_record
from autoloss.report import verify as verification
from autoloss.report.analysis import write_index
from autoloss.report.reference import BEGIN, END, write_pages, write_reference
from autoloss.report.verify import verify
from autoloss.study.cell import Cell
from autoloss.study.groups import APART, GROUPS
from autoloss.training.evaluate import Calibrator
from autoloss.training.loop import Trainer
from autoloss.training.runner import Runner
from tests.studied import tiny_study, working_in

PAGES = [Path("README.md"), Path("docs/results.md")]
TEXT = f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n"


@pytest.fixture(scope="module")
def referenced(studied, tmp_path_factory):
    """The tiny study with a reference made from it; not to be written to."""
    folder = tmp_path_factory.mktemp("referenced") / "study"
    shutil.copytree(studied, folder)
    with working_in(folder):
        Path("docs").mkdir()
        for page in PAGES:
            page.write_text(TEXT)
        plan = tiny_study()
        plan.figures_folder.mkdir(parents=True, exist_ok=True)
        list(write_reference(plan))
    return folder


@pytest.fixture
def study(referenced, tmp_path, monkeypatch):
    """A copy of the tiny study and its reference."""
    shutil.copytree(referenced, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    return tiny_study()


def change_record(study, method, seed, **over):
    """Write one run's record anew; its cell is the method's first of Table 2."""
    cell = next(cell for cell in study.cells("table_2") if cell.method == method)
    file = study.record_file(cell, seed)
    record = read_record(file)
    auc = over.pop("auc", None)
    if auc is not None:
        over["metrics"] = {**record.metrics, "test": {**record.metrics["test"], "auc": auc}}
    write_record(record.model_copy(update=over), file)


def test_a_study_agrees_with_its_own_reference_to_the_bit(study):
    found = verify(study)
    assert (found.exact, found.off, found.missing) == (True, [], 0)
    assert found.compared == len(pd.read_csv("results/reference/smoke/runs.csv"))


def test_pages_show_the_reference_between_the_marks_and_nothing_else_changes(study):
    readme, results = (page.read_text() for page in PAGES)
    for text in (readme, results):
        assert text.startswith(f"# Title\n\n{BEGIN}\n")
        assert text.endswith(f"{END}\n\nThe end.\n")
        assert "old" not in text.partition(BEGIN)[2].split("\n")
    assert "| test AUC | ml100k-ctr, DeepFM | ml100k, DeepFM |" in readme
    assert "### Table 2" in results
    PAGES[1].write_text("# No marks\n")
    with pytest.raises(RecordError, match="no place for the reference"):
        list(write_reference(study))


def test_a_change_of_wording_needs_no_study(study):
    shutil.rmtree(study.results)
    before = [page.read_text() for page in PAGES]
    PAGES[0].write_text(TEXT.replace("Title", "Words"))
    assert list(write_pages(study)) == PAGES
    assert PAGES[0].read_text() == before[0].replace("Title", "Words")
    assert PAGES[1].read_text() == before[1]


@pytest.mark.parametrize("kind", ["results", "figures"])
def test_a_reference_loses_nobodys_file_and_may_be_a_link(study, tmp_path, kind):
    folder = Path(kind) / "reference" / study.name
    folder.rename(tmp_path / "large")
    folder.symlink_to(tmp_path / "large")
    list(write_reference(study))
    assert folder.is_symlink()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RecordError, match=r"notes\.txt: is no file of a reference"):
        list(write_reference(study))
    assert (folder / "notes.txt").read_text() == "mine"
    assert verify(study).off == []


def test_a_run_with_another_digest_is_named_with_its_numbers(study):
    change_record(study, "slf", 1, digest="other", auc=0.123)
    found = verify(study)
    assert found.exact
    assert len(found.off) == 1
    assert "slf seed 1: AUC 0.123, not" in found.off[0]


@pytest.mark.parametrize("fact", ["cpu", "instructions"])
def test_on_another_machine_means_are_compared_within_limits(study, fact):
    file = Path("results/reference/smoke/provenance.json")
    about = json.loads(file.read_text())
    about["hardware"][0][fact] = "another"
    file.write_text(json.dumps(about))
    runs = pd.read_csv("results/reference/smoke/runs.csv")
    runs["digest"] = "another"
    runs.to_csv("results/reference/smoke/runs.csv", index=False)
    found = verify(study)
    assert not found.exact
    assert "processor" in found.why
    assert found.off == []
    runs.loc[runs["method"] == "darts", "logloss"] += 10
    runs.to_csv("results/reference/smoke/runs.csv", index=False)
    off = verify(study).off
    assert off
    assert all("darts: mean Log loss" in line and "limit ±" in line for line in off)


def test_a_cell_whose_search_chose_otherwise_is_named_and_not_compared(study):
    file = Path("results/reference/smoke/provenance.json")
    about = json.loads(file.read_text())
    about["hardware"][0]["cpu"] = "another"
    cell = "ml100k/deepfm/bohb"
    about["searches"][cell]["chosen"] = {"method.weights": [1.0, 0.0, 0.0, 0.0]}
    file.write_text(json.dumps(about))
    runs = pd.read_csv("results/reference/smoke/runs.csv")
    runs["digest"] = "another"
    runs.to_csv("results/reference/smoke/runs.csv", index=False)
    before = verify(study).compared
    runs.loc[runs["method"] == "bohb", "logloss"] += 10
    runs.to_csv("results/reference/smoke/runs.csv", index=False)
    found = verify(study)
    assert found.chose_otherwise == [cell]
    assert found.compared == before
    assert found.off
    assert all("bohb: mean Log loss" in line and cell not in line for line in found.off)


@pytest.fixture
def verified(monkeypatch):
    """Exit status and output of `autoloss verify` for a study."""

    def run(study):
        monkeypatch.setattr(cli, "study_of", lambda _: study)
        done = CliRunner().invoke(cli.app, ["verify"])
        return done.exit_code, done.output

    return run


def retrain(study, cell):
    """Make a run of a cell anew, and the indexes."""
    study.record_file(cell, 0).unlink()
    Runner(study, lambda line: None).train_shard(cell, 0, 1)
    for group in GROUPS:
        if group not in APART:
            write_index(study, group)


def test_one_bit_of_one_weight_of_one_run_is_found(study, verified, monkeypatch):
    cell, train = Cell("ml100k", "deepfm", "ce"), Trainer.run

    def one_bit_off(trainer):
        metrics = train(trainer)
        weight = next(trainer.model.parameters()).detach().view(-1)[:1]
        weight.view(torch.int32).bitwise_xor_(1)
        return metrics

    retrain(study, cell)
    assert verified(study)[0] == 0
    monkeypatch.setattr(Trainer, "run", one_bit_off)
    retrain(study, cell)
    status, output = verified(study)
    assert status == 1
    assert output.splitlines()[1:] == [f"{cell} seed 0: other weights at equal test metrics"]


@pytest.mark.parametrize(("change", "status"), [(1e-12, 0), (1e-6, 1)])
def test_a_recalibrated_loss_may_differ_by_rounding_alone(
    study, verified, monkeypatch, change, status
):
    cell, logloss = Cell("ml100k", "deepfm", "ce"), Calibrator.logloss
    monkeypatch.setattr(Calibrator, "logloss", lambda *given: logloss(*given) + change)
    retrain(study, cell)
    found, output = verified(study)
    assert found == status
    assert (f"{cell} seed 0: Log loss, recal." in output) == bool(status)


def test_equal_digests_are_enough_on_another_machine(study):
    file = Path("results/reference/smoke/provenance.json")
    about = json.loads(file.read_text())
    about["hardware"][0]["cpu"] = "another"
    file.write_text(json.dumps(about))
    found = verify(study)
    assert (found.exact, found.off) == (True, [])
    assert "no digest differs, with other processor" in found.why


def test_a_run_that_failed_in_both_agrees(study):
    failure = Failure(kind="TrainingDivergedError", message="loss is nan", traceback="")
    failed = {"status": "failed", "failure": failure, "metrics": {}, "digest": None}
    change_record(study, "focal", 0, **failed, reliability=None)
    list(write_reference(study))
    assert verify(study).off == []


def test_a_number_of_the_reference_that_its_digest_is_not_of_is_off(study):
    file = Path("results/reference/smoke/runs.csv")
    runs = pd.read_csv(file)
    runs.loc[0, "auc"] += 1e-6
    runs.to_csv(file, index=False)
    assert len(verify(study).off) == 1


def test_runs_that_are_not_there_are_counted(study):
    (study.results / "index/figure_3.parquet").unlink()
    assert verify(study).missing == 3 * 3 * 2


def test_without_a_reference_it_says_so(study):
    shutil.rmtree("results/reference")
    with pytest.raises(RecordError, match="no reference is there"):
        verify(study)


@pytest.mark.parametrize("file", ["runs.csv", "provenance.json"])
def test_half_a_reference_is_none(study, file):
    Path("results/reference/smoke", file).unlink()
    with pytest.raises(RecordError, match=f"no reference is there: it has no {file}"):
        verify(study)


def test_a_comparison_of_nothing_is_no_agreement(study):
    file = Path("results/reference/smoke/runs.csv")
    pd.read_csv(file).assign(seed=99).to_csv(file, index=False)
    with pytest.raises(RecordError, match="no run of the reference") as error:
        verify(study)
    assert "`snakemake --cores all --configfile" in error.value.mend


@pytest.mark.parametrize("text", [None, "no marks"])
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_reference_stays_where_a_page_has_no_place_for_another(study, page, text):
    page.unlink() if text is None else page.write_text(text)
    before = {file: file.read_bytes() for file in Path("results/reference").glob("*.*")}
    with pytest.raises(RecordError, match="has no place for the reference"):
        list(write_reference(study))
    assert {file: file.read_bytes() for file in Path("results/reference").glob("*.*")} == before


def test_the_limit_is_welchs():
    random = np.random.default_rng(0)
    a, b = (pd.Series(random.normal(size=n)) for n in (12, 9))
    limit = verification._limit(a, b, 0.05)
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert limit == pytest.approx((interval.high - interval.low) / 2)


def test_a_faithful_rerun_is_seldom_flagged(study):
    """200 pairs of studies of 60 numbers each, from the same world: a false alarm in 1 %."""
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        ours, theirs = random.normal(size=(2, 60, 12))
        limits = [
            verification._limit(pd.Series(a), pd.Series(b), verification.FALSE_ALARM / 60)
            for a, b in zip(ours, theirs, strict=True)
        ]
        alarms += bool((np.abs(ours.mean(1) - theirs.mean(1)) > limits).any())
    assert alarms <= stats.binom.ppf(0.9999, 200, verification.FALSE_ALARM)
