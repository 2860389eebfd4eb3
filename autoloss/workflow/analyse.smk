"""From records to numbers: the index of a group's runs, their budgets, and the statistics."""


rule index:
    input:
        shards_of_group,
    output:
        RESULTS / "index/{group}.parquet",
    log:
        f"logs/{study.name}/index_{{group}}.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Collecting the runs of {wildcards.group}"
    shell:
        "autoloss index {wildcards.group} --key {params.key} >{log} 2>&1"


# No table is made of runs that had unequal budgets: everything below waits for this.
rule budget:
    input:
        RESULTS / "index/{group}.parquet",
    output:
        RESULTS / "budget/{group}.csv",
    log:
        f"logs/{study.name}/budget_{{group}}.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Checking that no method of {wildcards.group} had more budget than it may"
    shell:
        "autoloss budget {wildcards.group} --key {params.key} >{log} 2>&1"


rule compare:
    input:
        RESULTS / "index/{group}.parquet",
        RESULTS / "budget/{group}.csv",
    output:
        RESULTS / "statistics/{group}.csv",
    log:
        f"logs/{study.name}/compare_{{group}}.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Comparing the methods of {wildcards.group}"
    shell:
        "autoloss compare {wildcards.group} --key {params.key} >{log} 2>&1"


# A method that raised is in every table as failed; who asked for the table is told by the exit status.
rule no_crash:
    input:
        RESULTS / "index/{group}.parquet",
    output:
        touch(RESULTS / "no_crash/{group}"),
    log:
        f"logs/{study.name}/no_crash_{{group}}.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Looking for methods of {wildcards.group} that raised an error"
    shell:
        "autoloss failures {wildcards.group} --key {params.key} >{log} 2>&1"
