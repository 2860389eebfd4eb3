"""What the rules ask the study: one small function each, so that rules stay declarations."""

from autoloss.registry import UNTESTED
from autoloss.study import Cell


def cell_of(wildcards):
    return Cell(wildcards.dataset, wildcards.model, wildcards.method)


def source_key(wildcards):
    return study.source_key(wildcards.source)


def raw_manifest(wildcards):
    source = study.dataset(wildcards.dataset).source
    return study.raw_folder(source) / "manifest.json"


def prepared_manifest(wildcards):
    return study.prepared_folder(wildcards.dataset) / "manifest.json"


def preparation_key(wildcards):
    return study.preparation_key(wildcards.dataset)


def run_key(wildcards):
    return study.run_key(cell_of(wildcards))


def search_key(wildcards):
    return study.search_key(cell_of(wildcards))


def search_of(wildcards):
    """What a cell's training waits for beside its data: its search, if it has one."""
    cell = cell_of(wildcards)
    return [study.search_file(cell)] if study.searches(cell) else []


def controllers_of(wildcards):
    """The runs whose controllers a frozen method takes: those of the same seeds."""
    source = study.controller_of(cell_of(wildcards))
    seeds = int(wildcards.first), int(wildcards.last)
    return [study.shard_file(source, *seeds)] if source else []


def shards_of_group(wildcards):
    return [
        study.shard_file(cell, first, last)
        for cell in study.cells(wildcards.group)
        for first, last in study.shards()
    ]


def manifests_of_study(wildcards):
    names = dict.fromkeys(cell.dataset for cell in study.all_cells())
    return [study.prepared_folder(name) / "manifest.json" for name in names]


def either(names):
    """A wildcard's pattern: one of these names."""
    return "|".join(names) or "(?!)"


def no_crash(*groups):
    """What a target asks for beside its files: that no method of these groups raised an error."""
    return [RESULTS / "no_crash" / group for group in groups]


def groups_of_figure(wildcards):
    """The audited indexes that a figure is drawn from."""
    files = []
    for group in FIGURES[wildcards.figure]:
        audit = "budget" if group in UNTESTED else "statistics"
        files += [f"index/{group}.parquet", f"{audit}/{group}.csv"]
    return [RESULTS / file for file in files]
