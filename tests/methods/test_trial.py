"""`autoloss test NAME`: what it runs, in which order, and what it says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from autoloss.errors import ConfigError
from autoloss.methods import trial


@pytest.mark.parametrize(
    ("failing", "last"),
    [((), "ce: all passed"), (("ruff", "mypy"), "ce: lint, format, types failed")],
)
def test_the_contract_comes_first_lint_and_types_last_and_all_are_run(monkeypatch, failing, last):
    ran, said = [], []

    def run(command, cwd):
        ran.append(command[2:])
        return SimpleNamespace(returncode=int(command[2] in failing))

    monkeypatch.setattr(trial.subprocess, "run", run)
    assert trial.test_method("ce", said.append) == (not failing)
    assert [command[0] for command in ran] == ["pytest", "ruff", "ruff", "mypy"]
    assert ran[0][1:4] == ["tests/contract", "--method", "ce"]
    assert all("baselines/ce.py" in command for command in ran[1:])
    assert said[-1] == last


def test_a_method_that_is_not_there_and_tools_that_are_not_are_named(monkeypatch):
    with pytest.raises(ConfigError, match="did you mean 'focal'"):
        trial.test_method("focl", print)
    monkeypatch.setattr(trial, "TOOLS", ("pytest", "no_such_tool"))
    with pytest.raises(ConfigError, match=r"has no no_such_tool\n.*make setup"):
        trial.test_method("ce", print)
