"""A server on the loopback that fails on demand, for tests of fetching and for fetch_faults.py."""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What one request meets.

    kind: cut (after `value` bytes of the body), slow (`value` seconds between pieces), status
    (`value`), wrong (one byte), short (a Content-Length of `value`, kept), endless (no length, and
    ends after `value` bytes), loop (of redirects), whole (a range is ignored), liar (a range is
    served whatever If-Range says), none.
    """

    kind: str
    value: float = 0
    content: bytes | None = None  # what the file has become, from this request on


@dataclass
class Site:
    """The one file that is served, and the faults of the next requests, in order."""

    content: bytes
    validator: str = "etag"  # or modified, weak, none
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    asked: list[str | None] = field(default_factory=list)  # the Range of each request
    url: str = ""

    def next_fault(self) -> Fault:
        if self.faults:
            return self.faults.popleft()
        return self.always or Fault("none")

    @property
    def etag(self) -> str:
        return f'"{zlib.crc32(self.content):x}"'

    @property
    def modified(self) -> str:
        minutes, seconds = divmod(zlib.crc32(self.content) % 3600, 60)
        return f"Tue, 24 Nov 2026 08:{minutes:02}:{seconds:02} GMT"


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        site, fault = self.site, self.site.next_fault()
        if fault.content is not None:
            site.content = fault.content
        site.asked.append(self.headers.get("Range"))
        if fault.kind == "loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault.kind == "status":
            self.send_error(int(fault.value))
            return
        start = self._start(fault)
        body = site.content[start:]
        if fault.kind == "wrong":
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        if fault.kind == "short":
            body = body[: int(fault.value)]
        self.send_response(206 if start else 200)
        if start:
            total = len(site.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if site.validator in ("etag", "weak"):
            self.send_header("ETag", ("W/" if site.validator == "weak" else "") + site.etag)
        if site.validator == "modified":
            self.send_header("Last-Modified", site.modified)
        if fault.kind != "endless":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send(body, fault)

    def _start(self, fault: Fault) -> int:
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked is None or fault.kind == "whole":
            return 0
        now = {"etag": self.site.etag, "modified": self.site.modified}.get(self.site.validator)
        if condition not in (None, now) and fault.kind != "liar":
            return 0
        start = int(asked.removeprefix("bytes=").split("-")[0])
        return start if start < len(self.site.content) else 0

    def _send(self, body: bytes, fault: Fault) -> None:
        if fault.kind in ("cut", "endless"):
            body = body[: int(fault.value)]
        step = max(len(body) // 40, 1) if fault.kind == "slow" else 1 << 16
        try:
            for at in range(0, len(body), step):
                self.wfile.write(body[at : at + step])
                if fault.kind == "slow":
                    time.sleep(fault.value)
        except OSError:  # the client was killed, or has seen enough
            pass


@contextmanager
def serving(site: Site, name: str = "data.bin") -> Iterator[Site]:
    """Serve `site` during the block; its `url` is the file's."""
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_port}/{name}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
