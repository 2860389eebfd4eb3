"""Which split a run has: by its seed alone, numbered from the first; a search has its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.config import overlay
from autoloss.study.groups import GROUPS
from autoloss.study.layout import Layout
from autoloss.study.study import Study
from tests.tiny import ROOT, tiny_config

CONFIG, COUNTS = tiny_config(), st.integers(1, 40)


def layout(**keys):
    return Layout(overlay(CONFIG, {"study": keys}, "test"), ROOT)


@given(first=st.integers(0, 10**6), seeds=COUNTS, splits=COUNTS)
def test_splits_are_numbered_from_the_first_seed_and_used_again_in_turn(first, seeds, splits):
    study = layout(first_seed=first, seeds=seeds, splits=splits)
    assert list(study.seeds) == [first + k for k in range(seeds)]
    assert [study.split_of(seed) for seed in study.seeds] == [
        first + k % splits for k in range(seeds)
    ]
    assert study.split_of(None) not in {study.split_of(seed) for seed in study.seeds}
    assert study.split_of(None) not in study.splits


@given(seeds=COUNTS, splits=COUNTS, more=COUNTS)
def test_more_seeds_or_splits_leave_the_splits_of_seeds_that_had_their_own(seeds, splits, more):
    study = layout(seeds=seeds, splits=splits)
    other = layout(seeds=seeds + more, splits=splits + more)
    for seed in range(min(seeds, splits)):
        assert study.split_of(seed) == other.split_of(seed)
        folders = [of.prepared_folder("ml100k", of.split_of(seed)) for of in (study, other)]
        assert folders[0] == folders[1]


@given(first=st.integers(0, 1000), seeds=COUNTS, splits=COUNTS)
def test_seeds_that_no_run_had_have_splits_that_no_run_had(first, seeds, splits):
    study = layout(first_seed=first, seeds=seeds, splits=splits)
    later = layout(first_seed=study.seeds.stop + splits, seeds=seeds, splits=splits)
    prepared = {*study.splits, study.split_of(None)}
    assert not prepared & {later.split_of(seed) for seed in later.seeds}


@pytest.mark.parametrize(
    ("methods", "protocol", "searched"),
    [
        (None, "published", True),
        (["ce", "autoloss"], "published", False),
        (["ce", "autoloss", "bohb"], "published", True),
        (["ce", "autoloss"], "tuned", True),
    ],
)
def test_what_is_prepared_is_what_runs_and_searches_read(methods, protocol, searched):
    keys = {"study": {"methods": methods, "seeds": 3, "splits": 3, "first_seed": 5}}
    study = Study.load({"scale": "smoke", "protocol": protocol, **keys}, ROOT)
    cells = [cell for group in GROUPS if study.has(group) for cell in study.cells(group)]
    read = {study.split_of(seed) for seed in study.seeds}
    read |= {study.split_of(None) for cell in cells if study.searches(cell)}
    assert study.prepared_splits == sorted(read) == [5, 6, 7, *([8] if searched else [])]
