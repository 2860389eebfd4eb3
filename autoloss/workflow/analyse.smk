"""From records to numbers: the index of a table's runs, their budgets, and the statistics."""


rule index:
    input:
        shards_of_table,
    output:
        RESULTS / "index/{table}.parquet",
    log:
        f"logs/{study.name}/index_{{table}}.log",
    conda:
        "../../environment.yml"
    params:
        seeds=study.config.study.seeds,
        config=CONFIG,
    message:
        "Collecting the runs of {wildcards.table}"
    shell:
        "autoloss index {wildcards.table} --config {params.config} >{log} 2>&1"


# No table is made of runs that had unequal budgets: everything below waits for this.
rule budget:
    input:
        RESULTS / "index/{table}.parquet",
    output:
        RESULTS / "budget/{table}.csv",
    log:
        f"logs/{study.name}/budget_{{table}}.log",
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
        tuning=study.config.tuning.model_dump(),
    message:
        "Checking that no method of {wildcards.table} had more budget than it may"
    shell:
        "autoloss budget {wildcards.table} --config {params.config} >{log} 2>&1"


rule compare:
    input:
        RESULTS / "index/{table}.parquet",
        RESULTS / "budget/{table}.csv",
    output:
        RESULTS / "statistics/{table}.csv",
    log:
        f"logs/{study.name}/compare_{{table}}.log",
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
        statistics=study.config.statistics.model_dump(),
    message:
        "Testing AutoLoss against every other method of {wildcards.table}"
    shell:
        "autoloss compare {wildcards.table} --config {params.config} >{log} 2>&1"
