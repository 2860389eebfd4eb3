"""What a record says of the code that made it."""

from __future__ import annotations

import subprocess

import pytest

from autoloss.project import PARTS
from autoloss.records import provenance
from tests.studied import working_in


def git(*words):
    about = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    subprocess.run(["git", *about, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """A commit of a project's parts, and results that git is told to ignore."""
    for part in PARTS:
        file = (
            tmp_path / part / "a.py" if "." not in part and part != "Snakefile" else tmp_path / part
        )
        file.parent.mkdir(exist_ok=True)
        file.write_text("A = 1\n")
    (tmp_path / ".gitignore").write_text("__pycache__/\n/results/\n")
    with working_in(tmp_path):
        git("init", "-q")
        git("add", ".")
        git("commit", "-qm", "first")
        yield tmp_path


def dirty():
    provenance._git.cache_clear()
    commit, changed = provenance._git()
    assert commit
    provenance._git.cache_clear()
    return changed


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("baselines/mine.py", True),  # a method that nobody has committed
        ("autoloss/losses/mine.py", True),
        ("configs/datasets/mine.yaml", True),
        ("baselines/a.py", True),
        (".gitignore", True),
        ("baselines/__pycache__/a.pyc", False),
        ("results/laptop/index/table_2.parquet", False),
        ("mine.yaml", False),  # what it lays over a scale is in the record
    ],
)
def test_code_that_is_in_no_commit_is_dirty(checkout, file, changes):
    assert dirty() is False
    (checkout / file).parent.mkdir(parents=True, exist_ok=True)
    (checkout / file).write_text("A = 2\n")
    assert dirty() is changes


def test_where_there_is_no_checkout_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with working_in(tmp_path):
        provenance._git.cache_clear()
        assert provenance._git() == (None, None)
    provenance._git.cache_clear()
