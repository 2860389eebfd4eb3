"""Table 3: AutoLoss without some of its components."""

from autoloss.report.tables._methods import make as make

TITLE = "Table 3: components of AutoLoss, test split"
GROUPS = ("table_3",)
ORDER = 3
