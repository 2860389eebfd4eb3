"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import pytest

from tests.studied import run_study, tiny_study, working_in
from tests.tiny import TASKS, tiny_data


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Prepared data of both tasks, by name."""
    folder = tmp_path_factory.mktemp("prepared")
    return {name: tiny_data(folder / name, classes) for name, classes in TASKS.items()}


@pytest.fixture(scope="session")
def studied(tmp_path_factory):
    """A folder in which `tests.studied.tiny_study()` has been made; not to be written to."""
    folder = tmp_path_factory.mktemp("study")
    with working_in(folder):
        run_study(tiny_study())
    return folder
