"""The AutoLoss study: data, training, statistics, tables. `snakemake --cores all` makes it all.

The default scale is `laptop`; `--configfile configs/scale/smoke.yaml` or `paper.yaml` choose
another, any other file lays its keys over the scale it names.
"""

import os
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.19")
ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from autoloss.errors import UserError

try:
    from autoloss.arguments import HANDED
    from autoloss.bookkeeping import require_bookkeeping
    from autoloss.config import pack, unpack
    from autoloss.methods.discover import PLANNED
    from autoloss.names import PATTERN
    from autoloss.project import require_plain, require_project, require_writable
    from autoloss.records.failures import crashed, say_crashed
    from autoloss.report.catalogue import figures, tables
    from autoloss.study import identity
    from autoloss.study.groups import GROUPS
    from autoloss.study.kept import require_kept
    from autoloss.study.planned import notes, plan_study
    from autoloss.study.study import Study
except UserError as error:  # of a file in autoloss/models or autoloss/losses
    raise WorkflowError(str(error))

# A job runs the configuration that it was planned with, and knows the methods that there were then,
# whatever the files say by the time that it starts: commands get them by the environment; a
# scheduler's job, which reads this file again, by `--config`, as Snakemake passes that on.
settings = workflow.config_settings
if workflow.is_main_process:
    arguments = settings.config_args or ()
    try:
        require_project(ROOT)
        require_plain(ROOT)
        require_writable(ROOT)
        # `tuned` is a study of its own; Snakemake reads targets only after this file.
        below = (
            [ROOT / "configs/protocol/tuned.yaml"] if "tuned" in sys.argv[1:] else []
        )
        study = plan_study([*below, *workflow.overwrite_configfiles], arguments, ROOT)
        require_bookkeeping(study, Path())
        remarks = notes(study)
    except UserError as error:
        raise WorkflowError(str(error))
    for note in remarks:
        print(note, file=sys.stderr)
    os.environ[PLANNED] = ",".join(study.methods)
    settings.config_args = [
        *arguments,
        f"handed={pack(study.config)}",
        f"planned={os.environ[PLANNED]}",
    ]
elif not {"handed", "planned"} <= config.keys():
    raise WorkflowError(
        "this job got no configuration from the workflow that started it"
    )
else:
    os.environ[PLANNED] = config["planned"]
    study = Study(unpack(config["handed"]), ROOT)

os.environ[HANDED] = pack(study.config)
RESULTS = study.results
REPORT_KEY = identity.report_key(study)

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
    source=PATTERN,
    dataset=PATTERN,
    model=r"[a-z0-9_]+",
    method=r"\w+",
    first=r"\d+",
    last=r"\d+",
    group=either(GROUPS),
    table=either(tables()),
    figure=either(figures()),


include: "autoloss/workflow/data.smk"
include: "autoloss/workflow/train.smk"
include: "autoloss/workflow/analyse.smk"
include: "autoloss/workflow/claims.smk"
include: "autoloss/workflow/report.smk"


# What is run stands beside its results, unless these are of another configuration; parsing and dry
# runs write nothing.
onstart:
    try:
        require_kept(study)
    except UserError as error:
        raise WorkflowError(str(error))
    study.write_config()
    if study.config.study.fail_fast:
        workflow.scheduler.keepgoing = False  # whatever the profile says


onerror:
    if lines := list(
        crashed(study, (c for group in GROUPS for c in study.cells(group)))
    ):
        print(say_crashed(lines), file=sys.stderr)


rule all:
    default_target: True
    input:
        [file for table in TABLES_OF_ALL for file in files_of(table)],
        rules.figures.input,
        rules.report.input,


localrules:
    all,
    figures,
    claims,
    tuned,
    report,
