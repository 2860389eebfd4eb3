"""The reference reproduction of AutoLoss (Zhao et al., KDD 2021).

`from autoloss import AutoLoss, OwnLoop, Task` gives the method itself, and what trains any model
with it. Importing the package alone is cheap: the Snakefile does it, so nothing here imports torch
or pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoloss.methods.autoloss import AutoLoss as AutoLoss
    from autoloss.own_loop import OwnLoop as OwnLoop
    from autoloss.task import Task as Task

__version__ = "0.1.0"
__all__ = ["AutoLoss", "OwnLoop", "Task", "__version__"]
HOMES = {"AutoLoss": "methods.autoloss", "OwnLoop": "own_loop", "Task": "task"}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f"autoloss.{HOMES[name]}"), name)
    raise AttributeError(f"module 'autoloss' has no attribute '{name}'")
