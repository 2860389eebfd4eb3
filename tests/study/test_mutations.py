"""Each scale's resolved configuration with one thing wrong is refused, by the key's name.

What is refused here never becomes a plan: the Snakefile builds its `Study` before any rule.
"""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.config import Config, load_config, read_overrides
from autoloss.errors import ConfigError
from autoloss.methods.discover import discover
from autoloss.methods.options import options_of
from autoloss.strict import check
from autoloss.study.study import Study
from tests.tiny import ROOT

SCALES = ("smoke", "laptop", "paper")
METHODS = discover()


def resolved(scale):
    """As `results/<scale>/config.json` has it, with every option of every method written out."""
    content = load_config({"scale": scale}, ROOT).model_dump(mode="json")
    content["methods"] = {
        name: {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
        for name, entry in METHODS.items()
        if (options := options_of(entry.info, {}, METHODS))
    }
    return content


RESOLVED = {scale: resolved(scale) for scale in SCALES}


def places(block, prefix=()):
    """Paths of all keys and list items, inner ones too."""
    pairs = block.items() if isinstance(block, dict) else enumerate(block)
    for key, value in pairs:
        yield (*prefix, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*prefix, key))


PLACES = sorted({path for content in RESOLVED.values() for path in places(content)}, key=str)
NAMED = [path for path in PLACES if isinstance(path[-1], str)]


def at(content, path):
    for key in path:
        content = content[key]
    return content


def refused(content, *named):
    """The error's text, which has the names, as a message: what, and how to mend it."""
    with pytest.raises(ConfigError) as error:
        Study(check(Config, content, "config"), ROOT)
    text = str(error.value)
    assert all(str(name) in text for name in named), text
    assert "To mend it: " in text
    return text


def mutated(scale, path, value):
    content = copy.deepcopy(RESOLVED[scale])
    at(content, path[:-1])[path[-1]] = value
    return content


def has(scale, path):
    try:
        at(RESOLVED[scale], path)
    except (KeyError, IndexError):
        return False
    return True


cases = st.tuples(st.sampled_from(SCALES), st.sampled_from(PLACES)).filter(lambda c: has(*c))
keys = st.tuples(st.sampled_from(SCALES), st.sampled_from(NAMED)).filter(lambda c: has(*c))


@pytest.mark.parametrize("scale", SCALES)
def test_the_resolved_configurations_are_valid(scale):
    Study(check(Config, RESOLVED[scale], "config"), ROOT)


@settings(deadline=None, max_examples=60)
@given(keys, st.data())
def test_a_misspelt_key_or_name_is_refused(case, data):
    scale, path = case
    position = data.draw(st.integers(0, len(path[-1]) - 1))
    letter = data.draw(st.sampled_from("abcxyz_0"))
    misspelt = path[-1][:position] + letter + path[-1][position:]
    content = copy.deepcopy(RESOLVED[scale])
    block = at(content, path[:-1])
    if misspelt not in block:
        block[misspelt] = block.pop(path[-1])
        text = refused(content)
        # a block that must have a key is told that, one that need not what it does not know
        assert misspelt in text or path[-1] in text


def required(model, prefix=()):
    for name, field in model.model_fields.items():
        if field.is_required():
            yield (*prefix, name)
        if hasattr(field.annotation, "model_fields"):
            yield from required(field.annotation, (*prefix, name))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("path", list(required(Config)), ids=".".join)
def test_a_key_without_a_default_cannot_be_left_out(scale, path):
    content = copy.deepcopy(RESOLVED[scale])
    del at(content, path[:-1])[path[-1]]
    refused(content, ".".join(path), "missing")


WRONG = {
    bool: [0, 1, "yes", None, [], {}, 0.5],
    int: [True, 2.5, "many", [1], {"a": 1}, "", 0.0],
    float: [True, "fast", [1.0], {"a": 1}, "", float("nan"), float("inf"), -float("inf")],
    str: [1, True, ["a"], {"a": 1}, "no such name", ""],
    list: [1, "ml100k", True, {"a": 1}, [None], [{"a": 1}], [["a"]]],
    dict: [1, "text", True, [1]],
}
# Where more than one type is meant: null is a value too, and the paper's 0.0 is a float.
FREE = {("study", "methods"), ("study", "max_rows")}
# Any text is a path, or a field of some data set, until a run reads it.
TEXT = {("methods", name, "controller") for name, entry in METHODS.items() if entry.info.frozen}
TEXT |= {("methods", "constant", "field")}


@settings(deadline=None, max_examples=150)
@given(cases, st.data())
def test_a_value_of_another_type_is_refused_by_the_keys_name(case, data):
    scale, path = case
    value = at(RESOLVED[scale], path)
    if value is None or path in FREE:
        wrong = data.draw(st.sampled_from([True, {"a": 1}, 2.5, [1]]))
    else:
        wrong = data.draw(st.sampled_from(WRONG[type(value)]))
    if path in TEXT and isinstance(wrong, str):
        return
    name = next(key for key in reversed(path) if isinstance(key, str))
    refused(mutated(scale, path, wrong), name if path[0] != "study" else "study")


OUTSIDE = [
    *[(("training", "batch_size"), n) for n in (1, 0, -5)],
    *[(("training", key), 0) for key in ("max_epochs", "patience", "threads", "lr")],
    *[(("training", key), -1) for key in ("weight_decay", "checkpoint_seconds", "max_epochs")],
    *[(("training", "device"), name) for name in ("gpu", "cuda:", "cuda:x", "CPU")],
    *[(("study", key), n) for key in ("seeds", "seeds_per_job", "max_rows") for n in (0, -1)],
    *[(("study", key), []) for key in ("datasets", "models", "targets", "frequencies")],
    *[(("study", key), [0]) for key in ("frequencies",)],
    (("study", "datasets"), ["ml100k", "ml100k"]),
    (("study", "models"), ["deepfm", "deepfm"]),
    (("study", "frequencies"), [3, 3]),
    (("study", "methods"), ["ce", "ce"]),
    (("losses", "candidates"), ["ce", "ce"]),
    (("losses", "candidates"), ["ce", "focall"]),
    (("losses", "candidates"), []),
    *[(("losses", "kl_smoothing"), n) for n in (-0.1, 1.0)],
    (("losses", "focal_gamma"), -0.5),
    *[(("model", "dropout"), n) for n in (-0.1, 1.0)],
    (("model", "attention_heads"), 3),
    (("model", "hidden"), [128, 0]),
    *[(("statistics", key), n) for key in ("alpha", "confidence") for n in (0, 1, 1.5)],
    (("tuning", "seed"), -1),
    (("tuning", "trials"), 0),
    (("tuning", "shared", "lr"), ["log", 0.01, 0.0001]),
    (("tuning", "shared", "lr"), ["log", 0, 0.1]),
    (("tuning", "shared", "weight_decay"), ["uniform", 0.1, 0.1]),
    (("scale",), "Laptop/.."),
    *[(("methods", "autoloss", "every"), n) for n in (0, -7)],
    *[(("methods", "autoloss", "lr"), n) for n in (0, -0.1, float("inf"))],
    (("methods", "autoloss", "xi_over_lr"), -1.0),
    (("methods", "autoloss", "dropout"), 1.0),
    (("methods", "autoloss", "hidden"), [128, 0]),
    (("methods", "autoloss", "hidden"), ["128"]),
    (("methods", "autoloss", "tau_floor"), 0.0),
    (("methods", "darts", "betas"), [0.5, 1.0]),
    (("methods", "dwa", "temperature"), 0.0),
    (("methods", "grid", "weights"), [float("nan")]),
    (("methods", "constant", "inside"), [0.5, 0.5]),
]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("path", "value"), OUTSIDE, ids=lambda v: str(v))
def test_a_value_out_of_its_range_is_refused_by_the_keys_name(scale, path, value):
    refused(mutated(scale, path, value), path[-1])


def test_numbers_may_be_written_as_yaml_takes_for_text():
    for text in ("1e-3", "1.0E-3", ".001"):
        overrides = read_overrides([], [f"training={{lr: {text}}}"])
        assert load_config(overrides, ROOT).training.lr == 0.001
    assert load_config({"training": {"lr": 1}}, ROOT).training.lr == 1.0
