"""The AutoLoss study: data, training, statistics, tables. `snakemake --cores all` makes it all.

The default scale is `laptop`; `--configfile configs/scale/smoke.yaml` or `paper.yaml` choose
another, any other file lays its keys over the scale it names.
"""

import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.19")
ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from autoloss.errors import UserError
from autoloss.project import require_plain, require_project, require_writable
from autoloss.registry import FIGURES, FULL, GROUPS, TABLES
from autoloss.study import Study

try:
    require_project(ROOT)
    require_plain(ROOT)
    require_writable(ROOT)
    study = Study.load(config, ROOT)
except UserError as error:
    raise WorkflowError(str(error))
study.write_config()

CONFIG = study.config_file
RESULTS = study.results

# Every job's command is this project's `autoloss`: under the Python that runs the workflow, or that
# of the environment that Snakemake deploys (--sdm conda).
PYTHON = "python" if workflow.deployment_settings.deployment_method else sys.executable
COMMAND = quote(PYTHON).replace("{", "{{").replace("}", "}}")  # Snakemake formats it
# The shell outlives a signal to its group: it waits for the run to write its checkpoint.
shell.prefix(
    f'set -euo pipefail; trap : TERM; autoloss() {{{{ {COMMAND} -m autoloss "$@"; }}}}; '
)


include: "autoloss/workflow/common.smk"


wildcard_constraints:
    source=r"[a-z0-9-]+",
    dataset=r"[a-z0-9-]+",
    model=r"[a-z0-9_]+",
    method=r"\w+",
    first=r"\d+",
    last=r"\d+",
    group=either(GROUPS),
    table=either((*TABLES, FULL)),
    figure=either(FIGURES),


include: "autoloss/workflow/data.smk"
include: "autoloss/workflow/train.smk"
include: "autoloss/workflow/analyse.smk"
include: "autoloss/workflow/figures.smk"
include: "autoloss/workflow/claims.smk"
include: "autoloss/workflow/sensitivity.smk"
include: "autoloss/workflow/report.smk"


rule all:
    default_target: True
    input:
        rules.table_1.input,
        rules.table_2.input,
        rules.table_3.input,
        rules.figures.input,
        rules.report.input,


localrules:
    all,
    figures,
    table_1,
    table_2,
    table_3,
    table_2_full,
    controls,
    claims,
    sensitivity,
    report,
