"""One finished study for the whole folder, and copies of it to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.project import Project


@pytest.fixture(scope="session")
def finished(once) -> Project:
    """A project whose default study has been made, controls included; not to be written to."""

    def make(folder: Path) -> None:
        project = Project(folder)
        project.make_default()
        done = project.snakemake("all", "controls")
        assert done.returncode == 0, done.stdout

    return Project(once("finished", make))


@pytest.fixture
def copy(finished, tmp_path) -> Project:
    """The finished project once more, to be changed."""
    return finished.copied_to(tmp_path / "copy")


@pytest.fixture
def project(tmp_path) -> Project:
    """A project in which nothing has been made."""
    return Project(tmp_path / "project")
