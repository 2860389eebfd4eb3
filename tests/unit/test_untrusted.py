"""Hostile input: a clear error or a valid object; no code run, nothing written, nothing else."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import random
import tarfile
import zipfile
from contextlib import suppress

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from autoloss.config import Config
from autoloss.data.fetch.archive import extract
from autoloss.data.specs import Member
from autoloss.errors import ConfigError, DataError, RecordError
from autoloss.records.controllers import check_controller
from autoloss.records.schema import Record
from autoloss.records.shards import agrees
from autoloss.records.store import parse_record, parse_search, read_record, seal
from autoloss.strict import load_yaml, read_yaml
from autoloss.study.cell import Cell
from autoloss.training import checkpoint
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT

CE, OURS = (Cell("ml100k-ctr", "deepfm", method) for method in ("ce", "autoloss"))
WRITES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
numbers = st.one_of(
    st.integers(),
    st.sampled_from([10**400, -(2**63) - 1, 1e308, 5e-324, float("nan"), float("inf")]),
    st.floats(),
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def sound(studied):
    """A sound record's bytes, and its controller's."""
    study = tiny_study()
    with working_in(studied):
        return (
            study.record_file(OURS, 0).read_bytes(),
            study.controller_file(OURS, 0).read_bytes(),
        )


@pytest.fixture(autouse=True)
def nothing_written(tmp_path, monkeypatch):
    """The current folder is empty, and stays so but for what the test itself puts into `mine`."""
    monkeypatch.chdir(tmp_path)
    yield
    assert {path.name for path in tmp_path.iterdir()} <= {"mine"}


def places(content, prefix=()):
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        yield (*prefix, key)
        if isinstance(value, (dict, list)) and value:
            yield from places(value, (*prefix, key))


def forged(content):
    """As its writer would seal it: the checksum fits, only the content is wrong."""
    return seal(json.dumps(content, indent=1) + "\n").encode()


def refused_or_valid(content):
    try:
        record = parse_record(content, "there")
    except RecordError:
        return
    again = seal(record.model_dump_json(indent=1) + "\n").encode()
    assert parse_record(again, "again").run_id == record.run_id
    assert record.status == "failed" or record.digest


# Records


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300))
def test_bytes_are_no_record(content):
    for parse in (parse_record, parse_search):
        with pytest.raises(RecordError):
            parse(content, "there")


@settings(deadline=None, max_examples=100)
@given(values)
def test_other_json_is_no_record(content):
    text = json.dumps(content, indent=1)
    for written in (text, seal(text + "\n"), seal(text)):
        with pytest.raises(RecordError):
            parse_record(written.encode(errors="replace"), "there")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_no_byte_of_a_record_can_change_unseen(sound, data):
    content = bytearray(sound[0])
    position = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "drop", "insert", "append"])):
        case "flip":
            content[position] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del content[position:]
        case "drop":
            del content[position]
        case "insert":
            content.insert(position, data.draw(st.integers(0, 255)))
        case "append":
            content += data.draw(st.binary(min_size=1, max_size=9))
    with pytest.raises(RecordError):
        parse_record(bytes(content), "there")


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10_000), values, st.booleans())
def test_a_forged_value_is_refused_or_a_valid_record(sound, which, value, replaced):
    content = json.loads(sound[0])
    del content["checksum"]
    paths = list(places(content))
    path = paths[which % len(paths)]
    block = content
    for key in path[:-1]:
        block = block[key]
    if replaced:
        block[path[-1]] = value
    else:
        del block[path[-1]]
    refused_or_valid(forged(content))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1e999", '"x"', "null", "[]"])
def test_a_metric_that_is_no_finite_number_is_refused(sound, number):
    content = json.loads(sound[0])
    del content["checksum"]
    content["metrics"]["test"]["auc"] = "HERE"
    text = json.dumps(content, indent=1).replace('"HERE"', number)
    with pytest.raises(RecordError):
        parse_record(seal(text + "\n").encode(), "there")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"config": ' * 100_000,
        '{"schema_version": ' + "9" * 100_000 + "}",
        '{"schema_version": 5, "schema_version": 5}',
        '{"schema_version": "5"}',
        '{"schema_version": 5}',
        "\ufeff{}",
        "",
        "null",
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_texts_made_to_break_a_parser_are_refused(text):
    for written in (text, seal(text), seal(text + "\n}\n")):
        with pytest.raises(RecordError) as error:
            parse_record(written.encode(), "there")
        assert len(str(error.value)) < 2000


def test_nesting_inside_a_record_is_refused(sound):
    content = json.loads(sound[0])
    del content["checksum"]
    content["config"] = "HERE"
    deep = '{"a": ' * 5000 + "1" + "}" * 5000
    text = json.dumps(content, indent=1).replace('"HERE"', deep)
    with pytest.raises(RecordError):
        parse_record(seal(text + "\n").encode(), "there")


@settings(deadline=None, max_examples=60)
@given(values)
def test_a_record_is_never_made_of_other_content(content):
    with pytest.raises(ValidationError):
        Record.model_validate(content)


@settings(WRITES, max_examples=60)
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_a_list_of_runs_with_other_content_does_not_agree(studied, tmp_path, content):
    with working_in(studied):
        record = read_record(tiny_study().record_file(CE, 0))
    file = tmp_path / "mine"
    file.write_bytes(content)
    assert not agrees(CE, [record], file)


# Controllers and checkpoints


class Evil:
    """Unpickled, it writes a file."""

    def __reduce__(self):
        return (os.system, ("touch pwned",))


def as_zip(payload):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def as_saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


EVIL = {
    "a pickle": pickle.dumps(Evil(), protocol=2),
    "in torch's archive": as_zip(pickle.dumps({"weighting": Evil()}, protocol=2)),
    "saved by torch": as_saved({"weighting": Evil()}),
    "a builtin": as_zip(b"\x80\x02cbuiltins\neval\nU\x12open('pwned','w+')\x85R."),
    "a module": as_zip(b"\x80\x02cos\nsystem\nU\x0btouch pwned\x85R."),
}


def test_the_malicious_pickles_would_work(tmp_path):
    pickle.loads(EVIL["a pickle"])
    assert (tmp_path / "pwned").exists()
    (tmp_path / "pwned").unlink()
    torch.load(io.BytesIO(EVIL["saved by torch"]), weights_only=False)
    assert (tmp_path / "pwned").exists()
    (tmp_path / "pwned").unlink()


@pytest.mark.parametrize("kind", EVIL)
def test_a_malicious_pickle_runs_nothing(sound, tmp_path, kind):
    with pytest.raises(RecordError, match="no controller"):
        check_controller(EVIL[kind], parse_record(sound[0], "there"))
    (tmp_path / "mine").write_bytes(EVIL[kind])
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        checkpoint.load(tmp_path / "mine", torch.device("cpu"))


def damage(content, data):
    """Some bytes set anew, or cut out."""
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[position] = data.draw(st.integers(0, 255))
        else:
            del content[position : position + data.draw(st.integers(1, 64))]


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_a_controller_with_other_bytes_is_refused_or_has_the_same_parameters(sound, data):
    record, content = parse_record(sound[0], "there"), bytearray(sound[1])
    check_controller(bytes(content), record)
    damage(content, data)
    try:
        check_controller(bytes(content), record)
    except RecordError:
        return
    whole, read = (
        torch.load(io.BytesIO(file), map_location="cpu", weights_only=True)["weighting"]
        for file in (sound[1], bytes(content))
    )
    assert whole.keys() == read.keys()
    assert all(torch.equal(whole[key], read[key]) for key in whole)


# YAML

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    "text",
    [
        "scale: !!python/object/apply:os.system ['touch pwned']",
        "scale: !!python/name:os.system",
        "scale: !!python/module:os",
        "!!python/object/new:type {args: [z, [], {}]}",
        "scale: !include /etc/passwd",
        BOMB,
        "a: &a {b: *a}",
        "scale: smoke\nscale: paper",
        "study: {seeds: 1, seeds: 2}",
        "[" * 5000,
        "a: 2001-99-99",
        "\x00",
    ],
    ids=lambda text: text[:30],
)
def test_yaml_that_is_more_than_plain_data_is_refused(tmp_path, text):
    (tmp_path / "mine").write_text(text)
    with pytest.raises(ConfigError) as error:
        read_yaml(tmp_path / "mine")
    assert len(str(error.value)) < 1000


@settings(WRITES, max_examples=100)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode(errors="replace")))
def test_any_bytes_are_a_configuration_or_an_error(tmp_path, content):
    (tmp_path / "mine").write_bytes(content)
    with pytest.raises(ConfigError):
        load_yaml(tmp_path / "mine", Config)


DEFAULT = (ROOT / "configs" / "default.yaml").read_bytes()


@settings(WRITES, max_examples=100)
@given(st.data())
def test_a_configuration_with_other_bytes_is_valid_or_an_error(tmp_path, data):
    content = bytearray(DEFAULT)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    (tmp_path / "mine").write_bytes(content)
    with suppress(ConfigError):
        assert isinstance(load_yaml(tmp_path / "mine", Config), Config)


@settings(WRITES, max_examples=60)
@given(values)
def test_any_plain_data_is_a_configuration_or_an_error(tmp_path, content):
    text = yaml.safe_dump(copy.deepcopy(content))
    (tmp_path / "mine").write_bytes(text.encode(errors="replace"))
    with pytest.raises(ConfigError):
        load_yaml(tmp_path / "mine", Config)


# Archives: tests/data/test_archive.py has the cases by hand

INSIDE = {"d/train.csv": b"1,2\n" * 500, "d/test.csv": b"3,4\n"}
MEMBERS = [Member(path=path, max_bytes=50_000) for path in INSIDE]
hostile = st.sampled_from(
    ["../pwned", "/tmp/pwned", "d/../../pwned", "d/train.csv", "./d/test.csv", "..\\pwned", "d"]
)


def packed(kind, entries):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries:
                archive.writestr(zipfile.ZipInfo(name), content)  # warns of a name that is twice
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in entries:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(tmp_path, kind, content):
    """What comes out, or the error; in any case the named files only, in the given folder."""
    mine = tmp_path / "mine"
    mine.mkdir(exist_ok=True)
    archive, folder = mine / "archive", mine / "out"
    archive.write_bytes(content)
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    try:
        extract(archive, kind, MEMBERS, folder, "the archive", lambda _: None)
    except DataError as error:
        return error
    finally:
        assert {path.name for path in mine.iterdir()} == {"archive", "out"}
        written = list(folder.iterdir())
        assert all(path.is_file() and not path.is_symlink() for path in written)
        assert all(path.stat().st_size <= 50_000 for path in written)
    return {path.name for path in written}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(WRITES, max_examples=200)
@given(st.sampled_from(["zip", "tar.gz"]), st.lists(hostile, max_size=4), st.randoms())
def test_names_in_an_archive_decide_nothing(tmp_path, kind, names, shuffled: random.Random):
    entries = [*INSIDE.items(), *((name, b"x" * 100_000) for name in names)]
    shuffled.shuffle(entries)
    found = unpacked(tmp_path, kind, packed(kind, entries))
    twice = {"d/train.csv", "./d/test.csv"} & set(names)
    assert isinstance(found, DataError) if twice else found == {"train.csv", "test.csv"}


@settings(WRITES, max_examples=80)
@given(st.sampled_from(["zip", "tar.gz"]), st.data())
def test_an_archive_with_other_bytes_is_unpacked_whole_or_refused(tmp_path, kind, data):
    content = bytearray(packed(kind, list(INSIDE.items())))
    damage(content, data)
    found = unpacked(tmp_path, kind, bytes(content))
    assert isinstance(found, DataError) or found == {"train.csv", "test.csv"}
