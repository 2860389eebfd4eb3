"""Two studies side by side: planted records, plain SciPy, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from autoloss.cli import app
from autoloss.errors import RecordError
from autoloss.records.schema import Budget, Provenance, Record, Weights
from autoloss.records.store import write_record
from autoloss.report.side_by_side import (
    as_json,
    lines_of,
    note_of,
    read_made,
    side_by_side,
    table_rows,
)
from autoloss.report.tables._methods import overlap_notes
from autoloss.stats import Splits
from tests.tiny import ROOT

SEEDS = 12
FIRST = range(100, 112)  # the seeds of a study that says no others
ROWS = {"train": 800, "validation": 100, "test": 100}
NO_WEIGHTS = Weights(candidates=(), mean=[], selection=[], choices=[])


def value(study, method, seed):
    """A planted AUC: splits differ by far more than studies do."""
    split = np.random.default_rng(seed).normal(0.8, 0.02)
    noise = np.random.default_rng([seed, len(study), len(method)]).normal(0, 0.001)
    return split + noise + 0.003 * (study == "second")


def record(study, method, seed, *, config=None, run_id=None, **over):
    costs = ("epochs", "best_epoch", "steps", "outer_steps", "examples", "seconds")
    costs += ("forward_examples", "backward_examples", "peak_memory_mb")
    auc = value(study, method, seed)
    about = {
        "data_hash": f"data {seed}",
        "code": f"code of {method}",
        "commit": "abc",
        "dirty": False,
        "lock_hash": None,
        "versions": {"torch": "2.0"},
        "hardware": {"cpu": "first", "cores": 2},
        "deterministic": True,
        "threads": 1,
        "finished": "2026-01-01",
    }
    about |= {key: over.pop(key) for key in [*over] if key in about}
    fields = {
        "run_id": run_id or f"{study}-{method}-{seed}",
        "scale": "smoke",
        **{"dataset": "ml100k-ctr", "model": "deepfm", "method": method},
        **{"seed": seed, "split": seed, "rows": ROWS, "status": "ok"},
        "config": config or {"training": {"lr": 0.001}, "method": {"every": 7}},
        "metrics": {"test": {"auc": auc, "logloss": 1 - auc, "logloss_calibrated": 1 - auc}},
        **{"curves": [], "weights": NO_WEIGHTS, "reliability": None, "controller": None},
        **{"predictions": "none", "digest": f"{study}{method}{seed}"},
        "budget": Budget(**dict.fromkeys(costs, 1), stopped_by_limit=False),
        "provenance": Provenance(**about),
    }
    return Record(**{**fields, **over})


def write(study, *records, config=None):
    """A study's results in the current folder."""
    for one in records:
        file = f"results/{study}/runs/{one.dataset}/{one.model}/{one.method}/seed_{one.seed}.json"
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_record(one, path)
    if config is not None:
        Path(f"results/{study}/config.json").write_text(json.dumps(config))


def runs(study, method, seeds=range(SEEDS), **over):
    return [record(study, method, seed, **over) for seed in seeds]


def compared(first="first", second="second"):
    return side_by_side(read_made(first), read_made(second))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_second_studys_gain_is_plain_scipy_corrected_for_overlap_and_the_family():
    for study in ("first", "second"):
        write(study, *runs(study, "ce"), *runs(study, "slf"))
    found = compared().comparisons.query("metric == 'auc'").set_index("method")
    exact, student, rho = [], [], 100 / 800
    for method, row in found.iterrows():
        d = np.array([value("second", method, s) - value("first", method, s) for s in range(SEEDS)])
        error = d.std(ddof=1) * np.sqrt(1 / SEEDS + rho)
        low, high = stats.t.interval(0.95, SEEDS - 1, d.mean(), error)
        assert (row["gain"], row["low"], row["high"]) == pytest.approx((d.mean(), low, high))
        kinds = {"permutation_type": "samples", "n_resamples": np.inf}
        exact.append(stats.permutation_test((d,), np.mean, **kinds).pvalue)
        student.append(2 * stats.t.sf(abs(d.mean()) / error, SEEDS - 1))
        assert row["first"] == pytest.approx(
            np.mean([value("first", method, s) for s in range(SEEDS)])
        )
        assert (row["n"], row["comparisons"], row["verdict"]) == (SEEDS, 2, "better")
    for p, column in ((exact, "p_holm"), (student, "p_t_holm")):
        assert list(found[column]) == pytest.approx(list(multipletests(p, method="holm")[1]))
    by_loss = compared().comparisons.query("metric == 'logloss'")
    assert list(by_loss["gain"]) == pytest.approx(list(found["gain"]))  # less is better there
    turned = compared("second", "first").comparisons.query("metric == 'auc'")
    assert list(turned["gain"]) == pytest.approx(list(-found["gain"]))
    assert set(turned["verdict"]) == {"worse"}


def test_runs_that_are_the_same_in_both_ask_nothing_and_count_in_no_family():
    same = {"run_id": "same", "digest": "same"}
    write("first", *runs("first", "ce", **same), *runs("first", "slf"))
    write("second", *runs("second", "ce", **same), *runs("second", "slf"))
    found = compared()
    assert found.same == ["ml100k-ctr/deepfm/ce"]
    assert set(found.comparisons["method"]) == {"slf"}
    assert set(found.comparisons["comparisons"]) == {1}
    write("third", *runs("third", "ce", **same))
    nothing = compared("first", "third")
    assert nothing.comparisons.empty
    assert table_rows(nothing) == []
    write("elsewhere", *runs("elsewhere", "ce", run_id="same"))  # to other bits
    assert set(compared("first", "elsewhere").comparisons["method"]) == {"ce"}


def test_only_runs_of_one_seed_split_and_data_are_pairs_and_the_others_are_counted():
    write("first", *runs("first", "ce"), *runs("first", "slf", range(4)))
    write(
        "second",
        *runs("second", "ce", range(6)),
        *runs("second", "ce", range(6, 8), data_hash="other"),
        *runs("second", "ce", range(8, 10), split=3),
        *runs("second", "kl", range(3)),
    )
    found = compared()
    assert set(found.comparisons["n"]) == {6}
    assert found.unpaired == [
        "2 runs of one cell and seed are on other data, and no pairs.",
        "2 runs of one cell and seed are on other splits, and no pairs.",
        "6 runs are in first alone: of ml100k-ctr/deepfm/slf; 2 of seeds that second has not.",
        "3 runs are in second alone: of ml100k-ctr/deepfm/kl.",
    ]


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"method": "kl"}, "no cell in common"),
        ({"seeds": range(20, 24)}, "no seed of a common cell in common: 0 to 11 and 20 to 23"),
        ({"split": 50}, "no pair of runs: of those of one cell and seed, 12 on other splits"),
        ({"data_hash": "other"}, "12 on other data"),
    ],
)
def test_studies_without_a_pair_are_refused_with_the_reason(over, message):
    write("first", *runs("first", "ce"))
    method, seeds = over.pop("method", "ce"), over.pop("seeds", range(SEEDS))
    write("second", *runs("second", method, seeds, **over))
    with pytest.raises(RecordError, match=message):
        compared()


def test_what_differs_is_named_with_both_values_and_its_cells():
    write("first", *runs("first", "ce"), config={"study": {"seeds": 12, "name": "first"}})
    write(
        "second",
        *runs(
            "second",
            "ce",
            config={"training": {"lr": 0.01}, "method": {"every": 7}, "controller": {"run_key": 1}},
            code="other code",
            hardware={"cpu": "second", "cores": 2},
            versions={"torch": "2.1"},
            dirty=True,
        ),
        config={"study": {"seeds": 24, "name": "second"}},
    )
    found = {(d.kind, d.what): (d.first, d.second, d.cells) for d in compared().differences}
    assert found == {
        ("configuration", "training.lr"): ("0.001", "0.01", ("ml100k-ctr/deepfm/ce",)),
        ("configuration", "study.seeds"): ("12", "24", ()),
        ("code", "of ce"): ("code of ce", "other code", ("ml100k-ctr/deepfm/ce",)),
        ("code", "uncommitted changes"): ("False", "True", ()),
        ("machine", "cpu"): ("first", "second", ()),
        ("machine", "torch"): ("2.0", "2.1", ()),
    }
    assert [*lines_of(compared("first", "results/first"))][1] == "Nothing differs."


def test_other_data_are_a_difference_where_other_runs_still_pair():
    write("first", *runs("first", "ce"))
    write("second", *runs("second", "ce", range(11)), record("second", "ce", 11, data_hash="x"))
    (found,) = compared().differences
    assert (found.kind, found.what) == ("data", "ml100k-ctr split 11")
    assert (found.first, found.second) == ("data 11", "x")


TWO = {  # a study whose Table 2 has two methods in one cell
    "study": {"methods": ["ce", "autoloss"], "datasets": ["ml100k-ctr"], "models": ["deepfm"]}
}


def test_an_unfinished_study_is_said_to_be_one_and_its_verdicts_are_marked():
    write("first", *runs("first", "ce", FIRST), *runs("first", "autoloss", FIRST), config=TWO)
    write("second", *runs("second", "ce", FIRST[:10]), config=TWO)
    found = compared()
    assert found.unfinished == [
        "second is unfinished: of table_2 it has 10 of 24 runs, no run of autoloss and not all of "
        "ce."
    ]
    assert found.unfinished[0] in [*lines_of(found)]
    assert as_json(found)["unfinished"] == found.unfinished
    assert {row["verdict"] for row in table_rows(found)} == {"better †"}
    assert set(found.comparisons["verdict"]) == {"better"}
    assert "† Provisional: a study is unfinished." in note_of(found)
    whole = compared("first", "results/first")
    assert not whole.unfinished
    assert "†" not in note_of(whole)


def test_a_record_of_another_version_does_not_say_what_is_missing():
    write("first", *runs("first", "ce"), config={"study": {"methods": ["gone"]}})
    (said,) = compared("first", "results/first").unfinished[:1]
    assert said == "Whether first is finished cannot be told: it is of another version."


@pytest.mark.parametrize("splits", [1, 12])
def test_the_sign_flip_test_is_called_exact_of_no_splits_that_overlap(splits):
    for study in ("first", "second"):
        write(study, *(record(study, "ce", s, split=s % splits) for s in range(SEEDS)))
    said, table = note_of(compared()), overlap_notes([Splits(pd.Series(range(12)), 0.125)])
    assert (next(table) in said) == (splits > 1)
    assert "exact sign-flip" not in said
    assert "over 1 comparison by a metric" in said


def test_a_failed_run_makes_its_cell_not_assessable():
    write("first", *runs("first", "ce"))
    fault = {"kind": "TrainingDivergedError", "message": "", "traceback": ""}
    failed = {"status": "failed", "failure": fault, "metrics": {}, "digest": None}
    write("second", *runs("second", "ce", range(11)), record("second", "ce", 11, **failed))
    rows = compared().comparisons
    assert set(rows["verdict"]) == {"not assessable: failed runs"}
    assert {row["gain"] for row in as_json(compared())["comparisons"]} == {None}


def test_what_is_no_study_or_no_sound_record_is_refused_by_name(tmp_path):
    write("first", *runs("first", "ce"))
    with pytest.raises(RecordError, match=r"frist: is no study that has runs(.|\n)*'first'"):
        compared("frist")
    (tmp_path / "results" / "empty" / "runs").mkdir(parents=True)
    with pytest.raises(RecordError, match="has no finished run"):
        compared("empty")
    file = tmp_path / "results/first/runs/ml100k-ctr/deepfm/ce/seed_3.json"
    moved = file.with_name("seed_99.json")
    moved.write_bytes(file.read_bytes())
    with pytest.raises(RecordError, match=r"seed_99\.json: is the record of .* seed 3"):
        compared("first", "first")
    moved.unlink()
    file.write_text(file.read_text().replace('"auc": 0.', '"auc": 0.9'))
    with pytest.raises(RecordError, match=r"seed_3\.json: .*checksum is off"):
        compared("first", "first")


def test_the_command_prints_for_people_for_machines_and_as_csv(tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for study in ("first", "second"):
        write(study, *runs(study, "ce"))
    said = CliRunner().invoke(app, ["compare", "first", "results/second", "--csv", "both.csv"])
    assert said.exit_code == 0, said.output
    assert "results/second against first" in said.output
    assert "ml100k-ctr/deepfm/ce" in said.output
    asked = CliRunner().invoke(app, ["compare", "first", "second", "--json"])
    rows = json.loads(asked.output)["comparisons"]
    table = pd.read_csv("both.csv")
    assert [row["gain"] for row in rows] == pytest.approx(list(table["gain"]))
    assert f"{rows[0]['gain']:+.4f}" in said.output
