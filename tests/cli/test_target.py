"""The command that a message names makes the very study that it is about."""

from __future__ import annotations

import pytest

from autoloss.config import load_config, overlay, read_overrides
from autoloss.study.study import Study
from autoloss.target import OWN_FILE, autoloss, snakemake
from tests.studied import working_in
from tests.tiny import ROOT


def study(scale="laptop", protocol="published", **keys):
    files = [ROOT / f"configs/scale/{scale}.yaml", ROOT / f"configs/protocol/{protocol}.yaml"]
    config = load_config(read_overrides(files), ROOT)
    return Study(overlay(config, {"study": keys}, "test"), ROOT)


@pytest.mark.parametrize(
    ("chosen", "files"),
    [
        ({}, []),
        ({"scale": "smoke"}, ["configs/scale/smoke.yaml"]),
        ({"protocol": "tuned"}, ["configs/protocol/tuned.yaml"]),
        (
            {"scale": "paper", "protocol": "tuned"},
            ["configs/scale/paper.yaml", "configs/protocol/tuned.yaml"],
        ),
    ],
)
def test_a_study_of_the_projects_files_is_named_by_them(chosen, files):
    words = snakemake(study(**chosen), "gains").split()
    assert words == [
        "snakemake",
        "--cores",
        "all",
        "gains",
        *["--configfile"][: len(files)],
        *files,
    ]
    assert all((ROOT / file).exists() for file in files)


def test_a_study_with_keys_of_its_own_is_named_by_its_record(tmp_path):
    own = study(seeds=3)
    with working_in(tmp_path):
        assert snakemake(own) == f"snakemake --cores all --configfile {OWN_FILE}"
        own.config_file.parent.mkdir(parents=True)
        own.config_file.write_text(own.config.model_dump_json())
        assert snakemake(own).endswith(f" --configfile {own.config_file}")


@pytest.mark.parametrize(
    ("chosen", "file"),
    [
        ({}, ""),
        ({"scale": "smoke"}, " --config configs/scale/smoke.yaml"),
        ({"scale": "paper", "protocol": "tuned"}, f" --config {OWN_FILE}"),
        ({"seeds": 3}, f" --config {OWN_FILE}"),
    ],
)
def test_a_command_on_a_study_names_one_file_that_exists(chosen, file, tmp_path):
    with working_in(tmp_path):
        assert autoloss(study(**chosen), "check --rerun") == f"autoloss check --rerun{file}"
