"""One file over HTTP: goes on where it stopped, tries again, and ends with the published bytes.

pooch and the like begin anew after a cut; Criteo is 4.6 GB. A part is continued only if the server
confirms (If-Range) that it still has the same content; else, or if it knows no ranges, from zero.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from pathlib import Path

import requests
from pydantic import ValidationError
from rich.filesize import decimal
from urllib3.exceptions import HTTPError

from autoloss.data.fetch.content import LATER, measure_file
from autoloss.data.folders import require_space
from autoloss.data.manifest import RawFile
from autoloss.data.progress import Say, byte_progress
from autoloss.data.specs import Pinned
from autoloss.errors import DataError
from autoloss.strict import Strict

CHUNK = 1 << 16
PASSING = {408, 425, 429}  # beside 5xx, the statuses that another try may mend
TRIES = 6  # without progress in between
TRIES_ELSEWHERE = 2  # where nothing has come yet and another mirror is left
PAUSE, LONGEST = 1.0, 60.0  # seconds before the second try, twice as long before each further one
TIMEOUT = 10.0, 60.0  # seconds to connect, and between two packets
FAILURES = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    HTTPError,
)


class _AgainError(Exception):
    """This attempt failed; another may not."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class Begun(Strict):
    """What the server said of the content when a download began."""

    validator: str | None  # changes with every byte: a strong ETag, else Last-Modified
    total: int | None

    def may_be(self, other: Begun) -> bool:
        """Whether nothing says that this is other content: some servers ignore If-Range."""
        pairs = (self.validator, other.validator), (self.total, other.total)
        return all(None in pair or pair[0] == pair[1] for pair in pairs)


class Part:
    """The bytes of a download so far, in the file `path`, and beside it what they are a part of.

    Both stay when a process dies, and are named by the URL, so that the next one goes on.
    """

    def __init__(self, raw_dir: Path, url: str) -> None:
        self.url, self.name = url, url.split("?")[0].rsplit("/", 1)[-1]
        token = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.path = raw_dir.parent / f".{raw_dir.name}.{token}.part"
        self._note = self.path.with_suffix(".part.json")

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begun(self) -> Begun | None:
        """What it is a part of; None if that is not known, so that it must begin anew."""
        try:
            text = self._note.read_text(encoding="utf-8")
            return Begun.model_validate_json(text) if self.path.exists() else None
        except (OSError, ValidationError, UnicodeDecodeError):
            return None

    def note(self, begun: Begun) -> None:
        """Write down what it is a part of."""
        self._note.write_text(begun.model_dump_json() + "\n", encoding="utf-8")

    def discard(self) -> None:
        """Remove it, the note first: bytes without one are not gone on with."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def discard_parts(raw_dir: Path) -> None:
    """Remove the parts of every mirror of a source that has come."""
    for path in raw_dir.parent.glob(f".{raw_dir.name}.*.part*"):
        if path.is_file():
            path.unlink()


def download(part: Part, pins: Pinned, *, last: bool, say: Say) -> RawFile:
    """Complete `part` and return its entry of a manifest.

    `last`: no other mirror is left, so that patience is worth more.

    Raises:
        DataError: the server does not give it, or what came is not what `pins` publish of it.
    """
    for _ in range(2):
        continued = _complete(part, pins, last, say)
        with byte_progress(f"checking {part.name}", part.size, say) as at:
            file, wrong = measure_file(part.path, part.name, pins, at)
        if not wrong:
            return file
        part.discard()
        if not continued:
            break
        say(f"{part.name}: differs, and was continued from an earlier part: starting over")
    raise DataError(part.url, f"{part.name} differs: {wrong}", LATER)


def _complete(part: Part, pins: Pinned, last: bool, say: Say) -> bool:
    """Try until every byte is there; whether bytes of an earlier connection are among them."""
    failures, best = 0, part.size
    step = max(1 << 20, (pins.bytes or 0) // 100)
    while True:
        try:
            return _attempt(part, pins, say)
        except (_AgainError, *FAILURES) as error:
            reason = str(error) if isinstance(error, _AgainError) else _root(error)
            wait = getattr(error, "wait", 0)
        except requests.RequestException as error:
            raise DataError(part.url, _root(error), LATER) from None
        failures = 1 if part.size >= best + step else failures + 1
        best = max(best, part.size)
        if failures >= (TRIES if last or best > 0 else TRIES_ELSEWHERE):
            raise DataError(part.url, f"{reason}; {failures} tries without progress", LATER)
        wait = min(wait or PAUSE * 2 ** (failures - 1), LONGEST)
        wait *= random.uniform(0.8, 1)  # many who were cut off at once do not return at once
        say(f"{part.name}: {reason}; trying again in {wait:.0f} s")
        time.sleep(wait)


def _attempt(part: Part, pins: Pinned, say: Say) -> bool:
    """One connection; whether it continued a part."""
    begun, offset = part.begun(), part.size
    if begun is not None and begun.total == offset:
        return True
    headers = {"Accept-Encoding": "identity"}
    # Without a validator only a published digest can tell whether the halves belong together.
    if begun is not None and offset and (begun.validator or pins.md5 or pins.sha256):
        headers["Range"] = f"bytes={offset}-"
        if begun.validator:
            headers["If-Range"] = begun.validator
    else:
        begun, offset = None, 0
    with requests.get(part.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code not in (200, 206, 416):  # 416: it has no such part
            raise _refusal(part, response)
        start, now = _said(response)
        if start is None or (start and (begun is None or start != offset or not now.may_be(begun))):
            part.discard()
            raise _AgainError("the file has changed at the server: starting over")
        if pins.bytes is not None and now.total not in (None, pins.bytes):
            part.discard()
            problem = f"expected {pins.bytes} bytes, the server has {now.total}"
            raise DataError(part.url, f"{part.name} differs: {problem}", LATER)
        require_space(part.path.parent, (now.total or 0) - start, f"the rest of {part.name}")
        if start:
            say(f"{part.name}: going on at {decimal(start)}")
        else:
            part.discard()
            part.path.touch()
            part.note(now)
        _receive(part, response, start, now.total or pins.bytes, say)
    expected = pins.bytes if now.total is None else now.total
    if expected is not None and part.size < expected:
        raise _AgainError(f"the connection ended after {part.size} of {expected} bytes")
    part.note(now.model_copy(update={"total": part.size}))
    return start > 0


def _receive(
    part: Part, response: requests.Response, start: int, total: int | None, say: Say
) -> None:
    with part.path.open("r+b") as file, byte_progress(part.name, total, say) as at:
        file.seek(start)
        # As they are: a server that labels a .gz file as compressed in transit means the file.
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            file.write(chunk)
            at(file.tell())
            if total is not None and file.tell() > total:
                part.discard()
                raise DataError(part.url, f"sends more than {total} bytes", LATER)


def _said(response: requests.Response) -> tuple[int | None, Begun]:
    """Where the body begins (None: it is of no use), and what the server says of the whole."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    start: int | None = 0
    if response.status_code != 200:
        content_range = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)
        start = int(match[1]) if match and response.status_code == 206 else None
        total = int(match[2]) if match and match[2] != "*" else None
    etag = response.headers.get("ETag") or "W/"
    validator = response.headers.get("Last-Modified") if etag.startswith("W/") else etag
    return start, Begun(validator=validator, total=total)


def _refusal(part: Part, response: requests.Response) -> Exception:
    status = response.status_code
    reason = f"the server answers {status} {response.reason}"
    if status in PASSING or status >= 500:
        after = response.headers.get("Retry-After", "")
        return _AgainError(reason, float(after) if after.isdecimal() else 0)
    return DataError(part.url, reason, LATER)


def _root(error: BaseException) -> str:
    """The innermost reason, which says more than the chain of libraries around it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {str(error)[:200]}"
