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
        seeds=study.config.study.seeds,
        config=CONFIG,
    message:
        "Collecting the runs of {wildcards.group}"
    shell:
        "autoloss index {wildcards.group} --config {params.config} >{log} 2>&1"


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
        config=CONFIG,
        tuning=study.config.tuning.model_dump(),
    message:
        "Checking that no method of {wildcards.group} had more budget than it may"
    shell:
        "autoloss budget {wildcards.group} --config {params.config} >{log} 2>&1"


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
        config=CONFIG,
        statistics=study.config.statistics.model_dump(),
    message:
        "Comparing the methods of {wildcards.group}"
    shell:
        "autoloss compare {wildcards.group} --config {params.config} >{log} 2>&1"
