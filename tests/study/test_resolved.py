"""A method's options as a study has them: where each is from, and which change nothing."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from autoloss.cli import app
from autoloss.config import layers, overlay
from autoloss.errors import ConfigError
from autoloss.methods.discover import discover
from autoloss.methods.load import load
from autoloss.methods.options import idle_of, options_of
from autoloss.study.planned import notes, plan_study
from autoloss.study.resolved import resolved
from autoloss.study.study import Study
from autoloss.training.loop import Trainer
from tests.tiny import ROOT, tiny_config

METHODS = discover()
OTHERWISE = {  # another value of each option that can be without effect
    **{"every": 2, "lr": 0.1, "weight_decay": 0.1, "xi_over_lr": 40.0, "dropout": 0.5},
    **{"hypergradient": "finite_difference", "updates": "simultaneous", "look_ahead": "optimizer"},
    **{"criterion": "ce", "betas": [0.1, 0.2]},
}


def rows(method, **overrides):
    """By option, of a method in a study of these overrides, which are in mine.yaml."""
    study = Study.load(overrides, ROOT)
    sources = {**layers(overrides, ROOT), "mine.yaml": overrides}
    return {row["option"]: row for row in resolved(study, method, sources)}


def planned(tmp_path, text):
    """The study of a file that says so."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return plan_study([file], [], ROOT)


def test_where_a_value_is_from():
    mine = {"methods": {"autoloss": {"every": 5}, "al2": {"lr": 0.01}}, "training": {"lr": 0.002}}
    shown = rows("al2", **mine)
    origins = {key: (row["value"], row["from"]) for key, row in shown.items()}
    assert origins["method.lr"] == ("0.01", "methods.al2 in mine.yaml")
    assert origins["method.every"] == ("5", "methods.autoloss in mine.yaml")
    assert origins["method.criterion"] == ("mixture", "default of autoloss")
    laptop = "methods.autoloss in configs/scale/laptop.yaml"
    assert origins["method.tau_unit"] == ("epoch", laptop)
    assert origins["training.lr"] == ("0.002", "training in mine.yaml")
    assert origins["training.max_epochs"][1] == "training in configs/scale/laptop.yaml"
    assert origins["losses.focal_gamma"] == ("2", "losses in configs/default.yaml")


def test_a_method_based_on_another_has_its_own_default_before_the_bases_configuration():
    shown = rows("autoloss_ce", methods={"autoloss": {"criterion": "mixture", "every": 3}})
    assert shown["method.criterion"]["from"] == "default of autoloss_ce"
    assert shown["method.every"]["from"] == "methods.autoloss in mine.yaml"
    assert rows("hinge_logit")["losses.hinge_on"]["from"] == "hinge_logit itself"


def test_a_variant_shows_what_it_sets():
    shown = rows("autoloss_every_3")
    assert shown["method.every"]["value"] == "3"
    assert shown["method.every"]["from"] == "the variant autoloss_every_3"


def test_ranges_are_those_of_the_tuned_protocol():
    shown = rows("autoloss")
    assert shown["method.lr"]["range if tuned"] == "0.0001 to 0.01, log"
    assert shown["method.every"]["range if tuned"] == "1, 3, 7 or 13"
    assert shown["method.tau_slope"]["range if tuned"] == "0.091685 to 9.1685, log"
    assert shown["training.lr"]["range if tuned"] == "0.0001 to 0.01, log"
    assert rows("al2")["method.tau_slope"]["range if tuned"] == "plain softmax has no temperature"


def test_what_has_no_effect_says_why():
    shown = rows("autoloss", methods={"autoloss": {"hypergradient": "direct"}})
    idle = {key for key, row in shown.items() if row["effect"]}
    assert {key for key in idle if key.startswith("method.")} == {
        "method.xi_over_lr",
        "method.look_ahead",
    }
    assert shown["losses.scaled_by"]["effect"] == "none: Scaled is not weighed"
    assert "hypergradient: direct" in shown["method.xi_over_lr"]["effect"]
    fixed = rows("focal")
    assert fixed["losses.hinge_on"]["effect"] == "none: Hinge is not weighed"
    assert not fixed["losses.focal_gamma"]["effect"]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("autoloss_direct", {}),
        ("darts", {"xi_over_lr": 0.0}),
        ("autoloss_frozen", {}),
        ("slf_frozen", {}),
    ],
)
def test_what_is_said_to_have_no_effect_has_none(tiny, name, own):
    """To the bit, after an epoch with outer steps; an option that has one changes it."""
    info = METHODS[name].info
    own = own | ({"every": 2} if info.learns_on != "nothing" else {})
    idle = idle_of(info, options_of(info, own, METHODS)).keys() - {"controller"}
    assert idle

    def trained(**options):
        over = {"methods": {name: own | options}}
        config = overlay(tiny_config(max_epochs=1), over, "test")
        run = Trainer(config, tiny["binary"], "deepfm", load(name), 0)
        run.run_epoch()
        return {key: value.clone() for key, value in run.model.state_dict().items()}

    usual = trained()
    otherwise = trained(**{key: OTHERWISE[key] for key in idle})
    assert all(usual[key].equal(otherwise[key]) for key in usual)
    changed = trained(tau_floor=0.9, tau_start=5.0) if "frozen" in name else trained(every=1)
    assert not all(usual[key].equal(changed[key]) for key in usual)


def test_an_option_without_effect_is_refused_where_it_is_asked_for(tmp_path):
    text = "methods: {autoloss: {hypergradient: direct, xi_over_lr: 2.0}}"
    with pytest.raises(ConfigError, match=r"autoloss\.xi_over_lr: has no effect.*direct"):
        planned(tmp_path, text)
    planned(tmp_path, text.replace(", xi_over_lr: 2.0", ""))  # the mend works
    for text in ("slf_frozen: {lr: 0.1}", "bohb: {weights: [0.25, 0.25, 0.25, 0.25]}"):
        with pytest.raises(ConfigError, match="has no effect"):
            planned(tmp_path, f"methods: {{{text}}}")


def test_what_a_base_has_for_itself_is_no_error_of_what_is_based_on_it(tmp_path):
    study = planned(tmp_path, "methods: {autoloss: {every: 3}}")
    assert study.settings("autoloss_frozen")["method"]["every"] == 3
    file = tmp_path / "config.json"  # as a study leaves it, with everything handed on
    file.write_text(study.config.model_dump_json())
    assert plan_study([file], [], ROOT).config == study.config


def test_a_default_that_the_configuration_leaves_without_effect_is_noted(tmp_path):
    said = [note for note in notes(plan_study([], [], ROOT)) if "no effect" in note]
    assert not said  # what a method is by nature goes without saying
    said = notes(planned(tmp_path, "methods: {darts: {hypergradient: direct}}"))
    why = "with hypergradient: direct there is no look-ahead"
    assert f"look_ahead and xi_over_lr of DARTS: no effect; {why}." in said


def test_an_option_that_no_run_of_the_study_reads_is_noted(tmp_path):
    def said(text, few="{methods: [ce, al2], component_datasets: [adult]}"):
        study = planned(tmp_path, text if few is None else f"{text}\nstudy: {few}")
        return [note.split(" is set, ")[0] for note in notes(study) if " no run " in note]

    ours = "statistics: {ours: [al2]}"
    assert said("", None) == said(ours) == []  # what the scale sets of SLF-style goes unsaid
    focal = "losses: {focal_gamma: 1.0, candidates: [ce, kl]}"
    assert said(f"{ours}\n{focal}") == ["losses.focal_gamma"]
    assert said(f"{ours}\n{focal.replace('[ce, kl]', '[ce, kl, focal]')}") == []
    assert said(f"{ours}\n{focal.replace('1.0', '2.0')}") == []  # as it is anyway
    methods = "methods: {slf: {tau_slope: 0.5}, autoloss: {every: 3}}"  # the latter is AL-2's base
    assert said(f"{ours}\n{methods}") == ["methods.slf.tau_slope"]
    assert said(methods, None) == []
    heads = "model: {attention_layers: 2}"
    assert said(f"{ours}\n{heads}") == ["model.attention_layers"]
    autoint = "{methods: [ce, al2], models: [autoint]}"
    assert said(f"{ours}\n{heads}", autoint) == []


def test_a_reading_that_would_have_no_effect_is_left_out(tmp_path):
    study = planned(tmp_path, "methods: {autoloss: {hypergradient: direct}}")
    assert "xi_over_lr of AutoLoss has no effect" in study.unread["ξ × 150"]
    assert "autoloss_under_xi_150" not in study.variants


def test_the_command_shows_every_option(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    file = tmp_path / "mine.yaml"
    file.write_text("methods: {autoloss: {every: 5}}")
    done = CliRunner().invoke(app, ["methods", "autoloss", "--config", str(file)])
    assert done.exit_code == 0, done.output
    for key in (*METHODS["autoloss"].info.options, "focal_gamma", "weight_decay"):
        assert f".{key} " in done.output
    assert "AutoLoss: options in the study 'laptop'" in done.output
    with pytest.raises(ConfigError, match="did you mean 'autoloss'"):
        CliRunner().invoke(app, ["methods", "autolos"], catch_exceptions=False)
