"""What a study cannot have is known when it is planned."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss import losses, registry
from autoloss.config import LossOptions
from autoloss.errors import ConfigError
from autoloss.registry import GROUPS, discover, load
from autoloss.study import Study
from autoloss.task import Task
from tests.tiny import ROOT
from tests.unit.test_candidates import MORE, SETS


def planned(tmp_path, **keys):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"scale": "smoke", **keys}))
    return Study.planned([file], [], ROOT)


def methods_of(study):
    return {study.base(cell.method) for group in GROUPS for cell in study.cells(group)}


@given(SETS, st.integers(1, 7))
@settings(max_examples=12, deadline=None)
def test_every_method_of_a_plan_can_be_built_with_its_candidates(names, trials):
    names = tuple(names)
    keys = {"losses": {"candidates": names}, "tuning": {"trials": trials}}
    with (
        patch.dict(losses.LOSSES, MORE),
        patch.object(registry, "losses", lambda: tuple(losses.LOSSES)),
        patch("autoloss.fitness.losses", lambda: tuple(losses.LOSSES)),
    ):
        study = Study.load({"scale": "smoke", **keys}, ROOT)
        kept, every = methods_of(study), set(discover())
        assert every - kept - {"autoloss_frozen"} == set(study.left_out)
        assert ("grid" in kept) == (trials >= len(names))
        for name in kept:
            for classes in (2, 5):
                load(name)(Task(classes), LossOptions(candidates=names))
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
            {"study": {"methods": ["grid", "autoloss"]}, "tuning": {"trials": 3}},
            "set tuning.trials to 4 or more",
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
        ({"methods": {"autoloss_ce": {"xi_over_lr": 0.0}}}, "or criterion: mixture"),
    ],
)
def test_what_is_named_and_cannot_be_is_refused_with_a_mend(tmp_path, keys, message):
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, **keys)


def test_what_was_merely_found_is_left_out_with_a_note(tmp_path):
    study = planned(tmp_path, losses={"candidates": ["focal", "kl", "ce"]})
    assert set(study.left_out) == {"hinge"}
    assert "hinge" not in methods_of(study)
    assert any(note.startswith("Hinge is left out") for note in study.notes)


@pytest.mark.parametrize("seeds", [1, 2])
def test_gains_are_left_out_without_a_base_or_a_second_seed(tmp_path, seeds):
    alone = planned(tmp_path, study={"methods": ["autoloss"], "seeds": seeds})
    both = planned(tmp_path, study={"methods": ["ce", "autoloss"], "seeds": seeds})
    assert "gains" not in alone.figures()
    assert ("gains" in both.figures()) == (seeds > 1)
    assert any("gains" in note for note in alone.notes)
    assert any("no method beside autoloss" in note for note in alone.notes)


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
