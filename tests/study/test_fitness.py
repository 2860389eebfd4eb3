"""What a study cannot have is known when it is planned."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.config import LossOptions, load_config
from autoloss.errors import ConfigError
from autoloss.methods.discover import discover
from autoloss.methods.load import load
from autoloss.stats import seeds_needed
from autoloss.study.fitness import check_config
from autoloss.study.groups import APART, GROUPS, UNTESTED
from autoloss.study.planned import GRID_TIMES, finest_grid, grid_size, notes, plan_study
from autoloss.study.study import Study
from autoloss.task import Task
from baselines import grid
from tests.losses.more import SETS, with_more
from tests.tiny import ROOT


def planned(tmp_path, **keys):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"scale": "smoke", **keys}))
    return plan_study([file], [], ROOT)


def methods_of(study):
    return {study.base(cell.method) for group in GROUPS for cell in study.cells(group)}


@given(SETS, st.integers(1, 7))
@settings(max_examples=12, deadline=None)
def test_every_method_of_a_plan_can_be_built_with_its_candidates(names, trials):
    names = tuple(names)
    keys = {"losses": {"candidates": names}, "tuning": {"trials": trials}}
    with with_more():
        study = Study.load({"scale": "smoke", **keys}, ROOT)
        kept, every = methods_of(study), set(discover())
        assert every - kept - {"autoloss_frozen", "slf_frozen"} == set(study.left_out)
        assert ("grid" in kept) == (trials >= len(names) + (len(names) > 1))  # equal weights
        for name in kept:
            for classes in (2, 5):
                load(name)(Task(classes), LossOptions(candidates=names), fields={"f0": 3})
        for name in study.left_out:
            with pytest.raises(ConfigError, match=name):
                Study.load(
                    {**keys, "scale": "smoke", "study": {"methods": [name, "autoloss"]}}, ROOT
                )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"study": {"methods": ["ce", "focal"]}}, "add autoloss"),
        (
            {"study": {"methods": ["hinge", "autoloss"]}, "losses": {"candidates": ["kl", "ce"]}},
            "add hinge to losses.candidates",
        ),
        (
            {"study": {"methods": ["grid", "autoloss"]}, "tuning": {"trials": 4}},
            "set tuning.trials to 5 or more",
        ),
        (
            {"study": {"targets": [{"dataset": "ml100k", "model": "deepfm"}]}},
            "name data sets of 2 classes",
        ),
        ({"methods": {"bohb": {"weights": [0.5, 0.5]}}}, "give 4 weights"),
        (
            {"methods": {"darts": {"criterion": "ce", "hypergradient": "direct"}}},
            "set hypergradient: exact",
        ),
        (
            {
                "methods": {"autoloss_ce": {"xi_over_lr": 0.0}},
                "study": {"methods": ["autoloss", "autoloss_ce"]},
            },
            "or criterion: mixture",
        ),
        (
            {
                "methods": {"autoloss": {"hypergradient": "direct"}},
                "study": {"methods": ["autoloss", "autoloss_ce"]},
            },
            r"methods\.autoloss_ce\.criterion(.|\n)*of autoloss_ce: what methods\.autoloss says",
        ),
        ({"study": {"first_seed": 990, "seeds": 12}}, "990 to 1001(.|\n)*seed that no run has"),
        ({"methods": {"autoloss": {"tau_floor": -1.0}}}, r"^methods\.autoloss\.tau_floor"),
    ],
)
def test_what_is_named_and_cannot_be_is_refused_with_a_mend(tmp_path, keys, message):
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, **keys)


@pytest.mark.parametrize(
    ("keys", "where", "nearest"),
    [
        ({"study": {"methods": ["cee", "autoloss"]}}, "study.methods", "ce"),
        ({"methods": {"autolos": {"every": 3}}}, "methods", "autoloss"),
        ({"study": {"datasets": ["ml100kk"]}}, "study.datasets", "ml100k"),
        ({"study": {"component_datasets": ["adul"]}}, "study.component_datasets", "adult"),
        ({"study": {"source": {"dataset": "adul"}}}, "study.source", "adult"),
        ({"study": {"targets": [{"dataset": "adult", "model": "nfn"}]}}, "study.targets", "nfm"),
        ({"study": {"control_models": ["ipn"]}}, "study.control_models", "ipnn"),
        ({"study": {"models": ["nfn"]}}, "study.models", "nfm"),
        ({"statistics": {"ours": ["autolos"]}}, "statistics.ours", "autoloss"),
    ],
)
def test_a_misspelt_name_is_said_at_the_key_that_has_it(tmp_path, keys, where, nearest):
    with pytest.raises(ConfigError) as error:
        planned(tmp_path, **keys)
    assert (error.value.where, error.value.mend) == (where, f"did you mean '{nearest}'?")


def test_what_was_merely_found_is_left_out_with_a_note(tmp_path):
    study = planned(tmp_path, losses={"candidates": ["focal", "kl", "ce"]})
    assert set(study.left_out) == {"hinge", "hinge_logit"}
    assert "hinge" not in methods_of(study)
    assert any(note.startswith("Hinge is left out") for note in notes(study))


def test_a_grid_that_more_candidates_or_fewer_trials_make_coarser_is_said():
    def said(**keys):
        with with_more():
            study = Study.load({"scale": "laptop", **keys}, ROOT)
            return [note for note in notes(study) if note.startswith("Grid tries")]

    five = {"candidates": ["focal", "kl", "hinge", "ce", "brier"]}
    assert said() == said(scale="smoke") == said(losses=five, tuning={"trials": 16}) == []
    (note,) = said(losses=five)
    assert note == (
        "Grid tries 6 weights, equal ones and each candidate alone: tuning.trials is 11 and there "
        "are 5 candidates. Steps of 1/2, as laptop has them, take 16 trials."
    )
    assert len(said(tuning={"trials": 10})) == 1
    assert not said(losses=five, study={"methods": ["ce", "autoloss"]})


@given(st.integers(1, 6), st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_the_grid_of_the_note_is_the_methods_own(n, points):
    assert finest_grid(n, points) == grid.finest(n, points)
    assert grid_size(n, finest_grid(n, points)) == grid.size(n, grid.finest(n, points))


def test_the_share_of_the_tuned_protocol_is_the_methods_own():
    assert GRID_TIMES == grid.TIMES


def test_a_budget_in_which_no_model_proposes_anything_is_said(tmp_path):
    """AutoLoss has nine dimensions: its start-up trials are ten."""
    for trials, said in ((10, True), (11, False)):
        study = planned(tmp_path, protocol="tuned", tuning={"trials": trials})
        assert any("from 11 on a model proposes" in note for note in notes(study)) == said
    assert not any("random search" in note for note in notes(planned(tmp_path)))
    tuned = yaml.safe_load((ROOT / "configs" / "protocol" / "tuned.yaml").read_text())
    study = planned(tmp_path, **tuned)
    largest = max(len(study.search_space(name)) for name in study.methods)
    assert study.config.tuning.trials >= 2 * largest


@pytest.mark.parametrize(
    ("ours", "methods", "message"),
    [
        (["autolos"], None, "statistics.ours(.|\n)*autoloss"),
        (["slf_frozen"], None, "names 'slf_frozen', which stands in Figure 3(.|\n)*name 'slf'"),
        (["slf"], ["ce", "autoloss"], "names slf: study.methods has none of them"),
        (["grid"], None, "'grid' needs 5 for 4 candidates(.|\n)*set tuning.trials to 5"),
    ],
)
def test_a_claim_about_what_the_study_cannot_have_is_refused(tmp_path, ours, methods, message):
    keys = {"study": {"methods": methods}, "tuning": {"trials": 4}, "statistics": {"ours": ours}}
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, **keys)


def test_a_method_with_the_name_of_a_variant_of_ours_is_refused(tmp_path, monkeypatch):
    known = discover()
    info = replace(known["l2rw"].info, name="darts_every_7")
    named = known | {"darts_every_7": replace(known["l2rw"], info=info)}
    monkeypatch.setattr("autoloss.study.selection.discover", lambda: named)
    with pytest.raises(ConfigError, match=r"names 'darts'(.|\n)*rename the method darts_every_7"):
        planned(tmp_path, statistics={"ours": ["darts"]})


def test_of_ours_those_that_the_study_does_not_have_are_left_out(tmp_path):
    few = planned(tmp_path, study={"methods": ["ce", "autoloss"]})
    assert few.ours("table_2") == ["autoloss"]
    clash = planned(tmp_path, methods={"autoloss": {"hypergradient": "direct"}})
    assert clash.ours("table_2") == ["autoloss"]


def test_seeds_that_cannot_show_anything_are_said_when_a_study_is_planned(tmp_path):
    """Twelve seeds are enough for 102 comparisons, 2^-11 each; eleven for 51."""

    def said(**keys):
        keys["study"] = {"splits": 1} | keys["study"]
        return [note for note in notes(planned(tmp_path, **keys)) if "can be significant" in note]

    def largest(**keys):
        study, left_out = planned(tmp_path, **keys), (*APART, *UNTESTED)
        return max(study.comparisons(group) for group in GROUPS if group not in left_out)

    most = largest()
    assert 51 < most <= 102
    assert not said(study={"seeds": 12})
    assert not said(study={"seeds": 12, "splits": 20})
    (note,) = said(study={"seeds": 24, "splits": 6})  # seeds of one split are no pairs of their own
    assert "with study.splits: 6: of" in note
    assert note.endswith("needs 12 splits.")
    (note,) = said(study={"seeds": 11})
    assert note.startswith("No comparison can be significant in table_2")
    assert f"of the {most} comparisons by a metric that the largest has, Holm needs 12" in note
    few = {"methods": ["ce", "autoloss"], "seeds": 2}
    (note,) = said(study=few)
    assert largest(study=few) < 20
    assert f"Holm needs {seeds_needed(largest(study=few))} seeds" in note
    assert not said(study={"seeds": 11}, statistics={"alpha": 0.2})


def test_splits_that_no_run_has_are_said_when_a_study_is_planned(tmp_path):
    def said(**study):
        return [note for note in notes(planned(tmp_path, study=study)) if "never used" in note]

    assert not said(seeds=12, splits=12)
    assert not said(seeds=12, splits=1)
    (note,) = said(seeds=2, splits=12)
    assert "study.splits is 12 and study.seeds 2" in note
    assert "10 of the splits are prepared and never used (study.splits: 2 will do)." in note


@pytest.mark.parametrize("seeds", [1, 2])
def test_gains_are_left_out_without_a_base_or_a_second_seed(tmp_path, seeds):
    alone = planned(tmp_path, study={"methods": ["autoloss"], "seeds": seeds})
    both = planned(tmp_path, study={"methods": ["ce", "autoloss"], "seeds": seeds})
    assert "gains" not in alone.figures()
    assert ("gains" in both.figures()) == (seeds > 1)
    assert any("gains" in note for note in notes(alone))
    assert any("no method beside AutoLoss" in note for note in notes(alone))


def test_two_data_sets_of_one_title_or_a_label_of_a_variant_are_refused(tmp_path):
    study = Study.load({"scale": "smoke"}, ROOT)
    same = study.dataset("ml100k").model_copy(update={"title": study.dataset("adult").title})
    real = Study.dataset
    with (
        patch.object(Study, "dataset", lambda s, n: same if n == "ml100k" else real(s, n)),
        pytest.raises(ConfigError, match="one title"),
    ):
        planned(tmp_path)
    label = Study.label
    with (
        patch.object(
            Study, "label", lambda s, m: "AutoLoss (every = 3)" if m == "ce" else label(s, m)
        ),
        pytest.raises(ConfigError, match="one label"),
    ):
        planned(tmp_path)


@pytest.mark.parametrize("options", [{}, {"weights": "equal"}])
def test_a_method_that_searches_may_keep_weights_as_it_likes(options):
    entry = discover()["bohb"]
    own = replace(entry, info=replace(entry.info, name="mine", options=options, tune={}))
    check_config(load_config({"scale": "smoke"}, ROOT), ROOT, {**discover(), "mine": own})


@pytest.mark.parametrize(
    ("study", "named"),
    [
        ({"name": "mine-tuned"}, "study.name"),
        ({"seeds": 5, "splits": 2}, "study.seeds"),  # a mean over seeds is not one over splits
    ],
)
def test_what_would_be_read_as_something_else_is_refused(tmp_path, study, named):
    with pytest.raises(ConfigError, match=named):
        planned(tmp_path, study=study)
