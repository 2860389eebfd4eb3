"""Runs that are there are kept: another configuration of their study's name is refused."""

from __future__ import annotations

import re

import pytest

from autoloss.errors import ConfigError
from autoloss.study.kept import other_runs, require_kept
from autoloss.study.planned import notes
from autoloss.study.study import Study
from tests.studied import working_in
from tests.tiny import ROOT

GRID = {"seed_0.json", "search.json"}


def study(**keys):
    return Study.load({"scale": "smoke", **keys}, ROOT)


@pytest.fixture
def made(tmp_path):
    """A folder in which the smoke study was run: CE's and grid's seed 0 on one data set."""
    with working_in(tmp_path):
        first = study()
        for method, files in (("ce", {"seed_0.json"}), ("grid", GRID)):
            folder = first.results / "runs" / "ml100k-ctr" / "deepfm" / method
            folder.mkdir(parents=True)
            for name in files:
                (folder / name).touch()
        first.config_file.write_text(first.config.model_dump_json())
        yield first


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"training": {"lr": 0.01}}, "training.lr is 0.001 there, here 0.01"),
        ({"model": {"hidden": [8]}}, "model.hidden is [128, 128] there, here [8]"),
        ({"losses": {"candidates": ["kl", "ce"]}}, "losses.candidates"),
        ({"methods": {"grid": {"weights": [0.25] * 4}}}, "method.weights"),
        ({"study": {"max_rows": 500}}, "study.max_rows is 10000 there, here 500"),
        ({"study": {"splits": 1}}, "split of the search is 2 there, here 1"),  # and seed 0 on 0
        ({"study": {"first_seed": 50}}, "split of the search is 2 there, here 52"),
        ({"tuning": {"trials": 6}}, "tuning.trials"),
    ],
)
def test_an_option_by_which_a_run_would_be_another_is_refused(made, keys, said):
    other = study(**keys)
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        require_kept(other)
    assert "study: {name: ...}" in refused.value.mend
    assert any(note.startswith("results/smoke has runs of another") for note in notes(other))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"study": {"seeds": 4}},
        {"study": {"datasets": ["ml100k-ctr"], "models": ["ipnn"]}},
        {"study": {"methods": ["ce", "slf", "autoloss"], "frequencies": [2]}},
        {"statistics": {"ours": ["slf"], "alpha": 0.01}},
        {"training": {"device": "cpu", "threads": 2, "checkpoint_seconds": 0}},
        {"methods": {"autoloss": {"every": 2}}},  # of which there is no run
        {"study": {"name": "other"}, "training": {"lr": 0.01}},
        {"protocol": "tuned", "training": {"lr": 0.01}},  # its results have a name of their own
    ],
)
def test_what_changes_no_run_that_is_there_goes_on(made, keys):
    require_kept(study(**keys))


def test_the_mends_work(made):
    other = {"training": {"lr": 0.01}}
    require_kept(study(**other, study={"name": "fast"}))
    made.config_file.unlink()
    require_kept(study(**other))


def test_a_run_that_is_not_finished_keeps_nothing(made):
    for file in made.results.glob("runs/*/*/*/*.json"):
        file.unlink()
    assert other_runs(study(training={"lr": 0.01})) == ""


def test_other_splits_of_a_seed_that_is_there_are_refused(made):
    """Seed 1 is on split 1 of two, and on split 0 of one; other seeds are other runs."""
    for file in made.results.glob("runs/*/*/grid/*"):
        file.unlink()
    require_kept(study(study={"splits": 1}))
    require_kept(study(study={"first_seed": 50}))
    (made.results / "runs" / "ml100k-ctr" / "deepfm" / "ce" / "seed_1.json").touch()
    assert made.split_of(1) == 1
    with pytest.raises(ConfigError, match="split of seed 1 is 1 there, here 0"):
        require_kept(study(study={"splits": 1}))


def test_a_configuration_of_another_version_says_nothing(made):
    made.config_file.write_text('{"scale": "smoke", "no_such_section": {}}')
    require_kept(study(training={"lr": 0.01}))
