"""`autoloss test NAME`: the contract's tests of one method, then lint and types of its file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

from autoloss.errors import ConfigError, require_known
from autoloss.methods.discover import discover
from autoloss.project import project_root

TOOLS = ("pytest", "hypothesis", "ruff", "mypy")


def test_method(name: str, say: Callable[[str], object]) -> bool:
    """Run them one after the other, all of them, and say which passed; whether all did.

    Raises:
        ConfigError: there is no such method, or nothing to test it with.
    """
    root = project_root()
    methods = discover(root)
    require_known([name], methods, "method", "NAME")
    if missing := [tool for tool in TOOLS if find_spec(tool) is None]:
        raise ConfigError("the environment", f"has no {', '.join(missing)}", "run `make setup`")
    file = str(methods[name].file.relative_to(root))
    steps = {
        "contract": ["pytest", "tests/contract", "--method", name, "--tb=short", "-n", "0"],
        "lint": ["ruff", "check", file],
        "format": ["ruff", "format", "--diff", file],
        "types (a minute the first time)": ["mypy", file],
    }
    passed = {}
    for step, command in steps.items():
        say(f"{step}: {' '.join(command)}")
        passed[step] = not subprocess.run([sys.executable, "-m", *command], cwd=root).returncode
    failed = [step.partition(" (")[0] for step, well in passed.items() if not well]
    say(f"{name}: {', '.join(failed)} failed" if failed else f"{name}: all passed")
    return not failed
