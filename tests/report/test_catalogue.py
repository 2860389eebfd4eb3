"""A file in `figures/` or `tables/` is all that a figure or a table takes."""

from __future__ import annotations

import ast
import os
import shutil

import pytest

from autoloss.errors import ConfigError
from autoloss.report import catalogue
from autoloss.report.catalogue import figures, product_of, tables
from tests.interpreter import printed_by

FIGURE = 'TITLE = "Mine"\nCAPTION = "What it shows."\nGROUPS = ("table_2",)\nORDER = 0\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the two folders, with nothing read of them yet."""
    for kind in ("figures", "tables"):
        shutil.copytree(catalogue.FOLDER / kind, tmp_path / kind)
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    catalogue._products.cache_clear()
    yield tmp_path
    catalogue._products.cache_clear()


def test_a_new_file_is_a_figure_in_its_place(folder):
    (folder / "figures" / "mine.py").write_text(FIGURE)
    (folder / "figures" / "_mine.py").write_text("TITLE = oops")
    assert [*figures()][:2] == ["mine", "figure_1"]
    assert (product_of("figure", "mine").groups, product_of("figure", "mine").in_all) == (
        ("table_2",),
        True,
    )


@pytest.mark.parametrize("text", ["", "def draw(", "TITLE = str(1)\n", 'TITLE = "x"\nORDER = 1\n'])
def test_a_file_that_does_not_say_what_it_shows_is_named(folder, text):
    (folder / "tables" / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.py"):
        tables()


def test_names_in_lower_case_say_nothing(folder):
    (folder / "figures" / "mine.py").write_text(FIGURE + 'title = "Other"\norder = object()\n')
    assert product_of("figure", "mine").title == "Mine"


@pytest.mark.parametrize("name", ["GROUPS", "CONFIGS"])
def test_a_tuple_without_its_comma_is_refused(folder, name):
    (folder / "figures" / "mine.py").write_text(f'{FIGURE}{name} = ("table_2")\n')
    with pytest.raises(ConfigError, match=rf'mine\.py.*{name} is no tuple, as \("table_2",\) is'):
        figures()


def test_every_figure_and_table_has_what_is_asked_of_it():
    for kind, products in (("figures", figures()), ("tables", tables())):
        for name in products:
            tree = ast.parse((catalogue.FOLDER / kind / f"{name}.py").read_text())
            names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} | {
                alias.asname or alias.name
                for node in tree.body
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
            assert {"data", "draw"} <= names or "make" in names


def test_the_catalogue_is_read_without_heavy_imports():
    code = (
        "import sys; from autoloss.report.catalogue import figures, tables\n"
        "assert figures() and tables()\n"
        "print(*{'torch', 'pandas', 'matplotlib', 'seaborn'} & set(sys.modules))"
    )
    assert printed_by(code, dict(os.environ)).strip() == ""
