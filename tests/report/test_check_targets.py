"""What `autoloss check` says of what is missing, and of runs of another configuration."""

from __future__ import annotations

import re

from autoloss.arguments import recorded_as
from autoloss.config import load_config, read_overrides
from autoloss.records.check import Finding
from autoloss.report.check import _by_target, _mends
from autoloss.study.kept import require_kept
from autoloss.study.study import Study
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT


def test_what_is_missing_is_told_by_the_targets_that_ask_for_it(tmp_path):
    """As after `snakemake table_2` alone, of whose cells the controls have some."""
    study = tiny_study()
    missing = [c for c in study.cells("controls") if c not in study.cells("table_2")]
    findings = [Finding("missing", str(c), "no record", (), s) for c in missing for s in (0, 1)]
    assert missing
    with working_in(tmp_path):
        said = " ".join(_by_target(study, findings))
    assert f"controls ({2 * len(missing)})" in said
    assert "table_2" in re.search(r"Whole: ([^.]*)", said)[1].split(", ")
    assert "table_2_full" not in said  # which nobody has begun
    assert "no loss where you have not asked" in said


def test_where_a_name_holds_another_configuration_the_commands_named_are_not_refused(tmp_path):
    there = Study.load({"scale": "smoke"}, ROOT)
    here = Study.load({"scale": "smoke", "training": {"lr": 0.01}}, ROOT)
    with working_in(tmp_path):
        folder = there.results / "runs" / "ml100k-ctr" / "deepfm" / "ce"
        folder.mkdir(parents=True)
        (folder / "seed_0.json").touch()
        there.config_file.write_text(there.config.model_dump_json())
        said = " ".join(_mends(here))
        assert "YOUR_CONFIGURATION" not in said
        assert "check --rerun" not in said
        assert "training.lr is 0.001 there, here 0.01" in said
        name = re.search(r"`autoloss check --study (\S+)`", said)[1]
        config = load_config(read_overrides([recorded_as(name)]), ROOT)
        require_kept(Study(config, ROOT))
        assert "check --rerun" in " ".join(_mends(there))
