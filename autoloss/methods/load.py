"""The class of a method, from its file, which is imported (and so torch)."""

from __future__ import annotations

import sys

from autoloss.errors import MethodError, require_known
from autoloss.folder import member
from autoloss.methods.contract import Method
from autoloss.methods.discover import discover
from autoloss.methods.fixed import FixedWeights
from autoloss.project import project_root


def load(name: str) -> type[Method]:
    """The class of a method; imports its file.

    Raises:
        ConfigError: no such method.
        MethodError: the file does not import, or its `info` is not what the source text says.
    """
    methods = discover()
    require_known([name], methods, "method", "method")
    entry, root = methods[name], str(project_root())
    if root not in sys.path:  # installed for editing, it has `baselines/` in no package
        sys.path.insert(0, root)
    module = ".".join(entry.file.relative_to(root).with_suffix("").parts)
    method: type[Method] = member(module, entry.class_name)
    if issubclass(method, FixedWeights) and method.weights is not FixedWeights.weights:
        problem = "FixedWeights trains by its `constant`, and takes no `weights` of a subclass"
        raise MethodError(str(entry.file), problem, "give `constants()`, or derive from Method")
    if method.info != entry.info:
        problem = "info changes when the file is imported"
        raise MethodError(str(entry.file), problem, "write it in literals only")
    return method
