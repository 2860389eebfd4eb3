"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import pytest

from tests.tiny import TASKS, tiny_data


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Prepared data of both tasks, by name."""
    folder = tmp_path_factory.mktemp("prepared")
    return {name: tiny_data(folder / name, classes) for name, classes in TASKS.items()}
