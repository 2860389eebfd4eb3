"""Methods beyond the paper that ask to stand here, on the data of Table 3."""

from autoloss.report.tables._methods import make as make

TITLE = "Controls: methods beyond the paper, test split"
GROUPS = ("controls",)
ORDER = 4
IN_ALL = False
