"""Groups of runs: those of which tables and figures are made (autoloss/report/catalogue.py)."""

from __future__ import annotations

from autoloss.methods.info import TABLES

FULL = "table_2_full"  # every method everywhere
# Of runs: what is indexed, audited and tested; and those of them that `all` does without.
GROUPS = (*TABLES, FULL, "figure_3", "figure_4", "sensitivity", "regimes")
# Not ours against each other method: autoloss/report/readings.py, autoloss/report/regimes.py
UNTESTED = ("sensitivity", "regimes")
APART = (FULL, *UNTESTED)
COMPARED = "ce"  # what stands in Figure 3 beside the frozen controllers
