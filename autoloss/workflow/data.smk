"""Raw files and prepared arrays.

Terms that must be accepted first are accepted by the environment, which jobs inherit:
AUTOLOSS_ACCEPT_LICENCE=criteo,avazu-x4. A download that failed goes on where it stopped.
"""


rule fetch:
    output:
        "data/raw/{source}/manifest.json",
    log:
        "logs/fetch/{source}.log",
    retries: 2
    conda:
        "../../environment.yml"
    params:
        key=source_key,
    message:
        "Fetching {wildcards.source}; its terms of use are in {log}"
    shell:
        "autoloss fetch {wildcards.source} >>{log} 2>&1"


rule prepare:
    input:
        raw_files,
        description,
    output:
        [
            study.prepared_folder("{dataset}", split) / "manifest.json"
            for split in study.prepared_splits
        ],
    log:
        "logs/prepare/{dataset}.log",
    conda:
        "../../environment.yml"
    params:
        key=preparation_key,
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "autoloss prepare {wildcards.dataset} --key {params.key} >{log} 2>&1"
