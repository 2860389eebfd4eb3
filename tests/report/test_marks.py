"""Marks of figures: where axes end, what is written at their edges, where lines are broken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.markers import CARETLEFT, CARETRIGHT

from autoloss.report.figures._marks import dots, limits, multiples


def rows(means, half=0.5, **columns):
    """Rows with these means, each with an interval of that half-width."""
    frame = pd.DataFrame({"mean": means, "label": [f"m{k}" for k in range(len(means))], **columns})
    return frame.assign(low=frame["mean"] - half, high=frame["mean"] + half, method="ce")


def lines(means, epochs):
    return pd.DataFrame(
        {"mean": means, "epoch": epochs, "row": "r", "column": "c", "title": "", "label": "CE"}
    ).assign(low=np.array(means) - 0.1, high=np.array(means) + 0.1, method="ce")


def segments(axis):
    """Each drawn line's epochs, in order."""
    return [line.get_xdata().tolist() for line in axis.lines]


def test_one_outlier_does_not_set_the_limits():
    """Median 2, median distance 1: what is farther than 5 from 2 is out."""
    low, high = limits(pd.DataFrame({"mean": [1.0, 2.0, 3.0, 7.1, 0.0]}))
    assert (low, high) == pytest.approx((-0.15, 3.15))
    low, high = limits(pd.DataFrame({"mean": [1.0, 2.0, 3.0, 6.9, 0.0]}))
    assert high > 6.9


@pytest.mark.parametrize("count", [2, 3, 4])
def test_of_few_means_none_is_an_outlier_and_all_are_drawn(count):
    """One at 0.1 and one at 300 times that: neither is typical."""
    frame = rows([0.1, -30.0, 0.2, 0.1][:count], half=[0.05, 5, 0.05, 0.05][:count])
    low, high = limits(frame, middle=0)
    assert (low <= frame["low"]).all()
    assert (high >= frame["high"]).all()
    axis = Figure().subplots()
    dots(axis, frame, list(frame["label"]), middle=0)
    assert not axis.texts
    assert len(axis.containers) == count


def test_an_interval_that_an_axis_cuts_has_an_arrow_at_that_end_alone():
    """Distances from 0: 1 and 2, and of two intervals up to 100; their median is 2."""
    frame = rows([1.0, 2.0, 1.0, 2.0, 2.0], half=[0, 0, 0, 98, 12])
    axis = Figure().subplots()
    dots(axis, frame, list(frame["label"]), middle=0)
    low, high = axis.get_xlim()
    arrows = {
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axis.lines
        if line.get_marker() in (CARETLEFT, CARETRIGHT)
    }
    assert (low, high) == pytest.approx((-11, 11))
    assert arrows == {(low, 3), (high, 3), (high, 4)}


def test_an_outliers_interval_does_not_widen_the_axis_and_a_wide_one_ends_at_its_limit():
    """Distances from 0: 1 and 2, and of the intervals up to 100; their median is 2."""
    frame = rows([1.0, 2.0, 1.0, 2.0, 30.0], half=[0, 0, 0, 98, 25])
    assert limits(frame, middle=0) == pytest.approx((-11, 11))  # 5 · 2 and a margin


def test_a_middle_is_on_the_axis_and_distances_are_from_it():
    low, high = limits(pd.DataFrame({"mean": [5.0, 6.0, 7.0]}), middle=0)
    assert low < 0 < 7 < high


def test_limits_of_nothing_of_equals_and_of_one_run():
    assert limits(pd.DataFrame({"mean": []})) == (0, 1)
    low, high = limits(pd.DataFrame({"mean": [0.5, 0.5, 0.5, 0.9]}))
    assert low < 0.5 < 0.9 < high  # no distance is typical: nothing is left out
    low, high = limits(pd.DataFrame({"mean": [0.5], "low": [np.nan], "high": [np.nan]}))
    assert low < 0.5 < high


def test_an_outlier_is_written_at_the_edge_with_its_interval():
    axis = Figure().subplots()
    frame = rows([1.0, 2.0, 3.0, -60.0, 900.0])
    dots(axis, frame, list(frame["label"]))
    low, high = axis.get_xlim()
    assert (low, high) == pytest.approx(limits(frame))
    assert -60 < low < 0.5
    assert 3.5 < high < 900
    assert [text.get_text() for text in axis.texts] == [
        " ← −60 [−60, −60]",
        "9e+02 [9e+02, 9e+02] → ",
    ]
    assert [text.get_position()[1] for text in axis.texts] == [3, 4]  # each in its own line
    assert len(axis.containers) == 3


def test_a_line_is_broken_where_an_epoch_is_missing():
    axis = multiples(lines([1, 2, 3, 4], [1, 2, 4, 6]), "epoch", by="method", height=1).axes[0]
    assert segments(axis) == [[1, 2], [4], [6]]
    assert len(axis.get_legend_handles_labels()[1]) == 1
    bars = [[p[:, 1].tolist() for p in c.get_segments()] for c in axis.collections[1::2]]
    assert bars[0][0] == pytest.approx([2.9, 3.1])  # a lone point has its interval too


def test_a_line_is_whole_where_its_steps_are():
    frame = lines([1, 2, 3], [0.05, 0.4, 0.9]).assign(bin=[3, 4, 5])
    axis = multiples(frame, "epoch", by="method", height=1, step="bin").axes[0]
    assert segments(axis) == [[0.05, 0.4, 0.9]]


def test_a_line_that_ends_beyond_is_named_at_the_edge():
    near = [lines([k, k + 1, k + 2], [1, 2, 3]).assign(method=m) for k, m in enumerate("abc")]
    far = [
        lines([x] * 3, [1, 2, 3]).assign(method=m, label=m) for m, x in [("kl", -90), ("ce", -80)]
    ]
    frame = pd.concat([*near, *far])
    axis = multiples(frame, "epoch", by="method", height=1, limited=["r"]).axes[0]
    assert axis.get_ylim() == pytest.approx(limits(frame))
    assert axis.get_ylim()[0] > -80
    assert [note.get_text() for note in axis.texts] == ["↓ kl -90.000", "↓ ce -80.000"]


def test_the_legend_has_a_method_that_the_first_panel_lacks():
    first, second = lines([1], [1]), lines([2], [1]).assign(column="d", method="kl", label="KL")
    figure = multiples(pd.concat([first, second]), "epoch", by="method", height=1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CE", "KL"]
