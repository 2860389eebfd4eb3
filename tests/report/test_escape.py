"""Labels with characters that a format gives a meaning are shown as they are written."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from autoloss.report.escape import markdown, mathtext, one_line
from autoloss.report.figures._style import published_style
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.table import Grid, Item, Table
from tests.tiny import ROOT

LABELS = st.text(st.sampled_from("ab 1|*_`<[](\\{}&%#$^~\n\r é±ξ/!;"), min_size=1, max_size=12)
COLUMN = re.compile(r"(?<!\\)(?:\\\\)*\|")
SPECIAL = re.compile(r"\\[&%$#_{}]|\\\\|\\[a-z]+\*?|\$[^$]*\$")
QUICK = settings(max_examples=60, deadline=None)


def table(label: str) -> Table:
    row = [Item(label), Item(label, bold=True), Item("1")]
    return Table(label, [Grid(label, label, [(label, label), ("", "n")], [row])], [label])


@QUICK
@given(LABELS)
def test_a_label_stays_one_cell_of_markdown_and_reads_back(label):
    lines = to_markdown(table(label)).split("\n")
    rows = [line for line in lines if line.startswith("| ")]
    assert [len(COLUMN.findall(row)) for row in rows] == [4, 4]
    assert markdown(label) in rows[1]
    assert re.sub(r"\\(.)", r"\1", markdown(label)) == one_line(label)


@QUICK
@given(LABELS)
def test_what_markdown_would_take_for_its_own_is_escaped(label):
    left = re.sub(r"\\.", ".", markdown(label))  # what stood on its two sides stays apart
    assert not re.search(r"[\\`*|~$\n\r]|<[a-z/!]|\]\(|\b_|_\b", left)


@QUICK
@given(LABELS)
def test_latex_is_balanced_and_has_no_bare_special(label):
    text = to_latex(table(label), "x")
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*[{}]", text):
        depth += 1 if brace[-1] == "{" else -1
        assert depth >= 0
    assert depth == 0
    (row,) = [line for line in text.split("\n") if "\\textbf" in line]
    bare = SPECIAL.sub("", row.replace("\\textbackslash{}", "").replace("\\textasciitilde{}", ""))
    assert bare.count("&") == 2
    assert not re.search(r"[%$#_^~\\]", bare.replace("\\textasciicircum{}", ""))


@pytest.mark.parametrize("label", ["$x^{", "a $\\nope$ b", "$1 or $2"])
def test_a_figure_shows_a_dollar_as_it_is(label):
    with published_style():
        figure = Figure()
        axis = figure.subplots()
        axis.set_yticks([0], [label])
        axis.plot([0], [0], label=label)
        axis.legend()
        axis.set_title(label)
        axis.text(0, 0, rf"$\ell_1$ {mathtext(label)}", parse_math=True)
        figure.savefig(io.BytesIO(), format="png")


def test_todays_names_are_as_they_were():
    for file in (ROOT / "results" / "reference" / "laptop" / "tables").glob("*.md"):
        for line in file.read_text().split("\n"):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line)  # the table's own links
            text = text.replace("**", "").replace("\\*", "")
            cells = text.split("|") if text.startswith("|") else [text]
            assert [markdown(cell) for cell in cells] == cells
