"""Prepared data: the validation split as one, and in halves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoloss.errors import DataError
from tests.tiny import SPLITS


def test_whole_validation_data_both_learn_and_judge(tiny):
    (ids, labels), judged = tiny["rating"].validation(halves=False)
    whole = tiny["rating"].split("validation")
    for part, other, expected in zip((ids, labels), judged, whole, strict=True):
        np.testing.assert_array_equal(part, expected)
        np.testing.assert_array_equal(other, expected)


def test_halves_have_each_row_once(tiny):
    data = tiny["rating"]
    (learned, _), (judged, labels) = data.validation(halves=True)
    first = SPLITS["train"]
    rows = range(first, first + SPLITS["validation"])
    np.testing.assert_array_equal(learned, data.ids[list(rows)[0::2]])
    np.testing.assert_array_equal(judged, data.ids[list(rows)[1::2]])
    np.testing.assert_array_equal(labels, data.labels[list(rows)[1::2]])


@pytest.mark.parametrize(("first", "name"), [(0, "even"), (1, "odd")])
def test_a_half_without_a_class_is_refused_with_a_mend(tiny, first, name):
    labels = np.array(tiny["binary"].labels)
    start = SPLITS["train"] + first
    labels[start : start + SPLITS["validation"] - first : 2] = 0
    data = replace(tiny["binary"], labels=labels)
    with pytest.raises(DataError, match=rf"no example of class 1 .* {name} rows.*\n?.*to whole"):
        data.validation(halves=True)
    data.validation(halves=False)
