"""Profiles: limits that hold what the plan expects, of rules that there are."""

from __future__ import annotations

import re

import pytest
import yaml

from autoloss.plan.costs import COSTS, choose_device, load_costs, load_devices
from autoloss.plan.estimate import make_plan
from autoloss.plan.training import Resources, Training
from autoloss.study.study import Study
from tests.tiny import ROOT

PROFILES = {file.parent.name: file for file in ROOT.glob("configs/profiles/*/config.yaml")}
STACKS = ROOT / "configs/profiles/paper_in_stacks.yaml"
LIMITED = sorted(name for name, file in PROFILES.items() if "set-resources" in file.read_text())
RULES = {"prepare": ("prepare",), "search": ("search",), "train": ("train", "train_learned")}


def limits(name: str) -> dict[str, dict[str, float]]:
    """Minutes and megabytes of a rule's first attempt."""
    profile = yaml.safe_load(PROFILES[name].read_text())
    default = profile["default-resources"]
    return {
        rule: {key: float(str(value).split(" * attempt")[0]) for key, value in mine.items()}
        for rule, own in profile["set-resources"].items()
        for mine in [{key: {**default, **own}[key] for key in ("runtime", "mem_mb")}]
    }


def planned(study):
    """The stages of a study on 8 GPUs, by name."""
    devices = load_devices(ROOT)
    use = Resources(64, 8, 1, choose_device(devices, None, 8))
    plan = make_plan(Training(study, devices, load_costs(ROOT / COSTS), use))
    return {stage["stage"]: stage for stage in plan["stages"]}


@pytest.mark.parametrize("name", LIMITED)
def test_a_job_may_take_what_the_plan_expects_at_most_of_the_paper_scale(name):
    stages, found = planned(Study.load({"scale": "paper"}, ROOT)), limits(name)
    for stage, rules in RULES.items():
        for rule in rules:
            assert found[rule]["runtime"] / 60 >= stages[stage]["longest_job_hours"].high
            assert found[rule]["mem_mb"] / 1000 >= 2 * stages[stage]["memory_gb"]


@pytest.mark.parametrize("name", LIMITED)
def test_a_job_of_all_seeds_is_through_by_its_last_attempt(name):
    """Each asks for more than the one before, and goes on from its checkpoint."""
    study = Study.load(yaml.safe_load(STACKS.read_text()), ROOT)
    assert study.stack == study.config.study.seeds == 12
    assert study.shards() == [(0, 11)]
    attempts = range(1, 2 + yaml.safe_load(PROFILES[name].read_text())["retries"])
    job, found = planned(study)["train"], limits(name)
    for rule in RULES["train"]:
        hours = sum(found[rule]["runtime"] * attempt for attempt in attempts) / 60
        assert hours >= job["longest_job_hours"].high
        assert found[rule]["mem_mb"] * attempts[-1] / 1000 >= 2 * job["memory_gb"]


@pytest.mark.parametrize("name", LIMITED)
def test_rules_of_a_profile_are_the_workflows(name):
    files = [ROOT / "Snakefile", *ROOT.glob("autoloss/workflow/*.smk")]
    text = "\n".join(file.read_text() for file in files)
    rules = re.findall(r"^(?:rule|use rule \w+ as) (\w+)", text, re.MULTILINE)
    assert set(limits(name)) <= set(rules)
