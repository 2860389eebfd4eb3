"""A download that is under way: its bytes so far, and which content they are the beginning of."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from autoloss.strict import Strict


class Begun(Strict):
    """What the server said of the content when the download began."""

    url: str
    etag: str | None
    modified: str | None
    total: int | None

    @property
    def validator(self) -> str | None:
        """For If-Range, which takes only what changes with every byte: no weak ETag."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def may_continue(self, before: Begun | None) -> bool:
        """Whether nothing says that this is other content: some servers ignore If-Range."""
        if before is None:
            return False
        then = (before.total, before.etag, before.modified)
        pairs = zip((self.total, self.etag, self.modified), then, strict=True)
        return all(None in (new, old) or new == old for new, old in pairs)


class Part:
    """The file of a partial download and, beside it, what it is a part of.

    It stays when a process dies, and is named by its URL, so that the next one goes on with it.
    """

    def __init__(self, raw_dir: Path, url: str) -> None:
        self.url = url
        token = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.path = raw_dir.parent / f".{raw_dir.name}.{token}.part"
        self._begun = self.path.with_suffix(".part.json")

    @property
    def name(self) -> str:
        """The file's name at its URL."""
        return self.url.split("?")[0].rsplit("/", 1)[-1]

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begun(self) -> Begun | None:
        """What it is a part of; None if that is not known, so that it must begin anew."""
        try:
            begun = Begun.model_validate_json(self._begun.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError):
            return None
        return begun if begun.url == self.url and self.path.exists() else None

    def begin(self, begun: Begun) -> None:
        """Begin anew. The old bytes go first: killed in between, they have no new beginning."""
        self.path.write_bytes(b"")
        self.note(begun)

    def note(self, begun: Begun) -> None:
        """Write down what it is a part of."""
        new = self._begun.with_suffix(".new")
        new.write_text(begun.model_dump_json() + "\n", encoding="utf-8")
        new.replace(self._begun)

    def discard(self) -> None:
        """Remove it."""
        self._begun.unlink(missing_ok=True)
        self._begun.with_suffix(".new").unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def discard_parts(raw_dir: Path) -> None:
    """Remove the parts of every mirror of a source that has come."""
    for path in raw_dir.parent.glob(f".{raw_dir.name}.*.part*"):
        if path.is_file():
            path.unlink()
