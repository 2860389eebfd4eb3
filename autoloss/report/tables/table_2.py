"""Table 2: every method that asks to stand in it, on the study's data sets and models."""

from autoloss.report.tables._methods import make as make

TITLE = "Table 2: performance of every method, test split"
GROUPS = ("table_2",)
ORDER = 2
