"""From records to numbers: the index of a table's runs, and its statistics."""


rule index:
    input:
        shards_of_table,
    output:
        RESULTS / "index/{table}.parquet",
    log:
        f"logs/{study.config.scale}/index_{{table}}.log",
    conda:
        "../../environment.yml"
    params:
        seeds=study.config.study.seeds,
        config=CONFIG,
    message:
        "Collecting the runs of {wildcards.table}"
    shell:
        "autoloss index {wildcards.table} --config {params.config} >{log} 2>&1"


rule compare:
    input:
        RESULTS / "index/{table}.parquet",
    output:
        RESULTS / "statistics/{table}.csv",
    log:
        f"logs/{study.config.scale}/compare_{{table}}.log",
    conda:
        "../../environment.yml"
    params:
        config=CONFIG,
        statistics=study.config.statistics.model_dump(),
    message:
        "Testing AutoLoss against every other method of {wildcards.table}"
    shell:
        "autoloss compare {wildcards.table} --config {params.config} >{log} 2>&1"
