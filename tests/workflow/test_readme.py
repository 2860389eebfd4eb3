"""What the README and docs/ name is there, and the README's loop trains."""

from __future__ import annotations

import re

import pytest
import torch

from autoloss.methods.load import load
from autoloss.task import Task
from tests.tiny import ROOT
from tests.workflow.pages import FILE, PAGES, blocks


def test_the_loop_of_ones_own_trains_model_and_controller():
    (loop,) = blocks((ROOT / "README.md").read_text(), "python")
    names: dict = {}
    torch.manual_seed(0)
    before = {
        k: v.clone() for k, v in load("autoloss")(Task(2)).state_dict().items() if k[0] == "w"
    }
    exec(loop, names)
    assert torch.isfinite(names["loss"])
    assert names["model"][0].weight.grad.abs().sum() > 0
    after = names["auto"].method.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page):
    """Files in sentences, but those that it tells the reader to write, and links to other pages."""
    text = page.read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    named = re.findall(
        r"`((?:autoloss|baselines|benchmarks|configs|examples|tests)/[\w/.]+)`", prose
    )
    links = re.findall(r"\]\(([^)#:]+)\)", prose)
    paths = [*(ROOT / path for path in named), *(page.parent / path for path in links)]
    written = re.findall(r"^This writes `([^`]+)`", text, re.MULTILINE)
    written = [ROOT / name for name in (*written, *(name for _, name, _ in FILE.findall(text)))]
    assert not [path for path in paths if not path.exists() and path not in written]
