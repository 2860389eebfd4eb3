"""A wrong key or value is refused with the key's name and a way to mend it."""

from __future__ import annotations

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoloss.config import Config, load_config, read_config
from autoloss.errors import ConfigError
from autoloss.study import Study
from tests.tiny import ROOT

DEFAULT = yaml.safe_load((ROOT / "configs" / "default.yaml").read_text())
FREE = {"methods"}  # keys below are methods' names, checked by the study


def paths(block, prefix=()):
    for key, value in block.items():
        yield (*prefix, key)
        if isinstance(value, dict) and key not in FREE:
            yield from paths(value, (*prefix, key))


KEYS = list(paths(DEFAULT))


def overlay(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


def test_default_holds_every_key_of_the_schema():
    def schema(model, prefix=()):
        for name, field in model.model_fields.items():
            yield (*prefix, name)
            if hasattr(field.annotation, "model_fields"):
                yield from schema(field.annotation, (*prefix, name))

    assert set(KEYS) == set(schema(Config))


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_each_scale_is_valid_and_names_itself(scale):
    assert load_config({"scale": scale}, ROOT).scale == scale


def test_the_default_scale_is_laptop_and_user_keys_win():
    assert load_config({}, ROOT).scale == "laptop"
    config = load_config({"scale": "smoke", "study": {"seeds": 3}}, ROOT)
    assert config.study.seeds == 3
    assert config.training.max_epochs == 1  # smoke's, not the default's


@given(st.sampled_from([path for path in KEYS if path[0] not in FREE]), st.data())
def test_a_misspelt_key_is_refused_with_the_nearest_name(path, data):
    *block, key = path
    position = data.draw(st.integers(0, len(key) - 1))
    misspelt = key[:position] + key[position] + key[position:]
    with pytest.raises(ConfigError) as error:
        load_config(overlay((*block, misspelt), 1), ROOT)
    assert misspelt in str(error.value)
    assert f"'{key}'" in error.value.mend


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("training", "lr"), -0.1),
        (("training", "lr"), "fast"),
        (("training", "batch_size"), 1),
        (("training", "monitor"), "accuracy"),
        (("training", "device"), "gpu"),
        (("study", "seeds"), 0),
        (("study", "datasets"), []),
        (("model", "dropout"), 1.0),
        (("losses", "hinge_on"), "score"),
        (("statistics", "resamples"), 10),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(path, value):
    with pytest.raises(ConfigError) as error:
        load_config(overlay(path, value), ROOT)
    assert ".".join(path) in error.value.where


def test_an_unknown_scale_names_the_nearest():
    with pytest.raises(ConfigError, match="laptop"):
        load_config({"scale": "labtop"}, ROOT)


@pytest.mark.parametrize(
    ("overrides", "named", "nearest"),
    [
        ({"methods": {"autolos": {}}}, "autolos", "autoloss"),
        ({"methods": {"autoloss": {"evry": 3}}}, "methods.autoloss.evry", "every"),
        ({"methods": {"al2": {"dropuot": 0.1}}}, "methods.al2.dropuot", "dropout"),
        ({"methods": {"autoloss": {"criterion": "cee"}}}, "methods.autoloss.criterion", "ce"),
        ({"methods": {"autoloss": {"every": 2.5}}}, "methods.autoloss.every", "int"),
        ({"methods": {"autoloss": {"detach": 1}}}, "methods.autoloss.detach", "bool"),
        ({"study": {"methods": ["cee"]}}, "cee", "ce"),
        ({"study": {"datasets": ["ml100kk"]}}, "ml100kk", "ml100k"),
        ({"study": {"models": ["deepfn"]}}, "deepfn", "deepfm"),
    ],
)
def test_the_study_refuses_unknown_names_and_options(overrides, named, nearest):
    with pytest.raises(ConfigError) as error:
        Study.load(overrides, ROOT)
    assert named in str(error.value)
    assert nearest in error.value.mend


def test_the_resolved_file_reads_back_equal(tmp_path):
    study = Study(load_config({"methods": {"autoloss": {"every": 3}}}, ROOT), ROOT)
    file = tmp_path / "config.json"
    file.write_text(study.config.model_dump_json())
    assert read_config(file) == study.config


def test_merging_does_not_touch_what_was_passed():
    overrides = {"study": {"seeds": 2}}
    before = copy.deepcopy(overrides)
    load_config(overrides, ROOT)
    assert overrides == before
