"""From records to numbers: the index of a group's runs, their budgets, and the statistics."""


# One job, so that nothing is made of runs that had unequal budgets: where it fails, no index is left.
rule analyse:
    input:
        shards_of_group,
    output:
        RESULTS / "index/{group}.parquet",
        RESULTS / "crashes/{group}.txt",
        RESULTS / "budget/{group}.csv",
        RESULTS / "statistics/{group}.csv",
    log:
        f"logs/{study.name}/analyse_{{group}}.log",
    wildcard_constraints:
        group=either(TESTED),
    conda:
        "../../environment.yml"
    params:
        command="analyse {group}",
        key=REPORT_KEY,
    message:
        "Collecting the runs of {wildcards.group}"
    shell:
        "autoloss {params.command} --key {params.key} >{log} 2>&1"


use rule analyse as analyse_untested with:
    output:
        RESULTS / "index/{group}.parquet",
        RESULTS / "crashes/{group}.txt",
        RESULTS / "budget/{group}.csv",
    wildcard_constraints:
        group=either(UNTESTED),


# A method that raised is in every table as failed; who asked for the table is told by the exit status.
rule no_crash:
    input:
        RESULTS / "crashes/{group}.txt",
    output:
        touch(RESULTS / "no_crash/{group}"),
    log:
        f"logs/{study.name}/no_crash_{{group}}.log",
    localrule: True
    conda:
        "../../environment.yml"
    message:
        "Looking for methods of {wildcards.group} that raised an error"
    shell:
        "cp {input} {log}; test ! -s {input}"
