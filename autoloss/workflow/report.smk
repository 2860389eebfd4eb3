"""Tables (CSV, Markdown, LaTeX), figures (PDF, PNG, numbers as CSV, runs as JSON) and the report.

Every file of autoloss/report/tables and autoloss/report/figures is a target of its name.
"""


use rule analyse as make_table with:
    input:
        inputs_of_table,
    output:
        multiext(str(RESULTS / "tables/{table}"), ".csv", ".md", ".tex"),
    log:
        f"logs/{study.name}/{{table}}.log",
    params:
        command="table {table}",
        key=REPORT_KEY,
    message:
        "Writing {wildcards.table}"


use rule analyse as make_figure with:
    input:
        inputs_of_figure,
    output:
        multiext(str(PICTURES / "{figure}"), ".pdf", ".csv", ".json"),
        report(PICTURES / "{figure}.png", category="Figures"),  # for snakemake --report
    log:
        f"logs/{study.name}/figures/{{figure}}.log",
    params:
        command="figure {figure}",
        key=REPORT_KEY,
    message:
        "Drawing {wildcards.figure}"


for name, product in {**tables(), **figures()}.items():

    rule:
        name:
            name
        input:
            files_of(name),
            no_crash(*product.groups),
        localrule: True


# All of them, from the records that there are: seconds, once the runs are done.
rule figures:
    input:
        expand(PICTURES / "{figure}.pdf", figure=study.figures()),
        no_crash(
            *(group for name in study.figures() for group in figures()[name].groups)
        ),


# It also shows the tables that are not of `all`, if they have been made.
use rule analyse as make_report with:
    input:
        expand(RESULTS / "tables/{table}.csv", table=TABLES_OF_ALL),
        expand(RESULTS / "statistics/{group}.csv", group=study.reported_groups()),
        expand(RESULTS / "budget/{group}.csv", group=study.reported_groups()),
        expand(PICTURES / "{figure}.pdf", figure=study.figures()),
        "configs/claims.yaml",
        "configs/published.yaml",
    output:
        RESULTS / "report.html",
    log:
        f"logs/{study.name}/report.log",
    params:
        command="report",
        key=REPORT_KEY,
    message:
        "Writing {output}"


rule report:
    input:
        rules.make_report.output,
        no_crash(*study.reported_groups()),
