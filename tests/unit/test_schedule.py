"""The simulated schedule: worked by hand, against its bounds, and at the size of a large study."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.plan.schedule import Job, critical_path, schedule


def job(seconds, *needs, **ask):
    return Job("job", "train", seconds, needs, **ask)


def test_independent_jobs_fill_the_cores_in_order():
    # core 1: 0-3, then 3-5; core 2: 0-2, then 2-6
    found = schedule([job(3), job(2), job(4), job(2)], cores=2)
    assert found.starts == (0, 0, 2, 3)
    assert found.makespan == 6


def test_the_higher_priority_goes_first_and_a_job_waits_for_those_it_needs():
    jobs = [job(1), job(5), job(2, 0, priority=1), job(3, 2)]
    found = schedule(jobs, cores=1)
    assert found.starts == (0, 3, 1, 8)
    assert found.makespan == 11
    assert critical_path(jobs) == 6


def test_a_long_job_left_for_the_end_keeps_a_core_waiting():
    """Graham's example: the same jobs, the long one first, are a third faster."""
    short = [job(1) for _ in range(6)]
    assert schedule([*short, job(3)], cores=2).makespan == 6
    assert schedule([*short, job(3, priority=1)], cores=2).makespan == pytest.approx(5)


def test_places_on_gpus_bound_the_jobs_that_ask_for_one():
    jobs = [*(job(4, places=1) for _ in range(4)), job(1), job(1)]
    found = schedule(jobs, cores=8, places=2)
    assert sorted(found.starts[:4]) == [0, 0, 4, 4]
    assert found.starts[4:] == (0, 0)
    assert schedule(jobs, cores=1, places=2).makespan == 18


def test_a_small_job_passes_a_wide_one_that_does_not_fit_yet():
    jobs = [job(4), job(2, cores=2, priority=9), job(3, 0), job(1)]
    found = schedule([jobs[0], job(1, 0, cores=2, priority=9), job(2)], cores=2)
    assert found.starts == (0, 4, 0)
    assert schedule(jobs, cores=2).starts[1] == 0


def test_a_job_wider_than_the_machine_gets_all_of_it():
    assert schedule([job(1, cores=8), job(1)], cores=2).makespan == 2
    assert schedule([job(1, places=1)], cores=1, places=0).makespan == 1


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match="circle"):
        schedule([job(1, 1), job(1, 0)], cores=2)


@st.composite
def graphs(draw):
    """Jobs that hold one core each, and need some of those before them."""
    seconds = draw(st.lists(st.integers(0, 20), min_size=1, max_size=25))
    jobs = []
    for number, length in enumerate(seconds):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        jobs.append(job(float(length), *sorted(needs), priority=draw(st.integers(0, 2))))
    return jobs


@given(graphs(), st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_a_schedule_keeps_its_rules_and_its_bounds(jobs, cores):
    found = schedule(jobs, cores)
    ends = [start + job.seconds for start, job in zip(found.starts, jobs, strict=True)]
    for start, this in zip(found.starts, jobs, strict=True):
        assert all(ends[needed] <= start for needed in this.needs)
        at_once = [
            k
            for k, other in enumerate(jobs)
            if other.seconds and found.starts[k] <= start < ends[k]
        ]
        assert len(at_once) <= cores
    work, chain = sum(job.seconds for job in jobs), critical_path(jobs)
    assert found.makespan == max(ends)
    assert found.makespan >= max(work / cores, chain) - 1e-9
    assert found.makespan <= work / cores + chain * (1 - 1 / cores) + 1e-9  # Graham (1969)


def test_a_hundred_thousand_jobs_can_be_scheduled():
    jobs = [job(1.0)]
    jobs += [job(1.0 + k % 7, 0, priority=k % 2, places=1) for k in range(100_000)]
    jobs.append(job(1.0, *range(1, len(jobs))))
    found = schedule(jobs, cores=64, places=32)
    assert found.makespan == pytest.approx(2 + sum(j.seconds for j in jobs[1:-1]) / 32, rel=0.01)
