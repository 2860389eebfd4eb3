"""What commands are given: seeds of the study, and no others."""

from __future__ import annotations

import pytest

from autoloss.arguments import seed_range, study_of
from autoloss.errors import ConfigError
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT


def test_seeds_of_the_study_are_a_range():
    assert seed_range(tiny_study(), "0-1") == (0, 1)
    assert seed_range(tiny_study(), "1") == (1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all", "first and last"),
        ("-1", "or one"),
        ("2", "0 to 1"),
        ("1-0", "is empty"),
        ("9-9", "the seeds 0 to 1"),
        ("0-2", "0 to 1"),
    ],
)
def test_others_are_refused_before_training(text, message):
    with pytest.raises(ConfigError, match=message):
        seed_range(tiny_study(), text)


def test_a_study_is_found_by_its_name_as_it_was_last_run(tmp_path):
    made = tiny_study(name="mine", seeds=1, seeds_per_job=1)
    with working_in(tmp_path):
        made.config_file.parent.mkdir(parents=True)
        made.config_file.write_text(made.config.model_dump_json())
        assert study_of(None, root=ROOT, name="mine").config == made.config
        with pytest.raises(ConfigError, match=r"there is no study 'mien'(.|\n)*'mine'"):
            study_of(None, root=ROOT, name="mien")
        for other, option in (
            ({"config": made.config_file}, "--config"),
            ({"config": None, "scale": "smoke"}, "--scale"),
        ):
            with pytest.raises(ConfigError, match=f"--study: is given beside {option}"):
                study_of(**other, root=ROOT, name="mine")


def test_before_any_study_was_run_no_name_is_known(tmp_path):
    with working_in(tmp_path), pytest.raises(ConfigError, match="none has been run"):
        study_of(None, root=ROOT, name="mine")
