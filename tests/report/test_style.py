"""A style file: what it sets, and how one that cannot be is refused."""

from __future__ import annotations

import re

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from autoloss.errors import ConfigError
from autoloss.report.figures._looks import LOOKS
from autoloss.report.figures._marks import dots
from autoloss.report.figures._style import (
    PAGE,
    colour,
    load_style,
    page_width,
    per_line,
    published_style,
)
from tests.tiny import ROOT
from tests.workflow.pages import FILE

EXAMPLE = "paper.yaml"


@pytest.fixture
def style(tmp_path):
    """Loads a style of this text."""

    def load(text):
        file = tmp_path / "my.yaml"
        file.write_text(text)
        return load_style(file)

    return load


def test_the_example_of_the_docs_is_a_style(style):
    (text,) = (
        t for _, name, t in FILE.findall((ROOT / "docs/running.md").read_text()) if name == EXAMPLE
    )
    read = style(text)
    assert (read.font, read.sizes.text) == ("STIXGeneral", 8)
    assert read.look("autoloss")[:3] == ("#b2182b", "*", True)


def test_sizes_follow_the_text_unless_they_are_given(style):
    with published_style(style("sizes: {text: 9, ticks: 6}\n")):
        of = mpl.rcParams
        assert (of["font.size"], of["axes.titlesize"], of["axes.labelsize"]) == (9, 9.5, 9)
        assert (of["xtick.labelsize"], of["legend.fontsize"]) == (6, 6)


def test_marks_have_the_files_colours_and_the_style_ends_with_its_block(style):
    row = {"mean": 1.0, "low": 0.5, "high": 1.5, "label": "CE", "method": "ce"}
    with published_style(style("palette: {ce: red}\nmarkers: {ce: '*'}\nfont: DejaVu Serif\n")):
        axis = Figure().subplots()
        dots(axis, pd.DataFrame([row, row | {"method": "kl", "mean": 1.1}]), ["CE"])
        first, second = (container[0] for container in axis.containers)
        assert (to_hex(first.get_color()), first.get_marker()) == ("#ff0000", "*")
        assert (second.get_color(), second.get_marker()) == LOOKS["kl"][:2]
        assert mpl.rcParams["font.family"] == ["DejaVu Serif", "DejaVu Sans"]
    assert colour("ce") == LOOKS["ce"].colour


def test_a_figure_is_as_wide_as_it_is_asked_to_be():
    with published_style():
        assert (page_width(), Figure().get_figwidth()) == (PAGE, PAGE)
    with published_style(width=3.33):
        assert page_width() == Figure().get_figwidth() == pytest.approx(3.33)


@pytest.mark.parametrize(
    ("width", "count", "across"), [(7, 4, 4), (7, 5, 5), (7, 8, 4), (3.33, 4, 2), (1, 3, 1)]
)
def test_panels_that_do_not_fit_are_in_lines_as_long_as_each_other(width, count, across):
    """Of 1.2 inches at least."""
    with published_style(width=width):
        assert per_line(count, 1.2) == across


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("pallete: {ce: red}", "my.yaml", "unknown key 'pallete'.*did you mean 'palette'"),
        ("sizes: {text: 0}", "sizes.text", "greater than 0"),
        ("sizes: {texts: 7}", "sizes", "unknown key 'texts'.*did you mean 'text'"),
        ("palette: {autolos: red}", "palette", "no method or loss 'autolos'.*mean 'autoloss'"),
        ("palette: {ce: blak}", "palette.ce", "'blak' is no colour.*did you mean 'black'"),
        ("palette: {ce: #d55e00\n}", "palette.ce", "None is no colour.*in quotes"),
        ("palette: {ce: none}", "palette.ce", "'none' is no colour"),
        ("palette: {ce: 12}", "palette.ce", "12 is no colour"),
        ("markers: {ce: oo}", "markers.ce", "'oo' is no marker.*write one of .* in quotes"),
        ("markers: {ce: 8}", "markers.ce", "8 is no marker"),
        ("font: DejaVu Serf", "font", "no font 'DejaVu Serf'.*did you mean 'DejaVu Serif'"),
        ("font: Qqqqqqqqq", "font", "no font 'Qqqqqqqqq'.*STIXGeneral"),
        ("palette: {ce: '#56B4E9'}\nmarkers: {ce: v}", "my.yaml", "'ce' and 'kl' look alike"),
    ],
)
def test_a_style_that_cannot_be_is_refused_with_its_key_and_a_mend(style, text, where, problem):
    with pytest.raises(ConfigError) as refused:
        style(text + "\n")
    assert where in refused.value.where
    assert re.search(problem, str(refused.value), re.DOTALL)
