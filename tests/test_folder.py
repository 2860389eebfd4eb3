"""A file more in a folder is an entry more: no other is edited, and planning imports no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from autoloss import config, folder
from autoloss.data import formats
from autoloss.errors import ConfigError, MethodError
from autoloss.folder import Info, entries, read
from tests.tiny import ROOT

BRIER = """
from autoloss.folder import Info

info = Info(
    label="Brier",
    paper="Brier, 1950",
    options={"brier_scale": {"default": 1.0, "gt": 0}, "brier_form": {
        "default": "sum", "choices": ("sum", "mean")}},
)

def loss(prediction, options):
    return options.brier_scale * (2 * prediction.log_rest).exp()
"""
LINEAR = """
from torch import nn
from autoloss.folder import Info
from autoloss.layers.embedding import FieldEmbedding

class LinearModel(nn.Module):
    info = Info(
        label="LR",
        paper="Cox, 1958",
        options={"lr_bias": {"default": 2, "ge": 1}, "lr_shift": {"default": 0},
            "lr_last": {"default": False}, "lr_form": {"default": "a", "choices": ("a", "b")}},
    )

    def __init__(self, field_sizes, task, options):
        super().__init__()
        self.linear = FieldEmbedding(field_sizes, task.outputs)
        self.bias = options.lr_bias

    def forward(self, ids):
        return self.linear(ids).sum(dim=(1, 2)) + self.bias
"""
# Built on others, whose options are then theirs too.
SHARP = """
from autoloss.folder import Info
from autoloss.losses.focal import loss as focal

info = Info(label="Sharp", paper="x")

def loss(prediction, options):
    return 2 * focal(prediction, options)
"""
WIDE = """
from autoloss.folder import Info
from autoloss.models.autoint import AutoInt

class Wide(AutoInt):
    info = Info(label="Wide", paper="x")
"""
USE = """
import sys
from pathlib import Path
from autoloss.config import load_config
from autoloss.errors import ConfigError
from autoloss.losses import LOSSES
from autoloss.models import MODELS
from autoloss.study.study import Study

root = Path(".").resolve()
assert LOSSES["brier"] == "Brier" and MODELS["lr"] == "LR"
study = {"scale": "smoke", "study": {"models": ["lr"], "control_models": ["lr"]}}
keys = {**study, "losses": {"candidates": ["ce", "brier", "focal"], "brier_scale": 3}}
Study.load({**keys, "study": {**study["study"], "methods": ["autoloss", "ce"]}}, root)
config = load_config(keys, root)
assert config.losses.brier_scale == 3.0 and config.losses.brier_form == "sum"
assert config.model.lr_bias == 2
for section, key, value in (
    ("losses", "brier_scale", 0), ("losses", "brier_form", "max"), ("model", "lr_bias", 0)
):
    try:
        load_config({**study, section: {key: value}}, root)
    except ConfigError as error:
        assert key in str(error)
    else:
        raise AssertionError(key)

from autoloss.study.cell import Cell
from autoloss.study.identity import run_config

def of(drs, *losses, **keys):
    plan = Study.load({"scale": "smoke", "losses": {"candidates": losses}, **keys}, root)
    return run_config(plan, Cell("ml100k-ctr", drs, "autoloss"))

wide, lr = of("wide", "sharp"), of("lr", "ce")
assert wide["model"].keys() - lr["model"].keys() == {
    "attention_dim", "attention_heads", "attention_layers"}
assert lr["model"].keys() - wide["model"].keys() == {
    "lr_bias", "lr_shift", "lr_last", "lr_form"}
assert wide["losses"].keys() - lr["losses"].keys() == {"focal_gamma"}
assert of("wide", "ce", model={"attention_dim": 8}) != of("wide", "ce")
assert of("lr", "ce", model={"attention_dim": 8}) == of("lr", "ce")
assert "torch" not in sys.modules

import torch
from autoloss.candidates import CandidateLosses
from autoloss.errors import MethodError
from autoloss.models import build_model
from autoloss.task import Task

losses = CandidateLosses(Task(), config.losses)
values = losses(torch.tensor([0, 1]), torch.tensor([2.0, 3.0]).double())
p = torch.tensor([-2.0, 3.0]).double().sigmoid()
torch.testing.assert_close(values[:, 1], 3 * (1 - p) ** 2)
model = build_model("lr", [3, 2], Task(), config.model)
assert model(torch.tensor([[0, 1], [2, 0]])).shape == (2,)
assert type(build_model("wide", [3, 2], Task(), config.model)).__name__ == "Wide"
for name in ("broken", "empty"):
    try:
        losses = CandidateLosses(Task(), config.losses, ["ce", name])
    except MethodError as error:
        assert error.where == f"autoloss/losses/{name}.py"
    else:
        raise AssertionError(name)
"""


def test_a_loss_and_a_model_in_a_file_each_are_planned_validated_and_run(tmp_path):
    for part in ("autoloss", "baselines", "configs"):
        left = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, tmp_path / part, ignore=left)
    (tmp_path / "autoloss" / "losses" / "brier.py").write_text(BRIER)
    (tmp_path / "autoloss" / "losses" / "_hidden.py").write_text("no Python = = 1")
    (tmp_path / "autoloss" / "losses" / "sharp.py").write_text(SHARP)
    for name in ("broken", "empty"):  # no candidates, so they stop nothing
        text = f'{"import nowhere" * (name == "broken")}\ninfo = Info(label="{name}", paper="x")\n'
        (tmp_path / "autoloss" / "losses" / f"{name}.py").write_text(text)
    (tmp_path / "autoloss" / "models" / "lr.py").write_text(LINEAR)
    (tmp_path / "autoloss" / "models" / "wide.py").write_text(WIDE)
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "0 times"),
        ("info = dict()", "0 times"),
        ('info = Info(label="a")\ninfo = Info(label="b")', "2 times"),
        ('info = Info("a")', "without its name"),
        ("info = Info(label=1 + x)", "literals"),
        ("info = = 1", "syntax"),
    ],
)
def test_a_file_that_says_it_otherwise_is_named_with_the_mend(tmp_path, text, message):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(MethodError, match=message) as error:
        read(file, Info, "see the others")
    assert "mine.py" in error.value.where


@pytest.mark.parametrize(
    ("text", "line", "problem", "mend"),
    [
        ('label="a",\n    papr="b"', 3, "papr", "did you mean 'paper'?"),
        ('label="a"', 1, "paper", "add 'paper'"),
        ('label=\n    3, paper="b"', 3, "label", "correct it there"),
        ('label="a", paper="b",\n    options={\n        "k": {"default": 1, "tun": ()}}', 4,
         "options.k.tun", "did you mean 'tune'?"),
        ('label="a", paper="b",\n    options={\n        "k": {"default": 3 * X}}', 4,
         "Info(options) has `3 * X`, which is no literal", "write it in literals"),
        ('label="a",\n    paper=f"{X}"', 3, "Info(paper)", "write it in literals"),
        ('label="a", **X', 1, "without its name", "write all as name=value"),
        ('label="a",\n    paper= = "b"', 3, "invalid syntax", "correct the syntax"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_info_has_its_line_and_a_mend_of_its_own(
    tmp_path, text, line, problem, mend
):
    file = tmp_path / "mine.py"
    file.write_text(f"info = Info(\n    {text}\n)" if line > 1 else f"info = Info({text})")
    with pytest.raises(MethodError) as error:
        read(file, Info, "see the others")
    assert error.value.where == f"{file}:{line}"
    assert problem in error.value.problem
    assert error.value.mend.startswith(mend)
    assert "malformed" not in str(error.value)


def test_of_two_labels_alike_the_one_written_last_is_to_change(tmp_path, monkeypatch):
    """Whatever the order of their names: that came with the project, this is the reader's."""
    (tmp_path / "models").mkdir()
    for age, name in enumerate(("mine", "deepfm"), start=1):
        file = tmp_path / "models" / f"{name}.py"
        file.write_text('class M:\n    info = Info(label="DeepFM", paper="b")\n')
        os.utime(file, ns=(0, 10**18 - age))
    monkeypatch.setattr(folder, "__file__", str(tmp_path / "folder.py"))
    for last, first in (("mine", "deepfm"), ("deepfm", "mine")):
        os.utime(tmp_path / "models" / f"{last}.py")
        with pytest.raises(MethodError, match=rf"as {first}\.py has") as error:
            entries.__wrapped__("models")
        assert error.value.where.endswith(f"models/{last}.py")
        os.utime(tmp_path / "models" / f"{last}.py", ns=(0, 1))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"ge": 1}, r"options\.k\.default"),
        ({"default": [1]}, r"options\.k\.default"),
        ({"default": 1, "gee": 1}, r"options\.k\.gee"),
        ({"default": 0, "ge": 1}, "the default: .*greater than or equal to 1"),
        ({"default": "a", "choices": ("b", "c")}, "the default: .*'b' or 'c'"),
        ({"default": "a", "ge": 1}, "no number"),
        ({"default": 2, "divides": "embedding_dim"}, "give ge=1"),
        ({"default": 0.5, "tune": ("normal", 0, 1)}, "give .'log', low, high"),
        ({"default": 0.5, "tune": ("log", 0, 1)}, "give .'log', low, high"),
        ({"default": 2, "tune": ("log", 1, 9)}, "give .'log', low, high"),
        ({"default": 0.5, "lt": 1, "tune": ("uniform", 0, 1)}, "the tune: .*less than 1"),
        ({"default": 0.5, "lt": 1, "tune": ("times", 0.1, 2)}, "the tune: .*less than 1"),
        ({"default": "b", "choices": ("b", "c"), "tune": ("choice", "b", "d")}, "the tune"),
    ],
)
def test_an_option_that_cannot_be_is_refused_when_it_is_read(tmp_path, option, message):
    file = tmp_path / "mine.py"
    file.write_text(f'info = Info(label="a", paper="b", options={{"k": {option!r}}})')
    with pytest.raises(MethodError, match=message) as error:
        read(file, Info, "see the others")
    assert "mine.py" in error.value.where


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": {"default": 0.1}}, "'dropout', which is there already"),
        ({"copy": {"default": 0.1}}, "'copy'"),
        ({"a b": {"default": 0.1}}, "no plain word"),
        ({"heads": {"default": 2, "ge": 1, "divides": "hidden"}}, "no whole number"),
        ({"heads": {"default": 2, "ge": 1, "divides": "nothing"}}, "no whole number"),
    ],
)
def test_an_option_is_a_key_of_its_own_and_divides_a_whole_number(monkeypatch, options, message):
    infos = {"mine": Info(label="a", paper="b", options=options)}
    monkeypatch.setattr(config, "entries", lambda room: infos)
    with pytest.raises(ConfigError, match=message) as error:
        config._declared("models", config._CommonModelOptions)
    assert error.value.where == "autoloss/models/mine.py"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"my model": "a"}, "small letters"),
        ({"class": "a"}, "small letters"),
        ({"first": "DeepFM", "second": "deepfm"}, r"'deepfm', as first\.py has"),
        ({"outside": None}, "outside of a class"),
        ({"tuned": "T"}, "no search chooses sizes of a model"),
    ],
)
def test_a_model_that_a_study_cannot_name_or_tell_apart_is_refused(
    tmp_path, monkeypatch, files, message
):
    (tmp_path / "models").mkdir()
    for name, label in files.items():
        text = f'class M:\n    info = Info(label="{label}", paper="b")\n'
        if name == "tuned":
            text = text.replace(")", ', options={"k": {"default": 1, "tune": ("choice", 1, 2)}})')
        text = text if label else 'info = Info(label="a", paper="b")\n'
        (tmp_path / "models" / f"{name}.py").write_text(text)
    monkeypatch.setattr(folder, "__file__", str(tmp_path / "folder.py"))
    with pytest.raises(MethodError, match=message):
        entries.__wrapped__("models")


def test_what_keeps_the_package_from_being_imported_is_one_message(tmp_path):
    left = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "autoloss", tmp_path / "autoloss", ignore=left)
    text = LINEAR.replace('label="LR"', 'label="DeepFM"')
    (tmp_path / "autoloss" / "models" / "mine.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "autoloss", "status"], cwd=tmp_path, text=True, check=False,
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("MethodError: ")
    assert "autoloss/models/mine.py: has the label 'DeepFM', as deepfm.py has" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "text"), [("odd", "import nowhere"), ("bare", "FORMAT = {}")])
def test_a_format_that_does_not_import_is_named(tmp_path, monkeypatch, name, text):
    (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / f".#{name}.py").write_text("= =")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    with pytest.raises(MethodError, match=rf"formats/{name}\.py: does not import"):
        formats.formats.__wrapped__()
