"""What commands are given: seeds of the study, and no others."""

from __future__ import annotations

import pytest

from autoloss.arguments import seed_range
from autoloss.errors import ConfigError
from tests.studied import tiny_study


def test_seeds_of_the_study_are_a_range():
    assert seed_range(tiny_study(), "0-1") == (0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [("1", "first and last"), ("1-0", "is empty"), ("9-9", "the seeds 0 to 1"), ("0-2", "0 to 1")],
)
def test_others_are_refused_before_training(text, message):
    with pytest.raises(ConfigError, match=message):
        seed_range(tiny_study(), text)
