"""Training: one job per cell and shard of seeds. A cell is trained again when its key changes."""

METHODS = [*study.methods, *study.variants]
LEARNED = [
    name
    for name in METHODS
    if study.entry(name).info.learns_on != "nothing"
    and not study.entry(name).info.searches
]
FIXED = [name for name in METHODS if name not in LEARNED]

# What a job asks a scheduler for. On one machine autoloss/leases.py hands the GPUs out.
GPUS = 0 if study.config.training.device == "cpu" else 1


# Searches first of all: a cell's seeds wait for its search.
rule search:
    input:
        split_of_search,
        controller_of_search,
    output:
        RESULTS / "runs/{dataset}/{model}/{method}/search.json",
    log:
        f"logs/{study.name}/search/{{dataset}}/{{model}}/{{method}}.log",
    benchmark:
        f"logs/{study.name}/search/{{dataset}}/{{model}}/{{method}}.jsonl"
    priority: 2
    conda:
        "../../environment.yml"
    threads: study.config.training.threads
    resources:
        gpu=GPUS,
    params:
        key=search_key,
    message:
        "Searching for {wildcards.method} on {wildcards.dataset} with {wildcards.model}"
    shell:
        "autoloss search {wildcards.dataset} {wildcards.model} {wildcards.method}"
        " --key {params.key} >>{log} 2>&1"


rule train:
    input:
        splits_of_runs,
        search_of,
        controllers_of,
    output:
        RESULTS / "runs/{dataset}/{model}/{method}/seeds_{first}-{last}.json",
    log:
        f"logs/{study.name}/train/{{dataset}}/{{model}}/{{method}}_{{first}}-{{last}}.log",
    benchmark:
        f"logs/{study.name}/train/{{dataset}}/{{model}}/{{method}}_{{first}}-{{last}}.jsonl"
    wildcard_constraints:
        method=either(FIXED),
    conda:
        "../../environment.yml"
    threads: study.config.training.threads
    resources:
        gpu=GPUS,
    params:
        key=run_key,
        splits=splits_of_seeds,
    message:
        "Training {wildcards.method} on {wildcards.dataset} with {wildcards.model}, "
        "seeds {wildcards.first} to {wildcards.last}"
    shell:
        "autoloss train {wildcards.dataset} {wildcards.model} {wildcards.method}"
        " --seeds {wildcards.first}-{wildcards.last} --key {params.key} >>{log} 2>&1"


# The long jobs first: one that is left for the end keeps a core waiting.
use rule train as train_learned with:
    wildcard_constraints:
        method=either(LEARNED),
    priority: 1
