"""Paired tests, correction for many comparisons, and the tables built on them."""

from autoloss.significance import can_be_significant, seeds_needed, smallest_p
from autoloss.stats.correction import holm
from autoloss.stats.paired import Comparison, compare
from autoloss.stats.splits import Splits, splits_of
from autoloss.stats.summary import compare_family, describe

__all__ = [
    "Comparison",
    "Splits",
    "can_be_significant",
    "compare",
    "compare_family",
    "describe",
    "holm",
    "seeds_needed",
    "smallest_p",
    "splits_of",
]
