"""What is said of claims before anything runs."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import yaml

from autoloss.claims import rules
from autoloss.claims.planned import claim_notes
from autoloss.stats import compare
from autoloss.study.planned import notes
from autoloss.study.study import Study
from tests.tiny import ROOT

OWN = {
    **{"id": "mine", "sentence": "SLF beats CE", "origin": "own", "groups": ["table_2"]},
    **{"data": ["ml100k-ctr"], "models": ["deepfm"], "methods": ["slf"], "others": ["ce"]},
    **{"metrics": ["auc"], "minimum": {"effects": {"auc": 0.001}, "why": "ours"}},
}
ASKED = {"methods": ["ce", "slf", "autoloss"], "datasets": ["ml100k-ctr"], "models": ["deepfm"]}


def said(tmp_path, *claims, **study):
    """The notes on a study of the laptop scale in a project with these claims."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs", dirs_exist_ok=True)
    content = {"families": {"all": ""}, "claims": list(claims)}
    (tmp_path / "configs" / "claims.yaml").write_text(yaml.safe_dump(content))
    planned = Study.load({"study": {"name": "own", **ASKED, **study}}, tmp_path)
    return list(claim_notes(planned))


@pytest.mark.parametrize(
    ("over", "what"),
    [
        ({"data": ["adult"]}, "no runs of data for adult in table_2"),
        ({"data": ["Avazu"]}, "no runs of data for Avazu in table_2"),
        ({"models": ["nfm"]}, "no runs of the model nfm in table_2"),
        ({"others": ["darts"]}, "no runs of the method darts in table_2"),
        ({"protocol": "tuned"}, "it is of the tuned protocol"),
    ],
)
def test_a_claim_of_ones_own_that_the_study_has_no_runs_for_is_noted(tmp_path, over, what):
    (note,) = said(tmp_path, OWN | over)
    assert note.startswith("The claim 'mine' cannot be judged: it will not be attempted, as ")
    assert what in note
    assert said(tmp_path, OWN) == []
    assert said(tmp_path, OWN | over | {"origin": "reviewers", "family": "all"}) == []


def test_a_claim_of_which_some_comparisons_will_be_made_cannot_hold(tmp_path):
    (note,) = said(tmp_path, OWN | {"others": ["ce", "darts"]})
    assert note in notes(Study.load({"study": {"name": "own", **ASKED}}, tmp_path))
    assert note.startswith("The claim 'mine' cannot hold: some of it will not be attempted, as the")
    assert "no runs of the method darts" in note
    paper = OWN | {"data": ["Criteo"]}  # ml100k-ctr stands for it
    assert said(tmp_path, paper) == []


def test_claims_that_so_many_seeds_cannot_decide_are_noted(tmp_path):
    """2^(1 - n) m < 0.05: six seeds do for one comparison, seven for a claim and its mirror."""
    mirror = OWN | {"id": "mirror", "methods": ["ce"], "others": ["slf"]}
    assert said(tmp_path, OWN, seeds=6, splits=6) == []
    (note,) = said(tmp_path, OWN, mirror, seeds=6, splits=6)
    assert note == (
        "Claims that cannot be told with study.seeds: 6: all of 'own'. Over 2 tests by "
        "a metric Holm needs 7 seeds."
    )
    again = OWN | {"id": "again"}  # the same comparison counts once
    assert said(tmp_path, OWN, again, seeds=6, splits=6) == []
    (note,) = said(tmp_path, OWN, seeds=12, splits=4)
    assert "study.splits: 4: all of 'own'. Over 1 test by a metric Holm needs 6" in note


def test_claims_that_they_cannot_decide_both_ways_are_noted(tmp_path):
    """Two smallest effects of one comparison are two questions, where it is to fail."""
    large = OWN | {"id": "large", "minimum": {"effects": {"auc": 0.002}, "why": "ours"}}
    (note,) = said(tmp_path, OWN, large, seeds=6, splits=6)
    assert "cannot be found not to hold with study.seeds: 6: all of 'own'. " in note
    assert "Over 2 tests by a metric Holm needs 7 seeds" in note
    assert said(tmp_path, OWN, large, seeds=7, splits=7) == []


def test_a_claim_holds_by_all_of_its_metrics_and_fails_by_one(tmp_path):
    """Six seeds do for the AUC of one comparison, and not for two by recalibrated log loss."""
    effects = {"effects": {"auc": 0.001, "logloss_calibrated": 0.001}, "why": "ours"}
    both = OWN | {"metrics": ["auc", "logloss_calibrated"], "minimum": effects}
    other = OWN | {"id": "other", "metrics": ["logloss_calibrated"], "others": ["autoloss"]}
    untold, unholding = said(tmp_path, both, other | {"minimum": effects}, seeds=6, splits=6)
    assert "cannot be told with study.seeds: 6: other. Over 2 tests" in untold
    assert "cannot be found to hold with study.seeds: 6: mine. Over 2 tests" in unholding


def test_what_is_counted_takes_no_seeds(tmp_path):
    effects = {"effects": {"auc": 0.001, "passes": 0.1}, "why": "ours"}
    counted = OWN | {"metrics": ["passes"], "minimum": effects}
    assert said(tmp_path, counted, seeds=2, splits=2) == []
    (note,) = said(tmp_path, counted | {"metrics": ["auc", "passes"]}, seeds=2, splits=2)
    assert "cannot be found to hold with study.seeds: 2" in note


def test_a_claim_that_needs_the_papers_own_data_is_noted_and_counts_nowhere(tmp_path):
    needs = OWN | {"id": "needs", "data": ["Criteo"], "others": ["autoloss"], "needs": ["Criteo"]}
    (note,) = said(tmp_path, OWN, needs, seeds=6, splits=6)
    assert note.startswith("The claim 'needs' cannot be judged: it will not be attempted, as it n")
    assert "it needs Criteo; here stand ml100k-ctr for Criteo" in note


@pytest.mark.parametrize(("seeds", "outcome"), [(6, rules.OPEN), (7, rules.FAILS)])
def test_as_the_rules_have_it(seeds, outcome):
    """All seeds agree, by far: so many as the note asks for decide, one less does not."""
    losses = -np.linspace(0.1, 0.11, seeds)

    def compared(minimum):
        ps = [
            compare(losses, np.full_like(losses, least), higher_is_better=True)
            for least in (0, minimum)
        ]
        return rules.Tested("ours, other", "own", minimum, *ps)

    for decision in rules.decide([compared(0.001), compared(0.002)], alpha=0.05):
        assert decision.outcome == outcome


@pytest.mark.parametrize("seeds", [11, 12, 13])
def test_the_papers_claims_are_looked_at_too(seeds):
    """Tuned, 64 comparisons of AutoLoss have two smallest effects each."""
    study = {"protocol": "tuned", "study": {"seeds": seeds, "splits": seeds}}
    told = {11: ["told"], 12: ["found not to hold"], 13: []}
    found = [note for note in claim_notes(Study.load(study, ROOT)) if "'overall'" in note]
    starts = [f"Claims that cannot be {what} with study.seeds: {seeds}: " for what in told[seeds]]
    assert [note[: len(start)] for note, start in zip(found, starts, strict=True)] == starts
