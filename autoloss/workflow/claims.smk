"""Verdicts on the paper's claims, from the audited indexes of the groups that they name."""

from autoloss.claims.schema import claimed_groups

try:
    CLAIMED = claimed_groups(study)
except UserError as error:
    raise WorkflowError(str(error))


rule make_verdicts:
    input:
        expand(RESULTS / "index/{group}.parquet", group=CLAIMED),
        expand(RESULTS / "budget/{group}.csv", group=CLAIMED),
        expand(RESULTS / "statistics/{group}.csv", group=CLAIMED),
        "configs/claims.yaml",
        "configs/published.yaml",
    output:
        multiext(str(RESULTS / "verdicts"), ".json", ".md", ".tex", ".csv"),
        RESULTS / "verdicts_summary.csv",
    log:
        f"logs/{study.name}/claims.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Judging the paper's claims"
    shell:
        "autoloss claims --key {params.key} >{log} 2>&1"


rule claims:
    input:
        rules.make_verdicts.output,
        no_crash(*CLAIMED),
