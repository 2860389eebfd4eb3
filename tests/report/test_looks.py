"""Colours and markers of methods: told apart by every eye, and kept when a method is added."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.methods.discover import discover
from autoloss.report.figures._looks import LOOKS, OTHERS, SLOTS, known, look_of, looks_of

NAMES = st.sets(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), max_size=8)
TABLE_2 = [name for name, entry in discover().items() if "table_2" in entry.info.tables]
# What each kind of dichromat sees of linear light: Machado et al., 2009, severity 1.
EYES = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175))
XYZ = (*XYZ, (0.0193339, 0.119192, 0.9503041))


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def lab(colour, eye):
    """CIELAB of a code such as "#d55e00" (CIE 15; sRGB, white at D65), as an eye sees it."""
    shares = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    seen = [min(max(c, 0), 1) for c in times(EYES[eye], light)]
    white = times(XYZ, (1, 1, 1))
    t = [value / of for value, of in zip(times(XYZ, seen), white, strict=True)]
    f = [v ** (1 / 3) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in t]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def test_the_distance_is_that_of_the_textbook():
    """Red: L 53.24, a 80.09, b 67.20 (Lindbloom's calculator, sRGB under D65)."""
    assert lab("#ff0000", "normal") == pytest.approx((53.24, 80.09, 67.20), abs=0.02)
    assert lab("#000000", "protanopia") == pytest.approx((0, 0, 0), abs=1e-9)


@pytest.mark.parametrize("eye", EYES)
def test_every_eye_tells_the_colours_apart(eye):
    colours = sorted({*OTHERS, *(look.colour for look in LOOKS.values())})
    assert len(colours) == 17
    for a, b in combinations(colours, 2):
        pairs = zip(lab(a, eye), lab(b, eye), strict=True)
        assert sum((x - y) ** 2 for x, y in pairs) ** 0.5 > 14, (a, b)


def test_no_two_methods_look_alike():
    looks = {name: look_of(name) for name in known()}
    assert {*discover()} <= {*looks}
    for first, second in combinations(looks.values(), 2):
        assert first[:3] != second[:3]  # as dots
        assert (first.colour, first.dashes) != (second.colour, second.dashes)  # as lines
    in_table = [LOOKS[name] for name in TABLE_2 if name in LOOKS]
    assert len({look.colour for look in in_table}) == len(in_table) >= 12
    assert len({look[1:3] for look in in_table}) == len(in_table)


def test_what_has_no_look_of_its_own_has_a_colour_of_its_own():
    assert look_of("mine").colour not in {look.colour for look in LOOKS.values()}


def test_a_variant_looks_as_its_method():
    assert look_of("autoloss_every_3") == look_of("autoloss_under_xi_150") == LOOKS["autoloss"]


@given(NAMES, st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True))
def test_a_method_more_changes_no_others_look(names, new):
    """But where it wants one that is taken: then only names after it may move."""
    before, after = looks_of(frozenset(names)), looks_of(frozenset({*names, new}))
    assert len({look[:3] for look in after.values()}) == len(after)
    wish = looks_of(frozenset({new}))[new][:3]
    if wish not in {look[:3] for look in before.values()}:
        assert {name: after[name] for name in names} == before
    assert all(after[name] == before[name] for name in names if name < new)


def test_more_methods_than_looks_have_one_all_the_same():
    names = frozenset(f"m{k}" for k in range(len(SLOTS) + 1))
    assert len({look[:3] for look in looks_of(names).values()}) == len(SLOTS)
