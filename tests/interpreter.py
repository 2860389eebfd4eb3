"""A fresh interpreter, for what depends on what is imported and when."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from tests.tiny import ROOT


def printed_by(code: str, env: Mapping[str, str] | None = None) -> str:
    """What `code` prints when it is run in the project's root, without space around it."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
