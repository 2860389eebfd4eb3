"""Searches: one budget for all, early stopping as in a run, nothing lost, the choice is used."""

from __future__ import annotations

import json
import math

import optuna
import pandas as pd
import pytest

from autoloss.config import overlay
from autoloss.data.load.prepared import PreparedData
from autoloss.errors import ConfigError, RecordError, UserError
from autoloss.methods.discover import discover
from autoloss.methods.fixed import BudgetSpentError
from autoloss.methods.frozen import controller_digest
from autoloss.methods.load import load
from autoloss.records.chosen import run_id_of
from autoloss.records.expected import why_no_search
from autoloss.records.index import build_index
from autoloss.records.store import read_record, read_search, write_record
from autoloss.report.budget import budget_table, check_budget
from autoloss.search.lab import CellLab
from autoloss.search.run import search
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training.loop import Trainer, TrainingDivergedError
from autoloss.training.runner import Runner
from tests.tiny import ROOT, tiny_config, tiny_splits

GRID = Cell("ml100k-ctr", "deepfm", "grid")
BOHB = Cell("ml100k-ctr", "deepfm", "bohb")
DARTS = Cell("ml100k-ctr", "deepfm", "darts")
SOURCE = Cell("ml100k-ctr", "deepfm", "autoloss")
FROZEN = Cell("ml100k-ctr", "nfm", "autoloss_frozen")
PUBLISHED = {
    **{"training.lr": 0.001, "training.weight_decay": 0.0},
    **{"losses.focal_gamma": 2.0, "losses.kl_smoothing": 0.1, "losses.hinge_on": "probability"},
}
CE_ALONE = {"method.weights": [0.0, 0.0, 0.0, 1.0]}
HINGE_ALONE = {"method.weights": [0.0, 0.0, 1.0, 0.0]}


def silent(line):
    """What a search reports is not looked at."""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A study of tiny data, in a folder of its own; keys are laid over the configuration."""
    monkeypatch.chdir(tmp_path)

    def make(**keys):
        config = overlay(tiny_config(), {"tuning": {"trials": 5}, **keys}, "test")
        return Study(config, ROOT)

    tiny_splits(make(), "ml100k-ctr", 2)
    return make


@pytest.fixture
def lab(plan, tmp_path):
    return new_lab(plan(), tmp_path)


def new_lab(study, folder, cell=GRID):
    data = PreparedData.open(study.prepared_folder(cell.dataset, study.split_of(None)))
    return CellLab(study, cell, data, folder / "journal.json")


def test_a_trials_value_is_what_a_run_with_its_options_reaches_on_validation(lab, plan):
    value = lab.train(CE_ALONE)
    trainer = Trainer(plan().config, lab.data, "deepfm", load("ce"), lab.seed)
    trainer.run()
    assert value == trainer.progress.best_value
    assert lab.epochs_left == 8


def test_a_trial_goes_on_from_where_it_was_to_the_same_bits(lab, plan, tmp_path):
    whole = new_lab(plan(), tmp_path / "whole")
    whole.train(CE_ALONE)
    lab.train(CE_ALONE, 1)
    lab.train(HINGE_ALONE, 1)
    assert [len(trial.values) for trial in lab.tried] == [1, 1]
    lab.train(CE_ALONE, 2)
    assert lab.tried[0].values == whole.tried[0].values
    assert lab.epochs_left == 7
    assert not list(tmp_path.glob("journal.0.pt"))


def test_nothing_is_trained_twice_or_over_budget(lab, monkeypatch):
    lab.train(CE_ALONE)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", lambda self: pytest.fail("trained again"))
        lab.train(CE_ALONE)
        lab.train(CE_ALONE, 1)
    for k in (0.1, 0.3, 0.4):
        lab.train({"method.weights": [k, 0.0, 0.0, 1 - k]})
    lab.train(HINGE_ALONE, 1)
    assert lab.epochs_left == 1
    with pytest.raises(BudgetSpentError):
        lab.train({"method.weights": [0.2, 0.0, 0.0, 0.8]})
    assert len(lab.tried) == 5
    lab.train(HINGE_ALONE)  # one epoch more is paid for
    assert lab.epochs_left == 0


def test_a_killed_search_finds_its_trials_again(lab, plan, tmp_path, monkeypatch):
    lab.train(CE_ALONE)
    lab.train(HINGE_ALONE, 1)
    again = new_lab(plan(), tmp_path)
    assert again.tried == lab.tried
    again.train(HINGE_ALONE)
    lab.train(HINGE_ALONE)
    assert again.tried[1].values == lab.tried[1].values


def test_a_diverged_trial_loses_and_if_all_do_it_is_said(lab, monkeypatch):
    def diverge(self):
        raise TrainingDivergedError("nan")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", diverge)
        assert lab.train(HINGE_ALONE) == -math.inf
        assert lab.epochs_left == 9  # it was not for nothing
        with pytest.raises(UserError, match="every trial diverged"):
            lab.choose()
    lab.train(CE_ALONE)
    assert lab.choose() == CE_ALONE


def test_lower_is_better_where_the_metric_says_so(plan, tmp_path):
    lab = new_lab(plan(training={"monitor": "logloss"}), tmp_path)
    values = {name: lab.train(a) for name, a in {"ce": CE_ALONE, "hinge": HINGE_ALONE}.items()}
    assert values["ce"] == -min(lab.tried[0].values)
    assert lab.choose() == (CE_ALONE if values["ce"] >= values["hinge"] else HINGE_ALONE)


def test_grid_tries_equal_weights_and_each_alone_and_trains_every_seed_with_the_best(
    plan,
):
    study = plan()
    file = search(study, GRID, silent)
    found = read_search(file)
    tried = [trial.assignment["method.weights"] for trial in found.trials]
    assert tried == [[0.25] * 4, *([float(k == alone) for k in range(4)] for alone in range(4))]
    best = max(found.trials, key=lambda trial: max(trial.values))
    assert found.chosen == best.assignment
    assert found.epochs <= study.search_budget(GRID) == 10
    assert not list(file.parent.glob(".state/*"))
    Runner(study, silent).train_shard(GRID, 0, 1)
    record = read_record(study.record_file(GRID, 1))
    assert record.config["method"]["weights"] == best.assignment["method.weights"]
    assert record.weights.mean[-1] == pytest.approx(best.assignment["method.weights"])
    assert (record.budget.search_trials, record.budget.search_epochs) == (5, found.epochs)


def test_grid_refuses_a_budget_that_cannot_try_each_candidate(plan):
    with pytest.raises(ConfigError, match="give 5 or more"):
        search(plan(tuning={"trials": 4}), GRID, silent)


@pytest.mark.parametrize(
    ("cell", "protocol"),
    [(BOHB, "published"), (GRID, "published"), (BOHB, "tuned"), (DARTS, "tuned")],
)
def test_killed_anywhere_a_search_ends_with_the_same_choice(cell, protocol, plan, monkeypatch):
    study = plan(training={"max_epochs": 3, "patience": 3}, protocol=protocol)
    file = search(study, cell, silent)
    whole = json.loads(file.read_text())
    file.unlink()
    run_epoch, count = Trainer.run_epoch, 0

    def killed(self):
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt
        run_epoch(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            search(study, cell, silent)
    assert not file.exists()
    resumed = json.loads(search(study, cell, silent).read_text())
    for found in (whole, resumed):
        del found["checksum"]
        for trial in found["trials"]:
            del trial["seconds"]
    assert resumed == whole


def test_bohb_spends_its_budget_in_rungs_and_no_more(plan):
    study = plan(training={"max_epochs": 3, "patience": 3}, tuning={"trials": 5})
    found = read_search(search(study, BOHB, silent))
    assert 12 < found.epochs <= study.search_budget(BOHB) == 15
    assert {len(trial.values) for trial in found.trials} == {1, 3}
    assert all(sum(t.assignment["method.weights"]) == pytest.approx(1) for t in found.trials)


def test_the_tuned_protocol_starts_from_the_published_values_and_varies_what_it_may(plan):
    study = plan(protocol="tuned")
    assert study.results.name == "smoke-tuned"
    found = read_search(search(study, DARTS, silent))
    first, *others = [trial.assignment for trial in found.trials]
    own = {"lr": 0.0003, "every": 7, "weight_decay": 0.001, "xi_over_lr": 1.0}
    assert first == {**PUBLISHED, **{f"method.{key}": value for key, value in own.items()}}
    assert len(others) == 4
    for tried in others:
        assert set(tried) == set(first)
        assert 1e-4 <= tried["training.lr"] <= 1e-2
        assert tried["method.every"] in (1, 3, 7, 13)
    Runner(study, silent).train_shard(DARTS, 0, 1)
    record = read_record(study.record_file(DARTS, 0))
    assert record.config["training"]["lr"] == found.chosen["training.lr"]
    assert record.config["method"]["every"] == found.chosen["method.every"]
    assert record.config["losses"]["focal_gamma"] == found.chosen["losses.focal_gamma"]
    assert read_search(search(study, DARTS, silent)) == found  # made once


def test_every_method_has_the_same_budget_in_the_tuned_protocol_and_only_searches_else(plan):
    cells = [Cell("ml100k-ctr", "deepfm", name) for name in discover()]
    tuned, published = plan(protocol="tuned"), plan()
    assert {tuned.search_budget(cell) for cell in cells} == {10}
    infos = {cell.method: discover()[cell.method].info for cell in cells}
    searched = {c.method for c in cells if published.search_budget(c)}
    assert {"bohb", "grid"} <= searched == {name for name, info in infos.items() if info.searches}
    longer = {c.method for c in cells if published.epoch_budget(c.method) != 2}
    assert {"ce_more_data"} <= longer == {name for name, info in infos.items() if info.refits}


def test_a_run_is_another_when_its_search_chose_otherwise(plan):
    study = plan()
    file = search(study, GRID, silent)
    before = run_id_of(study, GRID, 0, "data")
    chosen = {"method.weights": [0.1, 0.2, 0.3, 0.4]}  # of no grid
    write_record(read_search(file).model_copy(update={"chosen": chosen}), file)
    assert run_id_of(study, GRID, 0, "data") != before
    assert identity.search_key(study, GRID) != identity.search_key(plan(tuning={"seed": 7}), GRID)
    assert identity.run_key(study, GRID) == identity.run_key(plan(tuning={"seed": 7}), GRID)


def test_a_search_is_another_when_its_space_is(plan, monkeypatch):
    before = identity.search_key(plan(protocol="tuned"), DARTS)
    assert identity.search_key(plan(protocol="tuned"), DARTS) == before
    less = lambda self, method: {"method.lr": ("log", 0.001, 0.1)}  # noqa: E731
    monkeypatch.setattr(Study, "search_space", less)
    assert identity.search_key(plan(protocol="tuned"), DARTS) != before


def test_a_frozen_controllers_target_is_tuned_and_takes_one_runs_controller(plan):
    study = plan(protocol="tuned", tuning={"trials": 3})
    with pytest.raises(RecordError, match=r"seed_0\.json.*\n.*snakemake"):
        search(study, FROZEN, silent)  # there is no controller yet
    search(study, SOURCE, silent)
    Runner(study, silent).train_shard(SOURCE, 0, 0)
    source = read_record(study.record_file(SOURCE, 0))
    digest = controller_digest(study.controller_file(SOURCE, 0))
    found = read_search(search(study, FROZEN, silent))
    assert found.controller == source.run_id
    assert found.trials[0].assignment == {**PUBLISHED, "method.tau_slope": 0.91685}
    assert why_no_search(study, FROZEN, found, found.data_hash) is None
    Runner(study, silent).train_shard(FROZEN, 0, 0)
    record = read_record(study.record_file(FROZEN, 0))
    assert record.config["training"]["lr"] == found.chosen["training.lr"]
    assert record.controller.sha256 == digest == controller_digest(study.controller_file(SOURCE, 0))
    assert record.config["controller"]["run_key"] == identity.run_key(study, SOURCE)
    write_record(source.model_copy(update={"run_id": "f" * 16}), study.record_file(SOURCE, 0))
    assert "another controller" in why_no_search(study, FROZEN, found, found.data_hash)


def test_a_trial_of_a_frozen_method_is_trained_under_the_sources_controller(plan, tmp_path):
    """Its value is that of a run with this file; an untrained controller gives another."""
    study = plan(protocol="tuned", training={"monitor": "logloss"}, tuning={"trials": 2})
    search(study, SOURCE, silent)
    Runner(study, silent).train_shard(SOURCE, 0, 0)
    lab = new_lab(study, tmp_path, FROZEN)
    values = {}
    for file in (str(study.controller_file(SOURCE, 0)), ""):
        config = study.with_assignment(FROZEN.method, {"method.controller": file}, "test").config
        trainer = Trainer(config, lab.data, "nfm", load("autoloss_frozen"), lab.seed)
        trainer.run()
        values[file] = [curve["logloss"] for curve in trainer.progress.curves]
    trained, untrained = values.values()
    lab.train(lab.published)
    assert lab.tried[0].values == trained != untrained


def test_tpe_starts_after_as_many_trials_as_dimensions_and_one(plan, monkeypatch):
    made, sampler = [], optuna.samplers.TPESampler
    monkeypatch.setattr(
        optuna.samplers, "TPESampler", lambda **keys: made.append(keys) or sampler(**keys)
    )
    study = plan(protocol="tuned", tuning={"trials": 6}, training={"max_epochs": 1})
    search(study, Cell("ml100k-ctr", "deepfm", "focal"), silent)
    search(study, GRID, silent)
    search(study, BOHB, silent)
    assert [keys["n_startup_trials"] for keys in made] == [3 + 1, 6 + 1, 9 + 1]


def test_training_without_its_search_says_what_to_run(plan):
    with pytest.raises(RecordError, match=r"search\.json.*\n.*snakemake"):
        Runner(plan(), silent).train_shard(GRID, 0, 0)


def test_the_refit_sees_validation_data_for_the_best_number_of_epochs(plan):
    study = plan(training={"max_epochs": 4})
    cell = Cell("ml100k-ctr", "deepfm", "ce_more_data")
    Runner(study, silent).train_shard(cell, 0, 0)
    record = read_record(study.record_file(cell, 0))
    ce = Trainer(
        study.config,
        PreparedData.open(study.prepared_folder("ml100k-ctr", 0)),
        "deepfm",
        load("ce"),
        0,
    )
    ce.run()
    best, first = ce.progress.best_epoch, ce.progress.epoch
    assert record.budget.best_epoch == best
    assert record.budget.epochs == first + best
    assert record.budget.examples == 300 * first + 380 * best
    assert len(record.curves) == best  # of the training whose model is judged
    again = ce.refit()
    again.run()
    assert again.train.examples == 380
    assert record.metrics["test"]["auc"] == again.evaluate()["test"]["auc"]
    assert record.metrics["test"]["auc"] != ce.evaluate()["test"]["auc"]


def test_a_refit_is_judged_by_nothing_that_it_has_trained_on(plan):
    """No calibrator could be fitted to data that it has not seen, and it has no validation data."""
    for validation in ("whole", "halves"):
        study = plan(training={"validation": validation})
        cell = Cell("ml100k-ctr", "deepfm", "ce_more_data")
        Runner(study, silent).train_shard(cell, 0, 0)
        record = read_record(study.record_file(cell, 0))
        assert {split: set(values) for split, values in record.metrics.items()} == {
            "test": {"auc", "logloss"}
        }
        assert record.budget.examples == 300 * (record.budget.epochs - len(record.curves)) + (
            380 * len(record.curves)
        )


def test_a_method_that_had_more_than_it_may_is_named(plan):
    study = plan()
    for name in ("ce", "darts", "ce_more_data"):
        Runner(study, silent).train_shard(Cell("ml100k-ctr", "deepfm", name), 0, 1)
    cells = [Cell("ml100k-ctr", "deepfm", n) for n in ("ce", "darts", "ce_more_data")]
    index = build_index(Study(overlay(study.config, {"study": {"seeds": 2}}, "test"), ROOT), cells)
    check_budget(budget_table(study, index))
    for column, limit in (("epochs", 2), ("search_epochs", 0)):
        more = index.copy()
        more.loc[more["method"] == "darts", column] = limit + 1
        with pytest.raises(RecordError, match=rf"deepfm/darts: trained {limit + 1} .* {limit} are"):
            check_budget(budget_table(study, pd.DataFrame(more)))
