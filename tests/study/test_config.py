"""A wrong key or value is refused with the key's name and a way to mend it."""

from __future__ import annotations

import copy
import re

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoloss.config import (
    Config,
    load_config,
    merged,
    pack,
    read_given,
    read_overrides,
    unpack,
)
from autoloss.errors import ConfigError
from autoloss.strict import parse_yaml
from autoloss.study.study import Study
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
        (("study", "first_seed"), -1),
        (("study", "splits"), 0),
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


@pytest.mark.parametrize(
    ("text", "key", "problem", "mend"),
    [
        ("training: {lr: -0.1}", "training.lr", "found -0.1", "write a number greater than 0"),
        ("study: {seeds: 2.5}", "study.seeds", "found 2.5", "write a valid integer"),
        ("study: {seeds: null}", "study.seeds", "found None", "write a valid integer"),
        ("training: {monitor: loglos}", "training.monitor", "found 'loglos'",
         "did you mean 'logloss'?"),
        ("model: {drpout: 0.1}", "model.drpout", "unknown key 'drpout'", "did you mean 'dropout'?"),
        ("study: {datasets: [adult, adult]}", "study.datasets", "adult is in it more than once",
         "name each once"),
        ("study: {targets: [{dataset: adult}]}", "study.targets.0.model", "the key is missing",
         "add 'model:'"),
        ("model: {attention_heads: 3, attention_dim: 16}", "model.attention_heads",
         "attention_heads (3) must divide attention_dim (16)",
         "write one of 1, 2, 4, 8, 16"),
        ("tuning: {shared: {lr: [log, 2, 1]}}", "tuning.shared.lr",
         "there is nothing in the range ['log', 2.0, 1.0]",
         "write the lower end first, and for 'log' one above 0"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_that_has_it_its_key_and_a_mend(
    tmp_path, text, key, problem, mend
):
    mine, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    mine.write_text(text)
    other.write_text("study: {first_seed: 3}")
    for layers, place in (
        (read_given([mine, other]), str(mine)),
        (read_given([other], [text.replace(": ", "=", 1)]), "--config"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(merged(layers), ROOT, layers)
        assert caught.value.where == f"{place}, key '{key}'"
        assert (caught.value.problem, caught.value.mend) == (problem, mend)


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
    assert load_config(read_overrides([file]), ROOT) == study.config


@given(
    lr=st.floats(1e-300, 1e300),
    seeds=st.integers(1, 2**40),
    options=st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False) | st.booleans()),
)
@settings(max_examples=30, deadline=None)
def test_what_is_handed_to_a_job_is_the_configuration_to_the_last_bit(lr, seeds, options):
    finite = {key: value for key, value in options.items() if abs(value) < float("inf")}
    overrides = {
        "training": {"lr": lr},
        "study": {"seeds": seeds, "name": "a-1"},
        "methods": {"autoloss": finite},
    }
    config = load_config(overrides, ROOT)
    word = pack(config)
    assert re.fullmatch(r"[\w-]+=*", word, re.ASCII)
    assert unpack(word) == config
    assert unpack(word).model_dump_json() == config.model_dump_json()


def test_later_files_lie_over_earlier_ones_and_arguments_over_both(tmp_path):
    texts = "study: {seeds: 2, max_rows: 10}", "study: {seeds: 3}", "", "# nothing"
    files = [tmp_path / f"{k}.yaml" for k in range(4)]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    read = read_overrides(files, ['study={"max_rows": 200000, "models": [nfm]}', "scale=smoke"])
    assert read == {"study": {"seeds": 3, "max_rows": 200000, "models": ["nfm"]}, "scale": "smoke"}


@pytest.mark.parametrize("text", ["- a", "3", "text", "[]"])
def test_a_configuration_without_keys_is_refused_by_its_name(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_overrides([file])


# What looks like a decimal number is read as that number, or not as a number at all.
@given(
    st.from_regex(
        r"[-+]?[0-9_]{1,6}(\.[0-9_]{0,4}|:[0-9]{1,2})?([eE][-+]?[0-9]{1,2})?", fullmatch=True
    )
)
@settings(max_examples=300, deadline=None)
def test_a_number_in_yaml_is_the_number_that_is_written(text):
    try:
        read = parse_yaml(text, "here")
    except ConfigError:
        assume(not re.search(r"^[-+]?0[0-9_]|:", text))
        raise
    if isinstance(read, str):
        assert read == text
    else:
        assert read == float(text.replace("_", "")), text


@pytest.mark.parametrize(
    ("text", "value"), [("010", None), ("1:30", None), ("1e-3", 0.001), ("0", 0), ("0.5", 0.5)]
)
def test_octal_and_base_60_are_refused_in_files_and_arguments(tmp_path, text, value):
    file = tmp_path / "a.yaml"
    file.write_text(f"training: {{lr: {text}}}")
    for files, arguments in (([file], []), ([], [f"training={{lr: {text}}}"])):
        if value is None:
            with pytest.raises(ConfigError, match="not the number that it looks like"):
                read_overrides(files, arguments)
        else:
            assert read_overrides(files, arguments) == {"training": {"lr": value}}


@pytest.mark.parametrize("name", ["reference", "fetch", "prepare", "", "a/b", "..", ".x", "a b"])
def test_a_study_cannot_take_a_name_that_is_a_folder_of_something_else(name):
    with pytest.raises(ConfigError):
        load_config({"study": {"name": name}}, ROOT)


def test_studies_of_one_scale_stand_side_by_side():
    named, usual = Study.load({"study": {"name": "Mine_2"}}, ROOT), Study.load({}, ROOT)
    tuned = Study.load({"study": {"name": "Mine_2"}, "protocol": "tuned"}, ROOT)
    assert (usual.name, named.name, tuned.name) == ("laptop", "Mine_2", "Mine_2-tuned")
    places = {(s.results, s.figures_folder, s.config_file) for s in (named, usual, tuned)}
    assert len(places) == 3


def test_merging_does_not_touch_what_was_passed():
    overrides = {"study": {"seeds": 2}}
    before = copy.deepcopy(overrides)
    load_config(overrides, ROOT)
    assert overrides == before
