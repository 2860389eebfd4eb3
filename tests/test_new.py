"""A new loss's or model's file: under its own names, or refused before anything is written."""

from __future__ import annotations

import builtins
import shutil

import pytest

from autoloss.errors import ConfigError
from autoloss.folder import Info, files_of, read
from autoloss.new import write_entry
from tests.tiny import ROOT

ROOMS = {"losses": "two_words_scale", "models": "two_words_layers"}
every_room = pytest.mark.parametrize("room", ROOMS)


@pytest.fixture
def project(tmp_path):
    for room in ROOMS:
        folder = tmp_path / "autoloss" / room
        shutil.copytree(ROOT / "autoloss" / room, folder)
    return tmp_path


@every_room
def test_it_is_the_template_under_its_name(project, room):
    file = write_entry(room, "two_words", project)
    assert file == project / "autoloss" / room / "two_words.py"
    owner, info = read(file, Info, "")
    assert (info.label, [*info.options]) == ("Two words", [ROOMS[room]])
    assert (owner.name if owner else "TwoWords") == "TwoWords"
    text = file.read_text()
    assert f"options.{ROOMS[room]}" in text
    assert "emplate" not in text
    assert file in files_of(file.parent)


@every_room
def test_a_label_that_another_has_is_told_apart(project, room):
    other = files_of(project / "autoloss" / room)[0]
    label = read(other, Info, "")[1].label
    other.write_text(other.read_text().replace(f'label="{label}"', 'label="two Words"'))
    _, info = read(write_entry(room, "two_words", project), Info, "")
    assert info.label == "Two words (two_words)"


@every_room
@pytest.mark.parametrize("name", ["Mine", "my-own", "1st", "class", "_hidden", "a/b", "é"])
def test_a_name_that_no_study_could_have_is_refused(project, room, name):
    before = {*project.rglob("*")}
    with pytest.raises(ConfigError, match="small letters"):
        write_entry(room, name, project)
    assert {*project.rglob("*")} == before


@pytest.mark.parametrize(
    ("room", "name", "problem"),
    [
        ("losses", "focal", "is taken"),
        ("models", "deepfm", "is taken"),
        ("models", "attention", "'attention_layers' is an option already"),
    ],
)
def test_what_is_there_is_not_written_over(project, room, name, problem):
    with pytest.raises(ConfigError, match=problem):
        write_entry(room, name, project)


@pytest.mark.parametrize("name", ["linear", "exception", "tower", "embedding", "field_embedding"])
def test_the_class_of_a_model_hides_nothing_of_its_file(project, name):
    file = write_entry("models", name, project)
    owner, _ = read(file, Info, "")
    template = (ROOT / "autoloss" / "models" / "_template.py").read_text()
    assert f"import {owner.name}\n" not in template
    assert not hasattr(builtins, owner.name)
    compile(file.read_text(), str(file), "exec")
