"""What the project's own files promise each other."""

from __future__ import annotations

import os
import re

import yaml

from autoloss.report.artifact import artifact_page
from autoloss.report.figures import render
from autoloss.report.methods import method_rows, methods_page
from autoloss.report.reference import pages
from autoloss.study.planned import plan_study
from tests.interpreter import printed_by
from tests.tiny import ROOT
from tests.workflow.project import PARTS


def test_conda_users_get_the_locks_versions():
    lock = (ROOT / "requirements.lock").read_text().split()
    parts = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [part["pip"] for part in parts if isinstance(part, dict)]
    assert pip == lock
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", line) for line in lock)


def test_the_image_has_what_the_workflow_needs():
    text = (ROOT / "Containerfile").read_text()
    copied = [path for line in re.findall(r"^COPY (.+) \S+$", text, re.M) for path in line.split()]
    assert all((ROOT / path).exists() for path in copied)
    assert set(PARTS) <= set(copied)
    profile = (ROOT / "configs/profiles/kubernetes/study.yaml").read_text()
    assert f"workingDir: {re.search(r'^WORKDIR (.+)$', text, re.M)[1]}" in profile


def test_the_pages_that_show_the_reference_are_those_of_its_files():
    for page, text in pages(plan_study([], (), ROOT), ROOT).items():
        assert (ROOT / page).read_text() == text, "write it again: autoloss reference --pages"


def test_the_page_of_results_has_every_table_and_picture_of_the_reference():
    page = (ROOT / "docs" / "results.md").read_text()
    for table in ("table_1", "table_2", "table_3"):
        assert (ROOT / f"results/reference/laptop/tables/{table}.md").read_text().strip() in page
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", page)
    assert {(ROOT / "docs" / picture).resolve() for picture in pictures} == set(
        (ROOT / "figures" / "reference" / "laptop").glob("*.png")
    )
    assert pictures


def test_the_csv_of_a_reference_figure_still_draws_its_picture():
    """Whoever changes how a figure is drawn draws the reference's anew."""
    folder = ROOT / "figures" / "reference" / "laptop"
    for name in ("figure_3", "gains"):
        drawn = render(name, (folder / f"{name}.csv").read_text())
        assert drawn["pdf"] == (folder / f"{name}.pdf").read_bytes()


def test_every_open_choice_names_a_key_that_exists():
    keys = re.findall(r"`methods\.autoloss\.(\w+)`", (ROOT / "docs" / "deviations.md").read_text())
    source = (ROOT / "autoloss" / "methods" / "autoloss.py").read_text()
    assert keys
    assert all(f'"{key}":' in source for key in keys)


def test_the_page_of_methods_is_that_of_the_metadata():
    """A method of the reader's own need not be on it; what is on it must be true."""
    page = (ROOT / "docs" / "methods.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) >= 22
    assert set(rows) <= set(method_rows()), "write it again: autoloss methods --markdown"
    assert page.startswith(methods_page().partition("| method")[0])


def test_the_page_for_reviewers_is_that_of_the_claims_and_the_committed_run():
    page = (ROOT / "docs" / "artifact.md").read_text()
    assert page == artifact_page(ROOT), "write it again: autoloss artifact"


def test_a_command_by_hand_has_one_blas_thread_as_under_snakemake():
    code = (
        "import sys; from autoloss import cli; sys.argv = ['autoloss', 'methods']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "import numpy, scipy.linalg; from threadpoolctl import threadpool_info\n"
        "print(*(p['num_threads'] for p in threadpool_info() if p['user_api'] == 'blas'))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    printed = printed_by(code, {**environment, "OMP_NUM_THREADS": "2"})
    assert set(printed.splitlines()[-1].split()) == {"1"}


def test_denormal_numbers_are_zero_in_every_thread_of_a_training_process():
    code = (
        "import torch; from types import SimpleNamespace\n"
        "from autoloss.training.device import make_deterministic\n"
        "make_deterministic(SimpleNamespace(threads=4))\n"
        "print((torch.full((1 << 22,), 1e-30) * 1e-10).count_nonzero().item())"
    )
    assert printed_by(code, dict(os.environ)).split() == ["0"]
