"""Training: one job per cell and shard of seeds. A cell is trained again when its key changes."""


rule train:
    input:
        prepared_manifest,
    output:
        RESULTS / "runs/{dataset}/{model}/{method}/seeds_{first}-{last}.json",
    log:
        f"logs/{study.config.scale}/train/{{dataset}}/{{model}}/{{method}}_{{first}}-{{last}}.log",
    benchmark:
        f"logs/{study.config.scale}/train/{{dataset}}/{{model}}/{{method}}_{{first}}-{{last}}.jsonl"
    threads: study.config.training.threads
    params:
        key=run_key,
    message:
        "Training {wildcards.method} on {wildcards.dataset} with {wildcards.model}, "
        "seeds {wildcards.first} to {wildcards.last}"
    shell:
        "{AUTOLOSS} train {wildcards.dataset} {wildcards.model} {wildcards.method}"
        " --seeds {wildcards.first}-{wildcards.last} --config {CONFIG} >>{log} 2>&1"
