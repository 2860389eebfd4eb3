"""The tiny study for tests of records."""

from __future__ import annotations

import shutil

import pytest

from tests.studied import tiny_study, working_in


@pytest.fixture
def study(studied, tmp_path):
    """The tiny study's runs in a folder of their own, as the current one."""
    for part in ("results", "data"):
        shutil.copytree(studied / part, tmp_path / part)
    with working_in(tmp_path):
        yield tiny_study()
