"""Extraction: named members only, whole and no larger than they may be, wherever they point."""

import errno
import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from autoloss.data.fetch.archive import extract
from autoloss.data.folders import NoSpaceError
from autoloss.data.specs import Member
from autoloss.errors import DataError

FILES = {"d/train.csv": b"1,2\n" * 5000, "d/test.csv": b"3,4\n"}
MEMBERS = [Member(path=path, max_bytes=50_000) for path in FILES]


def zipped(entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, mode << 16
            opened.writestr(info, content)
    return buffer.getvalue()


def tarred(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for name, content, mode in entries:
            entry = tarfile.TarInfo(name)
            if mode in (0, stat.S_IFREG):
                entry.size = len(content)
                opened.addfile(entry, io.BytesIO(content))
            else:
                kinds = {stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFCHR: tarfile.CHRTYPE}
                entry.type, entry.linkname = kinds[mode], content.decode()
                opened.addfile(entry)
    return gzip.compress(buffer.getvalue(), mtime=0)


WAYS = [("zip", zipped), ("tar.gz", tarred)]
PLAIN = [(name, content, 0) for name, content in FILES.items()]


@pytest.fixture
def unpack(tmp_path):
    def run(kind, content, members=MEMBERS):
        archive, folder = tmp_path / "archive", tmp_path / "out"
        archive.write_bytes(content)
        folder.mkdir()
        try:
            return extract(archive, kind, members, folder, "the.archive", lambda _: None)
        finally:
            assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}

    return run


@pytest.mark.parametrize(("kind", "pack"), WAYS)
def test_named_members_come_out_whole_and_nothing_else(unpack, tmp_path, kind, pack):
    extra = [("../evil.txt", b"x", 0), ("/tmp/evil.txt", b"x", 0), ("train.csv", b"no", 0)]
    found = unpack(kind, pack([*extra, *PLAIN]))
    assert [file.name for file in found] == ["train.csv", "test.csv"]
    assert (tmp_path / "out/train.csv").read_bytes() == FILES["d/train.csv"]
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize(("kind", "pack"), WAYS)
def test_a_dot_before_the_path_is_no_part_of_it(unpack, kind, pack):
    assert len(unpack(kind, pack([(f"./{name}", data, 0) for name, data, _ in PLAIN]))) == 2


@pytest.mark.parametrize(("kind", "pack"), WAYS)
@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (PLAIN[:1], "holds no d/test.csv"),
        ([*PLAIN, PLAIN[0]], "holds d/train.csv twice"),
        ([PLAIN[1], ("d/train.csv", b"/etc/passwd", stat.S_IFLNK)], "no plain file"),
        ([PLAIN[1], ("d/train.csv", b"", stat.S_IFCHR)], "no plain file"),
        ([PLAIN[1], ("d/train.csv", b"0" * 50_001, 0)], "more than the 50000 bytes"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_other_archives_are_refused(unpack, kind, pack, entries, problem):
    with pytest.raises(DataError, match=problem):
        unpack(kind, pack(entries))


@pytest.mark.parametrize(("kind", "pack"), WAYS)
@pytest.mark.parametrize(
    "spoil", [lambda c: c[:-30], lambda c: c[: len(c) // 2], lambda c: b"<html"]
)
def test_a_half_archive_is_no_sound_archive(unpack, kind, pack, spoil):
    with pytest.raises(DataError, match=r"the\.archive: is no sound"):
        unpack(kind, spoil(pack(PLAIN)))


@pytest.mark.parametrize(("kind", "pack"), WAYS)
def test_a_flipped_byte_inside_is_found(unpack, kind, pack):
    content = bytearray(pack(PLAIN))
    content[60] ^= 0x10
    with pytest.raises(DataError):
        unpack(kind, bytes(content))


@pytest.mark.parametrize(("kind", "pack"), WAYS)
def test_room_is_asked_for_before_it_is_unpacked(unpack, monkeypatch, tmp_path, kind, pack):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": 100}))
    with pytest.raises(NoSpaceError, match="unpacking"):
        unpack(kind, pack(PLAIN))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("kind", "pack"), WAYS)
def test_a_disk_that_is_full_says_nothing_of_the_archive(unpack, monkeypatch, kind, pack):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("autoloss.data.fetch.archive.measure", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(kind, pack(PLAIN))
