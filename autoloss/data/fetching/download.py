"""One file over HTTP: goes on where it stopped, tries again, and ends with the published bytes.

pooch and the like begin anew after a cut; Criteo is 4.6 GB. A part is continued only if the server
confirms (If-Range) that it still has the same content; else, or if it knows no ranges, from zero.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from rich.filesize import decimal
from urllib3.exceptions import HTTPError

from autoloss.data.fetching.content import Content, content_of
from autoloss.data.fetching.part import Begun, Part
from autoloss.data.fetching.progress import progress
from autoloss.data.fetching.space import require_space
from autoloss.data.progress import Say
from autoloss.data.registry import Pinned
from autoloss.errors import DataError

CHUNK = 1 << 16
PASSING = {408, 425, 429}  # beside 5xx, the statuses that another try may mend


@dataclass(frozen=True)
class Patience:
    """How often and how long a server is waited for."""

    tries: int = 6  # without progress in between
    tries_elsewhere: int = 2  # where nothing has come yet and another mirror is left
    pause: float = 1.0  # seconds before the second try, twice as long before each further one
    longest: float = 60.0
    timeout: tuple[float, float] = (10, 60)  # seconds to connect, and between two packets


PATIENCE = Patience()


class _AgainError(Exception):
    """This attempt failed; another may not."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


def download(part: Part, pins: Pinned, *, last: bool, say: Say) -> Content:
    """Complete `part` and return its content, which is what `pins` publish of it.

    `last`: no other mirror is left, so that patience is worth more.
    """
    continued = _complete(part, pins, last, say)
    content = _checked(part, pins, say)
    if continued and content.differences():
        say(f"{part.name}: differs, and was continued from an earlier part: starting over")
        part.discard()
        _complete(part, pins, last, say)
        content = _checked(part, pins, say)
    if content.differences():
        part.discard()
        content.require_published(part.name, part.url)
    return content


def _checked(part: Part, pins: Pinned, say: Say) -> Content:
    with progress(f"checking {part.name}", part.size, say) as at:
        return content_of(part.path, pins, at)


def _complete(part: Part, pins: Pinned, last: bool, say: Say) -> bool:
    """Try until every byte is there; whether bytes of an earlier connection are among them."""
    failures, best = 0, part.size
    while True:
        try:
            with _failures_of_the_network(part.url):
                return _attempt(part, pins, say)
        except _AgainError as error:
            step = max(1 << 20, (pins.bytes or 0) // 100)
            failures = 1 if part.size >= best + step else failures + 1
            best = max(best, part.size)
            hopeful = last or best > 0
            tries = PATIENCE.tries if hopeful else PATIENCE.tries_elsewhere
            if failures >= tries:
                problem = f"{error}; {failures} tries without progress"
                raise DataError(part.url, problem, "try again later") from None
            wait = min(error.wait or PATIENCE.pause * 2 ** (failures - 1), PATIENCE.longest)
            wait *= random.uniform(0.8, 1)  # many who were cut off at once do not return at once
            say(f"{part.name}: {error}; trying again in {wait:.0f} s")
            time.sleep(wait)


def _attempt(part: Part, pins: Pinned, say: Say) -> bool:
    """One connection; whether it continued a part."""
    begun, offset = part.begun(), part.size
    if begun is not None and begun.total == offset:
        return True
    # Without a validator only a published digest can tell whether the halves belong together.
    if begun is None or not (begun.validator or pins.md5 or pins.sha256):
        offset = 0
    headers = {"Accept-Encoding": "identity"}
    if begun is not None and offset:
        headers["Range"] = f"bytes={offset}-"
        if begun.validator:
            headers["If-Range"] = begun.validator
    with requests.get(part.url, headers=headers, stream=True, timeout=PATIENCE.timeout) as response:
        now = _begun(part, response)
        start = _start(part, response, now, begun, offset)
        if pins.bytes is not None and now.total not in (None, pins.bytes):
            part.discard()
            problem = (
                f"{part.name} differs: expected {pins.bytes} bytes, the server has {now.total}"
            )
            raise DataError(part.url, problem, "try again later")
        require_space(part.path.parent, (now.total or 0) - start, f"the rest of {part.name}")
        if start == 0:
            part.begin(now)
        else:
            say(f"{part.name}: going on at {decimal(start)}")
        _receive(part, response, start, now.total, pins, say)
    expected = pins.bytes if now.total is None else now.total
    if expected is not None and part.size < expected:
        raise _AgainError(f"the connection ended after {part.size} of {expected} bytes")
    part.note(now.model_copy(update={"total": part.size}))
    return start > 0


def _receive(
    part: Part, response: requests.Response, start: int, total: int | None, pins: Pinned, say: Say
) -> None:
    limit = total or pins.bytes
    with part.path.open("r+b") as file, progress(part.name, total, say) as at:
        file.seek(start)
        # As they are: a server that labels a .gz file as compressed in transit means the file.
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            file.write(chunk)
            at(file.tell())
            if limit is not None and file.tell() > limit:
                part.discard()
                raise DataError(part.url, f"sends more than {limit} bytes", "try again later")


def _start(
    part: Part, response: requests.Response, now: Begun, begun: Begun | None, offset: int
) -> int:
    """Where the body of the response begins; an exception if there is none to take."""
    status = response.status_code
    if status == 200:
        return 0
    if status == 206:
        start = _range(response)[0]
        if start == offset and (offset == 0 or now.may_continue(begun)):
            return start
        part.discard()
        raise _AgainError("the file has changed at the server: starting over")
    if status == 416:
        part.discard()
        raise _AgainError("the server has no such part: starting over")
    reason = f"the server answers {status} {response.reason}"
    if status in PASSING or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise _AgainError(reason, float(after) if after.isdecimal() else 0)
    raise DataError(part.url, reason, "try again later")


def _begun(part: Part, response: requests.Response) -> Begun:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    if response.status_code == 206:
        total = _range(response)[1]
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    return Begun(url=part.url, etag=etag, modified=modified, total=total)


def _range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and total of a Content-Range."""
    text = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text)
    if found is None:
        return None, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


@contextmanager
def _failures_of_the_network(url: str) -> Iterator[None]:
    try:
        yield
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        HTTPError,
    ) as error:
        raise _AgainError(_root(error)) from None
    except requests.RequestException as error:
        raise DataError(url, _root(error), "try again later") from None


def _root(error: BaseException) -> str:
    """The innermost reason, which says more than the chain of libraries around it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {str(error)[:200]}"
