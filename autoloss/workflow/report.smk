"""Tables (CSV, Markdown, LaTeX) and the report; the tables' targets carry the paper's names."""

FORMATS = ("csv", "md", "tex")


rule make_table_1:
    input:
        manifests_of_study,
        "configs/published.yaml",
    output:
        multiext(str(RESULTS / "tables/table_1"), ".csv", ".md", ".tex"),
    log:
        f"logs/{study.name}/table_1.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Writing Table 1: statistics of the data"
    shell:
        "autoloss table table_1 --key {params.key} >{log} 2>&1"


rule make_table:
    input:
        RESULTS / "index/{table}.parquet",
        RESULTS / "statistics/{table}.csv",
        "configs/published.yaml",
    output:
        multiext(str(RESULTS / "tables/{table}"), ".csv", ".md", ".tex"),
    log:
        f"logs/{study.name}/{{table}}.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Writing {wildcards.table}"
    shell:
        "autoloss table {wildcards.table} --key {params.key} >{log} 2>&1"


rule table_1:
    input:
        rules.make_table_1.output,


rule table_2:
    input:
        expand(RESULTS / "tables/table_2.{format}", format=FORMATS),
        no_crash("table_2"),


rule table_3:
    input:
        expand(RESULTS / "tables/table_3.{format}", format=FORMATS),
        no_crash("table_3"),


# The methods beyond the paper, on the data of Table 3: not part of `all`.
rule controls:
    input:
        expand(RESULTS / "tables/controls.{format}", format=FORMATS),
        no_crash("controls"),


# Every method on everything: not part of `all`.
rule table_2_full:
    input:
        expand(RESULTS / "tables/table_2_full.{format}", format=FORMATS),
        no_crash("table_2_full"),


# It also shows the controls and `table_2_full`, if they have been made.
rule make_report:
    input:
        expand(RESULTS / "tables/{table}.csv", table=["table_1", "table_2", "table_3"]),
        expand(RESULTS / "statistics/{group}.csv", group=study.reported_groups()),
        expand(RESULTS / "budget/{group}.csv", group=study.reported_groups()),
        expand(study.figures_folder / "{figure}.pdf", figure=study.figures()),
        "configs/published.yaml",
    output:
        RESULTS / "report.html",
    log:
        f"logs/{study.name}/report.log",
    conda:
        "../../environment.yml"
    params:
        key=study.report_key,
    message:
        "Writing {output}"
    shell:
        "autoloss report --key {params.key} >{log} 2>&1"


rule report:
    input:
        rules.make_report.output,
        no_crash(*study.reported_groups()),
