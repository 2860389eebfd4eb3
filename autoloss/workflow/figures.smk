"""Figures, each as PDF and PNG, with its numbers (CSV) and its runs (JSON)."""

PICTURES = study.figures_folder


rule make_figure:
    input:
        groups_of_figure,
    output:
        multiext(str(PICTURES / "{figure}"), ".pdf", ".csv", ".json"),
        report(PICTURES / "{figure}.png", category="Figures"),  # for snakemake --report
    log:
        f"logs/{study.name}/figures/{{figure}}.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Drawing {wildcards.figure}"
    shell:
        "autoloss figure {wildcards.figure} --key {params.key} >{log} 2>&1"


# Each figure is a target; `sensitivity` (sensitivity.smk) also makes its table.
for figure in FIGURES:
    if figure != "sensitivity":

        rule:
            name:
                figure
            input:
                PICTURES / f"{figure}.pdf",
                no_crash(*FIGURES[figure]),
            localrule: True


# All of them, from the records that there are: seconds, once the runs are done.
rule figures:
    input:
        expand(PICTURES / "{figure}.pdf", figure=study.figures()),
        no_crash(*(group for name in study.figures() for group in FIGURES[name])),
