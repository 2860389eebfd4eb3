"""Methods are found by looking, and a file that breaks the contract says how to mend it."""

from __future__ import annotations

import codecs
import importlib.util
import shutil
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.errors import ConfigError, MethodError
from autoloss.methods.discover import OWN_FILE, PLANNED, discover
from autoloss.methods.info import OWN
from autoloss.methods.load import load
from autoloss.methods.new import write_baseline
from autoloss.methods.options import loss_options_of, options_of, require_weights, tuning_of
from autoloss.names import at_frequency, under_reading
from autoloss.study.variants import Reading, Sensitivity
from autoloss.task import Task
from tests.tiny import ROOT

GOOD = (ROOT / "baselines" / "ce.py").read_text()
WORDS = st.sampled_from(["a", "mine", OWN, "_every_", "_under_", "_", "7", "class", "-", "é", "B"])
AWKWARD = st.lists(WORDS, min_size=1, max_size=4).map("".join)
TAKEN = [OWN, at_frequency(OWN, 3), under_reading("ce", "x"), "My", "my-own", "1st", "naïve", "if"]


def bare_project(folder):
    """Our method, and no baselines."""
    (folder / "baselines").mkdir()
    (folder / OWN_FILE).parent.mkdir(parents=True)
    shutil.copy(ROOT / OWN_FILE, folder / OWN_FILE)
    return folder


@pytest.fixture
def project(tmp_path):
    return bare_project(tmp_path)


def test_what_is_read_from_the_text_is_what_is_imported():
    for name, entry in discover().items():
        assert load(name).info == entry.info


def test_a_new_file_is_a_new_method_and_an_underscore_hides_it(project):
    (project / "baselines" / "mine.py").write_text(GOOD.replace('name="ce"', 'name="mine"'))
    (project / "baselines" / "_helper.py").write_text("x = 1\n")
    (project / "baselines" / "._mine.py").write_bytes(b"\0\5\26\xb0")  # Finder's
    (project / "baselines" / ".#mine.py").symlink_to("user@host.1:1")  # Emacs'
    assert set(discover(project)) == {"mine", "autoloss"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD, "name"),  # the file is mine.py
        (GOOD.replace('"ce"', '"mine"').replace("Info(", "Info(1 + 1, "), "literals"),
        (GOOD.replace('name="ce"', 'name="mi" + "ne"'), "literals"),
        (GOOD.replace('name="ce"', 'nam="mine"'), "nam"),
        (GOOD.replace("info = Info", "about = Info"), "0 times"),
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


def test_a_job_knows_the_methods_of_its_plan_whatever_is_written_meanwhile(project, monkeypatch):
    (project / "baselines" / "ce.py").write_text(GOOD)
    there = discover(project)
    (project / "baselines" / "mine.py").write_text("class Mine(")
    (project / "baselines" / "other.py").write_text(GOOD.replace('name="ce"', 'name="other"'))
    monkeypatch.setenv(PLANNED, ",".join(there))
    assert discover(project) == there
    (project / "baselines" / "ce.py").write_text("class CE(")  # its own: no job can do without it
    with pytest.raises(MethodError, match="never closed"):
        discover(project)
    monkeypatch.delenv(PLANNED)
    (project / "baselines" / "ce.py").write_text(GOOD)
    with pytest.raises(MethodError) as error:
        discover(project)
    assert "mine.py" in error.value.where


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
        (text.replace('"lr": ("log"', '"lrr": ("log"'), "did you mean 'lr'"),
        (text.replace('("log", 0.0001, 0.1)', '("log", 0.1)'), "('log', low, high)"),
        (text.replace('("log", 0.0001, 0.1)', '("normal", 0.0001, 0.1)'), "('log', low, high)"),
        (text.replace('("log", 0.0001, 0.1)', '("log", 0.1, 0.1)'), "('log', low, high)"),
        (text.replace('("log", 0.0001, 0.1)', '("times", 0, 2)'), "('log', low, high)"),
        (text.replace('("log", 0.0001, 0.1)', "()"), "('log', low, high)"),
        (text.replace('("choice", 1, 3, 7, 13)', '("log", 1, 13)'), "('log', low, high)"),
        (text.replace("        tune={", '        untuned={"lrr": "why"},\n        tune={'), "'lr'"),
        (
            text.replace('"lr": ("log"', '"criterion": ("choice", "mixture", "ce"), "lr": ("log"'),
            "a reading of the paper or an estimator, no hyper-parameter",
        ),
    ):
        (project / "baselines" / "darts.py").write_text(wrong)
        with pytest.raises(MethodError) as error:
            discover(project)
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ('{"hinge_onn": "logit"}', "did you mean 'hinge_on'"),
        ('{"hinge_on": "logits"}', "'probability' or 'logit'"),
        ('{"focal_gamma": -1.0}', "greater than or equal to 0"),
        ('{"candidates": ["hinge"]}', "the same for every method"),
    ],
)
def test_options_of_losses_that_a_method_sets_are_theirs(project, losses, message):
    text = (ROOT / "baselines" / "hinge_logit.py").read_text()
    wrong = text.replace('{"hinge_on": "logit"}', losses)
    shutil.copy(ROOT / "baselines" / "hinge.py", project / "baselines")
    (project / "baselines" / "hinge_logit.py").write_text(wrong)
    with pytest.raises(MethodError, match=message) as error:
        discover(project)
    assert "hinge_logit.py, Info(losses)" in error.value.where


def test_a_variant_inherits_the_options_of_losses():
    methods = discover()
    variant = replace(methods["ce"].info, base="hinge_logit", losses={"focal_gamma": 1.0})
    expected = {"hinge_on": "logit", "focal_gamma": 1.0}
    assert loss_options_of(variant, methods) == expected


def test_a_variant_inherits_what_is_tuned_but_for_what_it_takes_out():
    methods = discover()
    tuned = tuning_of(methods["autoloss"].info, methods)
    same = tuning_of(methods["autoloss_ce"].info, methods)
    assert same == tuned  # their criteria, which set them apart, are in no space
    direct = tuning_of(methods["autoloss_direct"].info, methods)
    assert direct == {key: domain for key, domain in tuned.items() if key != "xi_over_lr"}


def test_a_new_baseline_is_the_template_under_its_name(project):
    shutil.copy(ROOT / "baselines" / "_template.py", project / "baselines")
    file = write_baseline("two_words", project)
    assert file == project / "baselines" / "two_words.py"
    info = discover(project)["two_words"].info
    assert (info.label, info.tables) == ("Two words", ("table_2",))
    assert "class TwoWords(Learned)" in file.read_text()


@pytest.mark.parametrize(
    "name",
    ["Mine", "my-own", "1st", "class", "_hidden", "a/b", *TAKEN],
)
def test_a_new_baseline_needs_a_name_that_is_free_and_python(project, name):
    shutil.copy(ROOT / "baselines" / "_template.py", project / "baselines")
    with pytest.raises(ConfigError, match="To mend it"):
        write_baseline(name, project)
    assert not list((project / "baselines").glob("[!_]*.py"))


@given(AWKWARD | st.sampled_from(TAKEN))
@settings(max_examples=40, deadline=None)
def test_a_method_has_a_word_that_names_nothing_else(tmp_path_factory, name):
    """A file is a method under its own name, or refused; it never is what a variant is called."""
    project = bare_project(tmp_path_factory.mktemp("project"))
    file = project / "baselines" / f"{name}.py"
    file.write_text(GOOD.replace('name="ce"', f'name="{name}"'))
    variants = (at_frequency(OWN, int("".join(filter(str.isdigit, name)) or 0)), "_under_")
    taken = name == OWN or name == variants[0] or variants[1] in name or name in ("class", "if")
    if name.startswith("_"):
        assert set(discover(project)) == {OWN}
    elif taken or not (name.isascii() and name.isidentifier() and name == name.lower()):
        with pytest.raises(MethodError) as error:
            discover(project)
        assert error.value.where == str(file)
        assert "rename the file" in error.value.mend
    else:
        assert set(discover(project)) == {name, OWN}


@pytest.mark.parametrize("label", ["CE", "ce", " CE "])
def test_two_methods_with_one_label_are_refused(project, label):
    (project / "baselines" / "ce.py").write_text(GOOD)
    mine = GOOD.replace('name="ce"', 'name="mine"').replace('label="CE"', f'label="{label}"')
    (project / "baselines" / "mine.py").write_text(mine)
    with pytest.raises(MethodError, match=r"as ce\.py has") as error:
        discover(project)
    assert "mine.py" in error.value.where


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# \351t\351\n", "encoding"),
        (GOOD.encode() + b"\0", "null bytes"),
        (b"# coding: no-such-thing\n", "unknown encoding"),
        (None, "cannot be read"),
    ],
)
def test_what_python_cannot_read_is_named(project, content, message):
    file = project / "baselines" / "mine.py"
    file.write_bytes(content) if content else file.mkdir()
    with pytest.raises(MethodError, match=message) as error:
        discover(project)
    assert "mine.py" in error.value.where


@pytest.mark.parametrize(
    "write",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: b"# coding: latin-1\n" + text.encode("latin-1"),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
)
def test_what_python_reads_is_a_method(project, write):
    text = GOOD.replace('name="ce"', 'name="mine"').replace('label="CE"', 'label="Été"')
    (project / "baselines" / "mine.py").write_bytes(write(text))
    assert discover(project)["mine"].info.label == "Été"


NAMES = [
    "none",
    "true",
    "false",
    "global_logits",
    "learned",
    "info",
    "softmax",
    "exception",
    "list",
]
NAMES += ["torch", "typing", "test", "print", "self", "method", "autoloss_", "annotations", "a__b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_new_baseline_works_whatever_its_name(project, name):
    shutil.copy(ROOT / "baselines" / "_template.py", project / "baselines")
    file = write_baseline(name, project)
    entry = discover(project)[name]
    spec = importlib.util.spec_from_file_location(f"new_{name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    method = getattr(module, entry.class_name)
    assert method.info == entry.info
    assert len(list(method(Task()).weighting.parameters())) == 1


def test_readings_can_be_told_apart_and_from_the_one_that_is_built():
    def readings(*pairs):
        return Sensitivity(
            model="deepfm",
            order=("ce", "slf", "autoloss"),
            readings=tuple(
                Reading(name=name, choice="A1", label=label, auc="weighted")
                for name, label in pairs
            ),
        )

    assert len(readings(("a", "A"), ("b", "B")).readings) == 2
    for wrong in ([("a", "A"), ("b", "a")], [("default", "A")], [("a", "As  built")]):
        with pytest.raises(ValueError, match=r"label|built"):
            readings(*wrong)


def test_choices_may_be_numbers():
    info = replace(discover()["ce"].info, options={"k": 2}, choices={"k": (1, 2)})
    assert options_of(info, {"k": 1}, discover()) == {"k": 1}
    with pytest.raises(ConfigError, match="is 3"):
        options_of(info, {"k": 3}, discover())


@pytest.mark.parametrize("weights", [[1.5, -0.5], [1.0], [0.5, 0.4], [float("nan"), 1.0]])
def test_weights_that_a_search_cannot_have_chosen_are_refused(weights):
    with pytest.raises(ConfigError, match="none below 0, that sum to 1: of kl, ce"):
        require_weights(discover()["bohb"].info, weights, ("kl", "ce"))


def test_what_weighs_by_its_constant_alone_is_plain(project):
    plain = {name for name, entry in discover().items() if entry.plain}
    own = {"ce", "ce_more_data", "focal", "hinge", "hinge_logit", "kl"}
    assert plain & {p.stem for p in (ROOT / "baselines").glob("*.py")} >= own
    assert not plain & {"al1", "bohb", "grid", "autoloss", "dwa"}
    mine = GOOD.replace('name="ce"', 'name="mine"')
    for text in (
        mine.replace("(FixedWeights)", "(Other)"),
        mine + "\n    def weigh(self, *args):\n        return args\n",
        mine.replace('constant = {"ce": 1.0}', "constant = dict(ce=1.0)"),
    ):
        (project / "baselines" / "mine.py").write_text(text)
        assert not discover(project)["mine"].plain


def test_a_file_that_is_a_method_may_call_something_else_info(project):
    text = (ROOT / "baselines" / "al2.py").read_text()
    (project / "baselines" / "al2.py").write_text(f"{text}\ninfo = dict()\n")
    assert "al2" in discover(project)
