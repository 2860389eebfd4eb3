"""Methods are found by looking, and a file that breaks the contract says how to mend it."""

from __future__ import annotations

import shutil

import pytest

from autoloss.errors import ConfigError, MethodError
from autoloss.registry import discover, load, options_of, tuning_of, write_baseline
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


def test_a_frozen_method_names_its_source_and_stands_in_no_table(project):
    text = (ROOT / "baselines" / "autoloss_frozen.py").read_text()
    for wrong, message in (
        (text.replace('frozen="autoloss"', 'frozen="autolos"'), "did you mean 'autoloss'"),
        (text.replace("tables=()", 'tables=("table_2",)'), "set tables=()"),
    ):
        (project / "baselines" / "autoloss_frozen.py").write_text(wrong)
        with pytest.raises(MethodError) as error:
            discover(project)
        assert message in str(error.value)


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


def test_a_tuned_option_must_exist_and_have_a_domain(project):
    text = (ROOT / "baselines" / "darts.py").read_text()
    for wrong, message in (
        (text.replace('tune={"lr"', 'tune={"lrr"'), "did you mean 'lr'"),
        (text.replace('("log", 0.0001, 0.1)', '("log", 0.1)'), "('log', low, high)"),
        (text.replace('("log", 0.0001, 0.1)', '("normal", 0.0001, 0.1)'), "('log', low, high)"),
    ):
        (project / "baselines" / "darts.py").write_text(wrong)
        with pytest.raises(MethodError) as error:
            discover(project)
        assert message in str(error.value)


def test_a_variant_inherits_what_is_tuned():
    methods = discover()
    assert tuning_of(methods["darts_first"].info, methods) == methods["darts"].info.tune


def test_a_new_baseline_is_the_template_under_its_name(project):
    shutil.copy(ROOT / "baselines" / "_template.py", project / "baselines")
    file = write_baseline("two_words", project)
    assert file == project / "baselines" / "two_words.py"
    info = discover(project)["two_words"].info
    assert (info.label, info.tables) == ("Two words", ("table_2",))
    assert "class TwoWords(Learned)" in file.read_text()


@pytest.mark.parametrize("name", ["Mine", "my-own", "1st", "class", "_hidden", "a/b", "autoloss"])
def test_a_new_baseline_needs_a_name_that_is_free_and_python(project, name):
    shutil.copy(ROOT / "baselines" / "_template.py", project / "baselines")
    with pytest.raises(ConfigError, match="To mend it"):
        write_baseline(name, project)
    assert not list((project / "baselines").glob("[!_]*.py"))
