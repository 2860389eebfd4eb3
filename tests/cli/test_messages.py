"""Commands on a project where nothing or half is made: one message, with a mend that exists."""

from __future__ import annotations

import errno
import pickle
import re
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autoloss import cli
from autoloss.cli import app
from autoloss.data.folders import atomic_folder
from autoloss.errors import DataError, UserError
from autoloss.report.catalogue import figures, tables
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT

PARTS = {
    "nothing": [],
    "data": ["data"],
    "records": ["results/*/runs"],
    "tables": ["results/*/tables"],
}
CELLS = ["nope deepfm ce", "ml100k nope ce", "ml100k deepfm nope"]
COMMANDS = [
    *("prepare ml100k-ctr", "prepare nope", "status", "plan", "check", "merge results/other"),
    *(f"train {cell}" for cell in [*CELLS, "adult deepfm autoloss_frozen"]),
    *(f"search {cell}" for cell in [*CELLS, "ml100k deepfm ce"]),
    *("analyse table_2", "analyse nope"),
    *(f"table {name}" for name in [*tables(), "nope"]),
    *(f"figure {name}" for name in [*figures(), "nope"] if name not in ("figure_1", "figure_2")),
    *("verify", "reference", "claims", "report", "summary"),
]
RULES = {
    rule
    for file in [ROOT / "Snakefile", *(ROOT / "autoloss" / "workflow").glob("*.smk")]
    for rule in re.findall(r"^rule (\w+):", file.read_text(), re.MULTILINE)
}


@pytest.fixture(params=PARTS)
def project(request, studied, tmp_path):
    """A project with a part of what a study makes."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for part in PARTS[request.param]:
        for folder in studied.glob(part):
            shutil.copytree(folder, tmp_path / folder.relative_to(studied))
    (tmp_path / "mine.json").write_text(tiny_study().config.model_dump_json())
    reference = tmp_path / "results" / "reference" / "smoke"
    shutil.copytree(ROOT / "results" / "reference" / "laptop", reference)
    with working_in(tmp_path):
        yield tmp_path


def check_exists(command: str) -> None:
    """A command that a message names is one of ours, its target one of the workflow."""
    program, *words = command.split()
    if program == "autoloss":
        assert words[0].replace("-", "_") in {c.callback.__name__ for c in app.registered_commands}
    if program == "snakemake":
        assert words[:2] == ["--cores", "all"]
        assert all(
            Path(w).suffix or w in RULES | {*figures(), *tables()}
            for w in words[2:3]
            if w[0] != "-"
        )


def test_no_command_ends_with_a_traceback_and_every_mend_exists(project):
    for command in COMMANDS:
        done = CliRunner().invoke(app, [*command.split(), "--config", "mine.json"])
        assert done.exception is None or isinstance(done.exception, (UserError, SystemExit)), (
            command
        )
        if isinstance(done.exception, UserError):
            for named in re.findall(r"`([^`]+)`", done.exception.mend):
                check_exists(named)


def test_the_committed_reference_stays_where_there_is_nothing_to_replace_it_by(project):
    done = CliRunner().invoke(app, ["reference", "--config", "mine.json"])
    assert isinstance(done.exception, UserError)
    assert "run `snakemake --cores all --configfile" in done.exception.mend
    assert (project / "results" / "reference" / "smoke" / "runs.csv").exists()


@pytest.mark.parametrize(
    "fault",
    [
        PermissionError(errno.EACCES, "Permission denied", "results/x"),
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError(),
    ],
)
def test_a_fault_of_the_machine_is_one_message_in_every_command(fault, monkeypatch, capsys):
    def fails(*_: object) -> None:
        raise fault

    monkeypatch.setattr(sys, "argv", ["autoloss", "artifact"])
    monkeypatch.setattr("autoloss.report.artifact.artifact_page", fails)
    with working_in(ROOT), pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("MachineError: ")
    assert said.count("To mend it:") == 1


def test_a_folder_that_is_a_link_in_a_circle_is_named(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(DataError, match="link in a circle"), atomic_folder(one):
        pass


def test_an_unprepared_data_set_is_named_by_its_own_name(tmp_path):
    from autoloss.data.load.prepared import PreparedData

    with pytest.raises(DataError, match="`autoloss prepare ml100k-ctr`"):
        PreparedData.open(tmp_path / "ml100k-ctr.3000" / "split_0")


@pytest.mark.parametrize("kind", [UserError, *UserError.__subclasses__()])
def test_an_error_of_another_process_says_the_same(kind):
    """One that cannot be sent would leave a pool of processes waiting for ever."""
    error = kind("lr", "is 0", "give more")
    sent = pickle.loads(pickle.dumps(error))
    assert (type(sent), str(sent), sent.mend) == (kind, str(error), "give more")
