"""Verdicts on the paper's claims, from the indexes and statistics of the groups that they name."""

from autoloss.claims.schema import claimed_groups

try:
    CLAIMED = claimed_groups(study)
except UserError as error:
    raise WorkflowError(str(error))


use rule analyse as make_verdicts with:
    input:
        something_claimed,
        analysed(CLAIMED),
        "configs/claims.yaml",
        "configs/published.yaml",
        tuned_verdicts,
    output:
        multiext(str(RESULTS / "verdicts"), ".json", ".md", ".tex", ".csv"),
        RESULTS / "verdicts_summary.csv",
    log:
        f"logs/{study.name}/claims.log",
    params:
        command="claims",
        key=REPORT_KEY,
    message:
        "Judging the paper's claims"


rule claims:
    input:
        rules.make_verdicts.output,
        no_crash(*CLAIMED),


# The tuned protocol's Table 2 and verdicts: `snakemake tuned` makes a study of its own.
rule tuned:
    input:
        tuned_alone,
        files_of("table_2"),
        rules.make_verdicts.output,
        no_crash("table_2"),
