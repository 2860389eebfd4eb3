"""Table 3: our method (AutoLoss, unless a study says otherwise) without some of its components."""

from autoloss.report.tables._methods import make as make

TITLE = "Table 3: components of {ours}, test split"
GROUPS = ("table_3",)
ORDER = 3
