"""The sensitivity study: every open choice of the paper read otherwise, one at a time."""


rule make_sensitivity:
    input:
        RESULTS / "index/sensitivity.parquet",
        RESULTS / "budget/sensitivity.csv",
        "configs/published.yaml",
        "configs/sensitivity.yaml",
    output:
        multiext(str(RESULTS / "tables/sensitivity"), ".csv", ".md", ".tex"),
    log:
        f"logs/{study.name}/sensitivity.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Writing the sensitivity to the paper's open choices"
    shell:
        "autoloss table sensitivity --key {params.key} >{log} 2>&1"


# Not part of `all`.
rule sensitivity:
    input:
        rules.make_sensitivity.output,
        PICTURES / "sensitivity.pdf",
        no_crash("sensitivity"),
