"""Files that the user has: taken in with a download's checks, and no network."""

import hashlib
import os
import zipfile

import pytest
from typer.testing import CliRunner

from autoloss.cli import app
from autoloss.data.fetch import importing
from autoloss.data.fetch.importing import import_files
from autoloss.data.fetch.raw_folder import verify_raw
from autoloss.data.specs import SourceSpec
from autoloss.errors import DataError

FILES = {"train.csv": b"1,2\n" * 100, "test.csv": b"3,4\n"}


def pins(content):
    return {"bytes": len(content), "md5": hashlib.md5(content).hexdigest()}


@pytest.fixture
def given(tmp_path):
    """An archive and its members, as a user may have them."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    with zipfile.ZipFile(folder / "Tiny.zip", "w") as opened:
        for name, content in FILES.items():
            opened.writestr(name, content)
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def spec(given):
    members = [{"path": name, **pins(content)} for name, content in FILES.items()]
    mirror = {
        "kind": "url",
        "format": "plain",
        "url": "http://127.0.0.1:9/Tiny.zip",
        "archive": "zip",
        "members": members,
        **pins((given / "Tiny.zip").read_bytes()),
    }
    texts = {"title": "Tiny", "homepage": "h", "licence": "be kind", "citation": "cite us"}
    return SourceSpec.model_validate({"name": "tiny", **texts, "mirrors": [mirror]})


@pytest.fixture
def take(spec, given, tmp_path):
    def run(*names):
        raw = tmp_path / "data" / "raw" / "tiny"
        import_files(spec, [given / name for name in names], raw, say=lambda _: None)
        return raw

    return run


@pytest.mark.parametrize("names", [["Tiny.zip"], ["train.csv", "test.csv"]])
def test_an_archive_or_all_members_become_the_raw_folder(take, names):
    raw = take(*names)
    manifest = verify_raw(raw)
    assert manifest.mirror == f"imported from {', '.join(names)}"
    assert {file.name: (raw / file.name).read_bytes() for file in manifest.files} == FILES
    assert [path.name for path in raw.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("name", ["a b", "it's", 'a "b"', "a#b", "a\nb", "é", os.fsdecode(b"\xff")])
def test_an_archive_may_have_any_name(take, given, name, tmp_path):
    (given / name).mkdir()
    (given / "Tiny.zip").rename(given / name / name)
    raw = take(f"{name}/{name}")
    assert len(verify_raw(raw).mirror.splitlines()) == 1
    with pytest.raises(DataError) as caught:
        take(f"{name}/none")
    assert len(caught.value.where.splitlines()) == 1
    str(caught.value).encode()  # so it can be printed


def test_two_files_of_one_name_are_refused(take, given):
    (given / "other").mkdir()
    (given / "other" / "train.csv").write_bytes(b"9,9\n")
    with pytest.raises(DataError, match="two have one name"):
        take("other/train.csv", "train.csv", "test.csv")


def test_what_somebody_put_into_the_raw_folder_stays(take):
    raw = take("Tiny.zip")
    (raw / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"not in its manifest.*'notes\.txt'"):
        take("Tiny.zip")
    assert (raw / "notes.txt").read_text() == "mine"
    verify_raw(raw)


def test_members_on_the_same_disk_take_no_room(take, given):
    raw = take("train.csv", "test.csv")
    assert (raw / "train.csv").samefile(given / "train.csv")


def test_members_on_another_disk_are_copied(take, given, monkeypatch):
    def refuse(*_, **__):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    raw = take("train.csv", "test.csv")
    assert not (raw / "train.csv").samefile(given / "train.csv")
    verify_raw(raw)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (
            ["train.csv"],
            "test.csv is not among them(?s:.)*name Tiny.zip, or train.csv and test.csv",
        ),
        (["none.zip"], r"none\.zip: no such file"),
    ],
)
def test_what_is_missing_is_named(take, names, problem):
    with pytest.raises(DataError, match=problem):
        take(*names)


def test_wrong_files_are_refused_and_nothing_is_in_place(take, given, tmp_path, monkeypatch):
    (given / "train.csv").write_bytes(b"9,9\n" * 100)
    with pytest.raises(DataError, match=r"train\.csv differs: expected md5"):
        take("train.csv", "test.csv")
    with zipfile.ZipFile(given / "Tiny.zip", "a") as opened:
        opened.writestr("more", b"")
    monkeypatch.setattr(importing, "measure_file", lambda *_: pytest.fail("it was read"))
    with pytest.raises(DataError, match=r"Tiny\.zip differs: expected \d+ bytes"):
        take("Tiny.zip")
    assert not list((tmp_path / "data" / "raw").iterdir())


def test_the_command_is_there():
    done = CliRunner().invoke(app, ["data", "import", "--help"])
    assert done.exit_code == 0
    assert "Verify files that you already have" in done.output
