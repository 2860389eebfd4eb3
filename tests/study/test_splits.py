"""Which split a run has: by its seed alone, numbered from the first; a search has its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoloss.config import overlay
from autoloss.study.layout import Layout
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
    used = {study.split_of(seed) for seed in (*study.seeds, None)}
    assert used <= set(study.prepared_splits)
    assert len(set(study.prepared_splits)) == splits + 1


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
    assert not set(study.prepared_splits) & {later.split_of(seed) for seed in later.seeds}
