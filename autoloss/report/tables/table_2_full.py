"""Every method on everything."""

from autoloss.report.tables._methods import make as make

TITLE = "Table 2, in full: every method everywhere, test split"
GROUPS = ("table_2_full",)
ORDER = 5
IN_ALL = False
