"""Every method on everything: a survey, whose comparisons are too many for the usual seeds."""

from __future__ import annotations

from dataclasses import replace

from autoloss.report.table import Table
from autoloss.report.tables import _methods
from autoloss.study.study import Study

TITLE = "Table 2, in full: every method everywhere, test split"
GROUPS = ("table_2_full",)
ORDER = 5
IN_ALL = False
NOTE = (
    "A survey, for means and deviations: what is claimed of a method is tested in Table 2, Table 3 "
    "and the controls, whose families are smaller."
)


def make(study: Study, name: str) -> Table:
    """As Table 2, with what it is for."""
    table = _methods.make(study, name)
    return replace(table, notes=[NOTE, *table.notes])
