"""Methods are found by looking, and a file that breaks the contract says how to mend it."""

from __future__ import annotations

import shutil

import pytest

from autoloss.errors import ConfigError, MethodError
from autoloss.registry import discover, load, options_of
from tests.tiny import ROOT

GOOD = (ROOT / "baselines" / "ce.py").read_text()


@pytest.fixture
def project(tmp_path):
    for folder in ("autoloss", "baselines"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "autoloss" / "autoloss.py", tmp_path / "autoloss")
    return tmp_path


def test_what_is_read_from_the_text_is_what_is_imported():
    for name, entry in discover().items():
        assert load(name).info == entry.info


def test_a_new_file_is_a_new_method_and_an_underscore_hides_it(project):
    (project / "baselines" / "mine.py").write_text(GOOD.replace('name="ce"', 'name="mine"'))
    (project / "baselines" / "_helper.py").write_text("x = 1\n")
    assert set(discover(project)) == {"mine", "autoloss"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD, "name"),  # the file is mine.py
        (GOOD.replace('"ce"', '"mine"').replace("Info(", "Info(1 + 1, "), "literals"),
        (GOOD.replace('name="ce"', 'name="mi" + "ne"'), "literals"),
        (GOOD.replace('name="ce"', 'nam="mine"'), "nam"),
        (GOOD.replace("info = Info", "about = Info"), "0 classes"),
        (GOOD.replace('name="ce"', 'name="mine"').replace('"nothing"', '"test"'), "learns_on"),
        (GOOD.replace("class ", "class class "), "syntax"),
    ],
)
def test_a_broken_file_is_named_with_the_mend(project, text, message):
    (project / "baselines" / "mine.py").write_text(text)
    with pytest.raises(MethodError) as error:
        discover(project)
    assert "mine.py" in error.value.where
    assert message in str(error.value)


def test_a_base_that_does_not_exist_is_refused(project):
    text = (ROOT / "baselines" / "al2.py").read_text().replace('base="autoloss"', 'base="autolos"')
    (project / "baselines" / "al2.py").write_text(text)
    with pytest.raises(MethodError, match="did you mean 'autoloss'"):
        discover(project)


def test_a_variant_inherits_options_and_choices():
    methods = discover()
    own = options_of(methods["autoloss"].info, {}, methods)
    variant = options_of(methods["autoloss_ce"].info, {"every": 3}, methods)
    assert variant == {**own, "criterion": "ce", "every": 3}
    with pytest.raises(ConfigError, match="did you mean 'exact'"):
        options_of(methods["al2"].info, {"hypergradient": "exat"}, methods)


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'focal'"):
        load("focl")
