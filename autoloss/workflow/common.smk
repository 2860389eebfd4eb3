"""What the rules ask the study: one small function each, so that rules stay declarations."""

from autoloss.claims.schema import require_claims
from autoloss.study.cell import Cell
from autoloss.study.groups import UNTESTED

PICTURES = study.figures_folder
TESTED = [group for group in GROUPS if group not in UNTESTED]
TABLES_OF_ALL = [name for name, table in tables().items() if table.in_all]


def cell_of(wildcards):
    return Cell(wildcards.dataset, wildcards.model, wildcards.method)


def source_key(wildcards):
    return identity.source_key(study, wildcards.source)


def raw_files(wildcards):
    """The manifest of a data set's raw folder, or its own files, where they are needed and here.

    Of one that is made of another data set's splits, these.
    """
    spec = study.dataset(wildcards.dataset)
    if spec.derived:
        return prepared_manifests([spec.derived.base], study.prepared_splits)
    if spec.local:
        return [file for file in spec.local if file.exists()]
    return study.raw_folder(spec.source) / "manifest.json"


def description(wildcards):
    """The YAML file that describes a data set; one in Python is in the key alone."""
    file = Path(f"configs/datasets/{wildcards.dataset}.yaml")
    return [file] if file.exists() else []


def split_of_search(wildcards):
    return prepared_manifests([wildcards.dataset], [study.split_of(None)])


def splits_of_runs(wildcards):
    seeds = range(int(wildcards.first), int(wildcards.last) + 1)
    return prepared_manifests([wildcards.dataset], map(study.split_of, seeds))


def prepared_manifests(datasets, splits):
    numbers = dict.fromkeys(splits)
    return [
        study.prepared_folder(name, split) / "manifest.json"
        for name in datasets
        for split in numbers
    ]


def preparation_key(wildcards):
    return identity.preparation_key(study, wildcards.dataset)


def run_key(wildcards):
    return identity.run_key(study, cell_of(wildcards))


def splits_of_seeds(wildcards):
    """A job's splits by seed: another number of them may be the same files, dealt otherwise."""
    seeds = range(int(wildcards.first), int(wildcards.last) + 1)
    return ",".join(str(study.split_of(seed)) for seed in seeds)


def search_key(wildcards):
    return identity.search_key(study, cell_of(wildcards))


def search_of(wildcards):
    """What a cell's training waits for beside its data: its search, if it has one."""
    cell = cell_of(wildcards)
    return [study.search_file(cell)] if study.searches(cell) else []


def controllers_of(wildcards):
    """The runs whose controllers a frozen method takes: those of the same seeds."""
    source = study.controller_of(cell_of(wildcards))
    seeds = int(wildcards.first), int(wildcards.last)
    return [study.shard_file(source, *seeds)] if source else []


def controller_of_search(wildcards):
    """The run whose controller the search of a frozen method takes: its source's first."""
    source = study.controller_of(cell_of(wildcards))
    return [study.shard_file(source, *study.shards()[0])] if source else []


def shards_of_group(wildcards):
    try:
        study.require(wildcards.group)
    except UserError as error:
        raise WorkflowError(str(error))
    return [
        study.shard_file(cell, first, last)
        for cell in study.cells(wildcards.group)
        for first, last in study.shards()
    ]


def manifests_of_study(wildcards):
    names = dict.fromkeys(cell.dataset for cell in study.all_cells())
    return prepared_manifests(names, study.splits)


def either(names):
    """A wildcard's pattern: one of these names."""
    return "|".join(names) or "(?!)"


def no_crash(*groups):
    """What a target asks for beside its files: that no method of these groups raised an error."""
    return [RESULTS / "no_crash" / group for group in groups]


def analysed(groups):
    """What is made of the runs of groups once their budgets have been found equal."""
    tested = [group for group in groups if group not in UNTESTED]
    return [
        *(RESULTS / f"index/{group}.parquet" for group in groups),
        *(RESULTS / f"statistics/{group}.csv" for group in tested),
    ]


def inputs_of_table(wildcards):
    """The indexes and statistics that a table is made of; the data, if it is made of no runs."""
    table = tables()[wildcards.table]
    files = analysed(table.groups) or manifests_of_study(wildcards)
    return [*files, *(f"configs/{name}" for name in ("published.yaml", *table.configs))]


def inputs_of_figure(wildcards):
    """The indexes and statistics that a figure is drawn from."""
    return analysed(figures()[wildcards.figure].groups)


def files_of(name):
    """What the target of a table or figure makes."""
    made = [PICTURES / f"{name}.pdf"] if name in figures() else []
    if name in tables():
        made += [RESULTS / f"tables/{name}.{kind}" for kind in ("csv", "md", "tex")]
    return made


def something_claimed(wildcards):
    """No file, but an error where there is no claim on the method that the study is about."""
    try:
        require_claims(study)
    except UserError as error:
        raise WorkflowError(str(error))
    return []


def tuned_verdicts(wildcards):
    """What stands beside a study's verdicts: those of its tuned study, if it has been made."""
    file = study.tuned_verdicts
    return [file] if study.config.protocol != "tuned" and file.exists() else []


def tuned_alone(wildcards):
    """No file, but an error where the target `tuned` would make another protocol's products."""
    if study.config.protocol != "tuned":
        raise WorkflowError(
            f"the target 'tuned' got a study of protocol '{study.config.protocol}'.\n"
            "  To mend it: leave `protocol` out of the configuration, or ask for its targets by name"
        )
    return []
