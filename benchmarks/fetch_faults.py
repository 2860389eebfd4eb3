"""Fetching under faults: python benchmarks/fetch_faults.py [--trials 240] [--seed 0]

Every trial makes a small source, lets one fault happen while it is fetched from a server on the
loopback, and fetches again once the fault is over. Allowed are the right files or one clear error,
and then the right files. A wrong or half file in place, or anything left behind, is a failure:
the last column counts them and the exit status is 1.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faulty_server import Fault, Site, serving

from autoloss.data.fetch import archive, content, download
from autoloss.data.fetch.raw_folder import verify_raw
from autoloss.data.fetch.source import fetch
from autoloss.data.specs import SourceSpec
from autoloss.errors import UserError

TERMS = {"title": "Tiny", "homepage": "h", "licence": "be kind", "citation": "cite us"}


@dataclass
class Trial:
    """One source, its server and the folder that it is fetched into."""

    spec: SourceSpec
    site: Site
    folder: Path
    files: list[dict[str, bytes]]  # the right ones; two where the content changes meanwhile
    random: random.Random

    @property
    def raw(self) -> Path:
        return self.folder / "raw" / "tiny"

    def fetch(self, force: bool = False) -> str:
        try:
            fetch(self.spec, self.raw, say=lambda _: None, force=force)
        except UserError as error:
            return "clear error" if error.mend and error.problem else "poor error"
        return "right"

    def state(self) -> str:
        """What is in place: nothing, right or WRONG."""
        if not self.raw.exists():
            return "nothing"
        found = {p.name: p.read_bytes() for p in self.raw.iterdir() if p.name != "manifest.json"}
        try:
            verify_raw(self.raw)
        except UserError:
            return "WRONG"
        return "right" if found in self.files else "WRONG"

    def child(self, slow: bool) -> subprocess.Popen[bytes]:
        command = [sys.executable, __file__, "--child", self.spec.model_dump_json(), str(self.raw)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen(command + ["--slow"] * slow, **quiet)  # type: ignore[call-overload]


def packed(kind: str, files: dict[str, bytes]) -> bytes:
    if kind == "none":
        return next(iter(files.values()))
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, data in files.items():
                opened.writestr(f"tiny/{name}", data)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"./tiny/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def pins(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "md5": hashlib.md5(data).hexdigest()}


def trial(rng: random.Random, site: Site, folder: Path) -> Trial:
    """A random source: an archive or one file, its digests published or not.

    Of a file outside an archive they are: with neither a digest nor an archive's sums, nothing
    could tell a wrong byte at the first download.
    """
    kind = rng.choice(["zip", "tar.gz", "none"])
    pinned = kind == "none" or rng.random() < 0.5
    names = ["a.txt"] if kind == "none" else ["a.txt", "b.txt"]
    files = {name: rng.randbytes(rng.randrange(50_000, 400_000)) for name in names}
    site.content, site.validator = packed(kind, files), rng.choice(["etag", "modified", "none"])
    mirror = {
        "kind": "url",
        "format": "plain",
        "url": site.url,
        "archive": kind,
        "members": [
            {"path": f"tiny/{name}", **(pins(data) if pinned else {"max_bytes": 1_000_000})}
            for name, data in files.items()
        ],
        **(pins(site.content) if pinned else {}),
    }
    spec = SourceSpec.model_validate({"name": "tiny", **TERMS, "mirrors": [mirror]})
    return Trial(spec, site, folder, [files], rng)


def faults(*kinds: str, times: int = 1) -> Callable[[Trial], str]:
    """These faults for the first requests; `value` is a random place in the content."""

    def run(t: Trial) -> str:
        for kind in kinds * times:
            t.site.faults.append(Fault(kind, t.random.randrange(len(t.site.content))))
        return t.fetch()

    return run


def status(*codes: int, always: bool = False) -> Callable[[Trial], str]:
    def run(t: Trial) -> str:
        t.site.faults.extend(Fault("status", code) for code in codes)
        t.site.always = Fault("status", codes[-1]) if always else None
        return t.fetch()

    return run


def slow(t: Trial) -> str:
    t.site.faults.append(Fault("slow", 0.002))
    return t.fetch()


def loop(t: Trial) -> str:
    t.site.always = Fault("loop")
    return t.fetch()


def changed(server: str) -> Callable[[Trial], str]:
    """The file changes after a cut; what is published, if anything is, is the new one's."""

    def run(t: Trial) -> str:
        new = {name: t.random.randbytes(len(data)) for name, data in t.files[0].items()}
        (mirror,) = t.spec.mirrors
        before, after = t.site.content, packed(mirror.archive, new)  # type: ignore[union-attr]
        changes: dict[str, Any] = {}
        if mirror.md5:  # type: ignore[union-attr]
            changes |= pins(after)
            members = [
                m.model_copy(update=pins(data))
                for m, data in zip(mirror.members, new.values(), strict=True)
            ]
            changes["members"] = tuple(members)
            t.files = [new]
        else:
            t.files.append(new)
        t.spec = t.spec.model_copy(update={"mirrors": (mirror.model_copy(update=changes),)})
        t.site.faults.append(Fault("cut", t.random.randrange(1, len(before))))
        t.site.faults.append(Fault(server, content=after))
        outcome = t.fetch()
        t.site.content = after  # it may have been refused by its size before the cut
        return outcome

    return run


def disk_check(t: Trial) -> str:
    """The disk has too little room from the beginning."""
    with small_disk(t, 40) as disk:
        t.folder = disk
        return t.fetch()


def disk_fills(t: Trial) -> str:
    """The room goes while it is used: the check passes, the writing does not."""
    kept = archive.require_space, download.require_space, sys.modules[fetch.__module__]
    silent: Callable[..., None] = lambda *_: None  # noqa: E731
    before = kept[2].require_space
    archive.require_space = download.require_space = silent
    kept[2].require_space = silent  # type: ignore[attr-defined]
    try:
        size = len(t.site.content) + sum(map(len, t.files[0].values()))
        with small_disk(t, t.random.randrange(40, max(size // 1024, 41))) as disk:
            t.folder = disk
            return t.fetch()
    finally:
        archive.require_space, download.require_space = kept[:2]
        kept[2].require_space = before  # type: ignore[attr-defined]


class small_disk:
    """A tmpfs of some KiB whose content moves to the trial's folder when the block ends."""

    def __init__(self, t: Trial, kib: int) -> None:
        self.t, self.kib, self.kept = t, kib, t.folder

    def __enter__(self) -> Path:
        self.disk = self.kept / "disk"
        self.disk.mkdir()
        size = f"size={self.kib}k"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", self.disk], check=True)
        return self.disk

    def __exit__(self, *_: object) -> None:
        for path in list(self.disk.iterdir()):
            subprocess.run(["cp", "-a", path, self.kept], check=True)
        subprocess.run(["umount", self.disk], check=True)
        self.disk.rmdir()
        self.t.folder = self.kept


def kill(during: str) -> Callable[[Trial], str]:
    """SIGKILL of the fetching process, at a random moment of the download or the extraction."""

    def run(t: Trial) -> str:
        if during == "download":
            t.site.faults.append(Fault("slow", 0.02))
        child = t.child(slow=during == "extraction")
        share = t.random.random()
        pattern = ".tiny.*.part" if during == "download" else ".tiny.autoloss-partial/*.txt"
        most = len(t.site.content) if during == "download" else len(t.files[0]["a.txt"])
        wait(lambda: child.poll() is not None or size(t.raw.parent, pattern) > share * most * 0.9)
        child.send_signal(signal.SIGKILL)
        child.wait()
        return "right" if child.returncode == 0 else "killed"

    return run


def together(killed: bool) -> Callable[[Trial], str]:
    """Two processes at once; with `killed`, the one that holds the lock dies."""

    def run(t: Trial) -> str:
        t.site.faults.append(Fault("slow", 0.02))
        first = t.child(slow=False)
        wait(lambda: first.poll() is not None or bool(t.site.asked))
        second = t.child(slow=False)
        if killed:
            time.sleep(t.random.random())
            first.send_signal(signal.SIGKILL)
        codes = [first.wait(), second.wait()]
        said = (second.stderr.read() if second.stderr else b"").decode()
        if codes[1] != 0 or (not killed and (codes[0] != 0 or len(t.site.asked) != 1)):
            return f"both failed or both fetched: {codes} {said}"
        return "right"

    return run


def size(folder: Path, pattern: str) -> int:
    try:
        return sum(path.stat().st_size for path in folder.glob(pattern))
    except OSError:
        return 0


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not until() and time.monotonic() < end:
        time.sleep(0.002)


FAULTS: dict[str, Callable[[Trial], str]] = {
    "connection cut once": faults("cut"),
    "connection cut four times": faults("cut", times=4),
    "connection always cut": faults("cut", times=40),
    "slow server": slow,
    "404": status(404, always=True),
    "500": status(500, always=True),
    "503, 503, then good": status(503, 503),
    "wrong byte": faults("wrong"),
    "short Content-Length": faults("short"),
    "ends early, no length": faults("endless"),
    "redirect loop": loop,
    "range ignored after a cut": faults("cut", "whole"),
    "changed after a cut": changed("none"),
    "changed, If-Range ignored": changed("liar"),
    "disk too small": disk_check,
    "disk fills up": disk_fills,
    "kill -9, download": kill("download"),
    "kill -9, extraction": kill("extraction"),
    "two processes": together(killed=False),
    "two, the first killed": together(killed=True),
}


def run(name: str, rng: random.Random) -> tuple[str, str]:
    """The outcome of the attempt with the fault, and of the one after it."""
    with tempfile.TemporaryDirectory(prefix="fetch-faults-") as folder, serving(Site(b"")) as site:
        t = trial(rng, site, Path(folder))
        first, state = FAULTS[name](t), t.state()
        if state == "WRONG" or (first == "right") != (state == "right"):
            return f"WRONG: {first}, {state} in place", ""
        if first not in ("right", "clear error", "killed"):
            return f"WRONG: {first}", ""
        site.faults.clear()
        site.always = None
        then = t.fetch(force=state == "right")
        left = [p.name for p in t.raw.parent.iterdir() if p.name != "tiny"]
        if then != "right" or t.state() != "right" or left:
            return first, f"WRONG: {then}, {t.state()} in place, left {left}"
        return first, then


def child(spec: str, raw: str, slow: bool) -> None:
    """The process that a trial kills."""
    if slow:
        content.CHUNK = 1 << 13
        archive.byte_progress = slowly
    try:
        fetch(SourceSpec.model_validate(json.loads(spec)), Path(raw))
    except UserError as error:
        sys.exit(f"{error}")


class slowly:
    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Callable[[int], None]:
        return lambda _: time.sleep(0.003)

    def __exit__(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="part of a fault's name")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--slow", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    download.PAUSE, download.TIMEOUT = 0, (2, 2)
    if given.child:
        child(*given.child, slow=given.slow)
        return
    names = [name for name in FAULTS if given.only is None or given.only in name]
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for number in range(given.trials):
        name = names[number % len(names)]
        first, then = run(name, random.Random(f"{given.seed}/{number}"))
        bad = [text for text in (first, then) if text.startswith("WRONG")]
        counts[name].update([first if not bad else "WRONG", *(["then right"] if not bad else [])])
        for text in bad:
            print(f"trial {number}, {name}: {text}", file=sys.stderr)
    columns = ["right", "clear error", "killed", "then right", "WRONG"]
    print(f"| {given.trials} trials, seed {given.seed} | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for name, count in counts.items():
        print(f"| {name} | " + " | ".join(str(count[column]) for column in columns) + " |")
    sys.exit(any(count["WRONG"] for count in counts.values()))


if __name__ == "__main__":
    main()
