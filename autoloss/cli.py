"""The command line: `autoloss COMMAND`. Each rule of the workflow is one of these commands.

Heavy imports are inside the commands, so that `--help` and the light ones are quick.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from autoloss.arguments import (
    Named,
    cell_of,
    require_key,
    require_plan,
    seed_range,
    sound_data,
    study_of,
    study_of_plan,
)
from autoloss.data.specs import load_source
from autoloss.errors import ConfigError, DataError, UserError
from autoloss.faults import machine_faults
from autoloss.leases import leased_gpu
from autoloss.plan.command import plan
from autoloss.process import importing, stoppable
from autoloss.project import project_root, require_project
from autoloss.status.command import status
from autoloss.study import identity
from autoloss.study.kept import require_kept

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Raw data that is already on this machine.")
app.add_typer(data_app, name="data")
app.command()(plan)
app.command()(status)
Configured = Annotated[
    Path | None,
    typer.Option(
        "--config", help="A file as for snakemake --configfile, or a config.json it left."
    ),
]
Methods = Annotated[
    str | None,
    typer.Option("--methods", help="Show these alone, in this order: ce,autoloss."),
]
Labels = Annotated[
    str | None, typer.Option("--labels", help="Call methods otherwise: autoloss=Ours,ce=CE loss.")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", help="The file to write; in the study's folder `restyled` if left out."
    ),
]
Key = Annotated[str | None, typer.Option(hidden=True, help="What snakemake planned the job with.")]


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A source in configs/sources/.")],
    force: Annotated[bool, typer.Option(help="Fetch again even if the files are intact.")] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read its terms and accept them.")
    ] = False,
) -> None:
    """Download and verify the raw files of a source into data/raw/."""
    from autoloss.data.fetch.source import fetch as fetch_source

    folder = Path("data/raw") / source
    fetch_source(load_source(source, Path()), folder, force=force, accept=accept_licence)


@data_app.command(name="import")
def import_data(
    source: Annotated[str, typer.Argument(help="A source in configs/sources/.")],
    files: Annotated[list[Path], typer.Argument(help="Its archive, or all of its files.")],
) -> None:
    """Verify files that you already have and put them into data/raw/, without a network."""
    from autoloss.data.fetch.importing import import_files
    from autoloss.data.progress import to_stderr

    folder = Path("data/raw") / source
    typer.echo(import_files(load_source(source, Path()), files, folder, say=to_stderr))


@data_app.command()
def synth(
    dataset: Annotated[str, typer.Argument(help="criteo, criteo-region, ml-20m or avazu.")],
    rows: Annotated[int, typer.Option(help="How many rows.")],
    out: Annotated[Path, typer.Option(help="The raw folder to write.")],
    seed: Annotated[int, typer.Option(help="Other seeds give other data.")] = 0,
) -> None:
    """Write generated raw data in a data set's own format, with a planted signal."""
    from autoloss.synth.write import generate

    manifest = generate(dataset, rows, seed, out)
    typer.echo(f"{out}: {rows:,} rows of {dataset}, {manifest.files[0].bytes:,} bytes")


@app.command()
def prepare(dataset: str, config: Configured = None, key: Key = None) -> None:
    """Encode a data set into data/prepared/, each of the study's splits into a folder."""
    from autoloss.data.header import located
    from autoloss.data.load.prepared import PreparedData
    from autoloss.data.prepare.dataset import prepare as prepare_dataset
    from autoloss.data.prepare.derived import derive
    from autoloss.data.prepare.unseen import unseen

    study = study_of(config, dataset=dataset)
    spec = study.dataset(dataset)
    now = identity.preparation_key(study, dataset)
    require_plan(key, now)
    folders = {split: study.prepared_folder(dataset, split) for split in study.prepared_splits}
    options: dict[str, Any] = {"max_rows": study.config.study.max_rows, "key": now}
    try:
        if spec.derived:
            bases = {split: study.prepared_folder(spec.derived.base, split) for split in folders}
            manifests = derive(spec, bases, folders, **options)
        else:
            raw = study.raw_folder(spec.source)
            manifests = prepare_dataset(spec, raw, folders, **options)
    except DataError as error:
        raise located(error, spec) from error
    for split, manifest in manifests.items():
        if study.config.training.validation == "halves":  # each has every class
            PreparedData.open(folders[split]).validation(halves=True)
        hashed = manifest.data_hash[:16]
        typer.echo(f"{dataset} split {split}: {manifest.splits}, data hash {hashed}")
    if spec.split.by != "random" and (line := unseen(next(iter(folders.values())))):
        typer.echo(f"{dataset}: {line}")


@app.command()
def train(
    dataset: str,
    model: str,
    method: str,
    seeds: Annotated[
        str | None,
        typer.Option(help="First and last, as in 0-11, or one; the study's first if left out."),
    ] = None,
    config: Configured = None,
    key: Key = None,
) -> None:
    """Train the runs of a cell that are not there yet, and write their records."""
    study = study_of(config)
    first, last = seed_range(study, seeds) if seeds else (study.seeds[0],) * 2
    cell = cell_of(study, dataset, model, method)
    require_key(study, key, identity.run_key(study, cell))
    with leased_gpu(study.config.training, typer.echo):
        with importing():
            from autoloss.training.display import reporting
            from autoloss.training.runner import Runner

            data = sound_data(study, cell, range(first, last + 1))
        with reporting() as report:
            runner = Runner(study, report, report.beat)
            typer.echo(stoppable(lambda: runner.train_shard(cell, first, last, data)))


@app.command()
def search(
    dataset: str, model: str, method: str, config: Configured = None, key: Key = None
) -> None:
    """Find a cell's weights, or in the tuned protocol its hyper-parameters, on validation."""
    study = study_of(config)
    cell = cell_of(study, dataset, model, method)
    if not study.searches(cell):
        mend = "train it: in this protocol only methods that search have a search"
        raise ConfigError("method", f"'{method}' has nothing to search", mend)
    require_key(study, key, identity.search_key(study, cell))
    with leased_gpu(study.config.training, typer.echo):
        with importing():
            from autoloss.search.run import search as search_cell
            from autoloss.training.display import reporting

            (data,) = sound_data(study, cell, [None]).values()
        with reporting() as report:
            typer.echo(stoppable(lambda: search_cell(study, cell, report, report.beat, data)))


@app.command()
def analyse(group: str, config: Configured = None, key: Key = None) -> None:
    """Index the runs of a table or figure, and compare them; fail if one had more than it may."""
    from autoloss.report.analysis import analyse as analyse_group

    for file in analyse_group(study_of_plan(config, key), group):
        typer.echo(file)


@app.command()
def check(
    config: Configured = None,
    named: Named = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Remove what is wrong: snakemake makes it anew.")
    ] = False,
) -> None:
    """Check every record of a study: there, unchanged, of this code, data and configuration."""
    from autoloss.report.check import check_study

    study = study_of(config, name=named)
    report = check_study(study)
    typer.echo("\n".join(report.lines))
    if rerun:
        require_kept(study)
        typer.echo(f"Removed {len(report.remove())} files: snakemake makes anew what they were of.")
    raise typer.Exit(0 if report.sound else 1)


@app.command()
def merge(
    folder: Annotated[Path, typer.Argument(help="Another machine's results/<name>.")],
    config: Configured = None,
) -> None:
    """Take over the runs of another results tree of the same study, each checked first."""
    from autoloss.records.merge import Merge

    study = study_of(config)
    require_kept(study)
    merged = Merge(study, folder).run()
    typer.echo("\n".join(merged.report()))
    raise typer.Exit(1 if merged.refused else 0)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A study's name, or a folder of results.")],
    second: Annotated[str, typer.Argument(help="Another: gains are of this one over the first.")],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the comparisons to this file too.")
    ] = None,
) -> None:
    """Set two studies side by side: what differs between them, and what that changes, in pairs."""
    from rich.console import Console

    from autoloss.plan.page import table as shown
    from autoloss.records.store import write_text
    from autoloss.report import side_by_side as sides

    both = sides.side_by_side(sides.read_made(first), sides.read_made(second))
    if csv is not None:
        write_text(both.comparisons.to_csv(index=False), csv)
    console = Console(soft_wrap=True, highlight=False)
    console.width = max(console.width, sides.WIDTH)
    if as_json:
        console.print_json(data=sides.as_json(both))
        return
    for line in sides.lines_of(both):
        console.print(line, markup=False)
    rows = sides.table_rows(both)
    console.print("", *([shown(rows), ""] if rows else []), sep="\n")
    console.print(sides.note_of(both), markup=False)


@app.command()
def table(
    name: str,
    config: Configured = None,
    named: Named = None,
    key: Key = None,
    methods: Methods = None,
    labels: Labels = None,
    kind: Annotated[str | None, typer.Option("--format", help="tex, md or csv.")] = None,
    output: Output = None,
) -> None:
    """Write a table as CSV, Markdown and LaTeX, from records only.

    With any of the options that restyle it, it is one file for a paper of your own.
    """
    study = study_of_plan(config, key, named)
    options: dict[str, Any] = {"methods": methods, "labels": labels, "kind": kind, "output": output}
    if any(value is not None for value in options.values()):
        from autoloss.report.restyled import restyled_table

        _echo(restyled_table(study, name, **options))
    else:
        from autoloss.report.tables import write_table

        _echo(write_table(study, name))


@app.command()
def figure(
    name: str,
    config: Configured = None,
    named: Named = None,
    key: Key = None,
    methods: Methods = None,
    labels: Labels = None,
    style: Annotated[
        Path | None, typer.Option("--style", help="A YAML file: font, sizes, palette, markers.")
    ] = None,
    width: Annotated[
        str | None, typer.Option("--width", help="With its unit: 85mm, 8.5cm, 3.33in, 240pt.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--format", help="pdf, png or svg.")] = None,
    output: Output = None,
) -> None:
    """Draw a figure as PDF and PNG, with its numbers as CSV and its runs as JSON.

    With any of the options that restyle it, it is one picture for a paper of your own.
    """
    study = study_of_plan(config, key, named)
    options: dict[str, Any] = {"methods": methods, "labels": labels, "kind": kind, "output": output}
    options |= {"style": style, "width": width}
    if any(value is not None for value in options.values()):
        from autoloss.report.restyled import restyled_figure

        _echo(restyled_figure(study, name, **options))
    else:
        from autoloss.report.figures import write_figure

        _echo(write_figure(study, name))


def _echo(lines: Iterable[object]) -> None:
    for line in lines:
        typer.echo(line)


@app.command()
def verify(config: Configured = None) -> None:
    """Compare the runs that there are with the committed reference; fails if a number is off."""
    from autoloss.report.verify import verify as verify_study

    outcome = verify_study(study_of(config))
    how = "runs to the bit" if outcome.exact else "numbers in their means"
    typer.echo(f"Compared {outcome.compared} {how}: {outcome.why}.")
    if outcome.missing:
        typer.echo(f"{outcome.missing} runs of the reference have not been made here.")
    for cell in outcome.chose_otherwise:
        typer.echo(f"{cell}: its search chose otherwise than the reference's, so not compared.")
    typer.echo("\n".join(outcome.off) or "None is off.")
    raise typer.Exit(1 if outcome.off else 0)


@app.command()
def reference(
    config: Configured = None,
    pages: Annotated[
        bool, typer.Option("--pages", help="Only write the pages that show it anew.")
    ] = False,
) -> None:
    """Make what there is the committed reference, shown in the README and docs/results.md."""
    from autoloss.report.reference import write_pages, write_reference

    for file in (write_pages if pages else write_reference)(study_of(config)):
        typer.echo(file)


@app.command()
def claims(config: Configured = None, key: Key = None) -> None:
    """Judge the paper's claims (configs/claims.yaml) by the runs that there are."""
    from autoloss.claims.files import write_verdicts

    for file in write_verdicts(study_of_plan(config, key)):
        typer.echo(file)


@app.command()
def report(config: Configured = None, key: Key = None) -> None:
    """Write results/<name>/report.html, the whole study on one page that needs no network."""
    from autoloss.report.page.page import write_report

    typer.echo(write_report(study_of_plan(config, key)))


@app.command()
def summary(config: Configured = None) -> None:
    """Print the path of every product, and Table 2."""
    from autoloss.report.analysis import made, read_index

    study = study_of(config)
    table = made(study, study.results / "tables" / "table_2.md", "table_2")
    read_index(study, "table_2")  # of this configuration
    products = sorted(p for p in study.results.glob("*/*") if p.parent.name != "runs")
    typer.echo("Products:\n" + "\n".join(f"  {path}" for path in products))
    typer.echo("\n" + table.read_text(encoding="utf-8"))


@app.command()
def methods(
    name: Annotated[
        str | None, typer.Argument(help="Show this one's options, as the study has them.")
    ] = None,
    config: Configured = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print docs/methods.md, from the metadata.")
    ] = False,
) -> None:
    """List the methods that there are, and where; or one's options before anything is trained."""
    if markdown:
        from autoloss.report.methods import methods_page

        typer.echo(methods_page(), nl=False)
    elif name is not None:
        from autoloss.study.command import show_options

        show_options(name, config)
    else:
        from autoloss.methods.discover import discover

        for key, entry in discover().items():
            file = entry.file.relative_to(project_root())
            typer.echo(f"{key:18} {entry.info.label:22} {file}: {entry.info.summary}")


@app.command()
def fidelity() -> None:
    """Print docs/fidelity.md: what the sources say and what is done here, from the metadata."""
    from autoloss.report.fidelity import fidelity_page

    typer.echo(fidelity_page(project_root()), nl=False)


@app.command()
def when_it_pays() -> None:
    """Print docs/when-it-pays.md: where loss search pays, from the design and the committed run."""
    from autoloss.report.when_it_pays import when_it_pays_page

    typer.echo(when_it_pays_page(project_root()), nl=False)


@app.command()
def artifact() -> None:
    """Print docs/artifact.md: steps, hardware, and claims with the commands that test them."""
    from autoloss.report.artifact import artifact_page

    typer.echo(artifact_page(project_root()), nl=False)


@app.command()
def new_baseline(name: str) -> None:
    """Write baselines/NAME.py, a working method to change, from the template."""
    from autoloss.methods.new import write_baseline

    file = write_baseline(name).relative_to(project_root())
    typer.echo(
        f"{file}\nIt is a working method: `autoloss test {name}` tests it, `snakemake --cores all "
        "table_2` trains\nit and gives it a row in Table 2. Now make it yours."
    )


@app.command()
def new_dataset(
    data: Annotated[Path, typer.Argument(help="CSV or Parquet, or the .inter of atomic files.")],
    label: Annotated[str, typer.Option(help="Its column; without a header its number.")],
    name: Annotated[str | None, typer.Option(help="Of the data set; else the file's.")] = None,
) -> None:
    """Write configs/datasets/NAME.yaml from a look at a file; the file stays where it is."""
    from autoloss.data.new import write_dataset

    file, seen = write_dataset(data, label, name, Path())
    study = f'{{"name": "{file.stem}", "datasets": ["{file.stem}"]}}'
    typer.echo(
        f"{file}: {seen}\nRead its guesses through. `autoloss prepare {file.stem}` then reads all "
        f"rows, and this trains on them:\n  snakemake --cores all table_2 --config 'study={study}'"
        '\nA split by a date or a column is one split: add "splits": 1 to it.'
    )


@app.command()
def test(name: Annotated[str, typer.Argument(help="A method, by the name of its file.")]) -> None:
    """Test a method: the contract's tests of it alone, then lint and types of its file."""
    from autoloss.methods.trial import test_method

    raise typer.Exit(0 if test_method(name, typer.echo) else 1)


@app.command()
def new_loss(name: str) -> None:
    """Write autoloss/losses/NAME.py, a working candidate loss to change, from the template."""
    from autoloss.config import LossOptions
    from autoloss.new import write_entry

    file = write_entry("losses", name).relative_to(project_root())
    candidates = ", ".join([*LossOptions().candidates, name])
    _say_new(file, "loss", f"study={{name: {name}}}", f"losses={{candidates: [{candidates}]}}")


@app.command()
def new_model(name: str) -> None:
    """Write autoloss/models/NAME.py, a working model to change, from the template."""
    from autoloss.new import write_entry

    file = write_entry("models", name).relative_to(project_root())
    _say_new(file, "model", f"study={{name: {name}, models: [{name}]}}")


def _say_new(file: Path, kind: str, *keys: str) -> None:
    """What to do with a new file; `keys` make a study of it."""
    study = " ".join(f"'{key}'" for key in keys)
    typer.echo(
        f"{file}\nIt is a working {kind}. `pytest tests/contract -k {file.stem}` tests it, "
        f"this trains every method with it:\nsnakemake --cores all table_2 --config {study}\n"
        "Now make it yours."
    )


def main() -> None:
    """Run a command; an error that the user can mend is one message and exit status 2."""
    # Read when numpy and scipy are imported, which commands do. The last bits of a BLAS product
    # depend on its threads; under Snakemake a job has one.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may have no ξ, ↑ or é
            stream.reconfigure(errors="replace")
    try:
        if len(sys.argv) > 1 and "--help" not in sys.argv:
            require_project(project_root())
        with machine_faults("autoloss"):
            app()
    except UserError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)
