"""Raw files and prepared arrays."""


rule fetch:
    output:
        "data/raw/{source}/manifest.json",
    log:
        "logs/fetch/{source}.log",
    retries: 2
    message:
        "Fetching {wildcards.source}; its terms of use are in {log}"
    shell:
        "{AUTOLOSS} fetch {wildcards.source} >>{log} 2>&1"


rule prepare:
    input:
        raw_manifest,
        "configs/datasets/{dataset}.yaml",
    output:
        study.prepared_folder("{dataset}") / "manifest.json",
    log:
        "logs/prepare/{dataset}.log",
    params:
        key=preparation_key,
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "{AUTOLOSS} prepare {wildcards.dataset} --config {CONFIG} >{log} 2>&1"
