"""`python -m autoloss.ops.kernels`: compile them all, a quarter of a minute, before a job."""

from importlib import import_module
from pkgutil import iter_modules

from autoloss.ops import kernels
from autoloss.ops.kernels.runtime import Kernel

if __name__ == "__main__":
    for module in iter_modules(kernels.__path__, "autoloss.ops.kernels."):
        if not module.name.endswith("__main__"):
            for value in vars(import_module(module.name)).values():
                if isinstance(value, Kernel):
                    value.address  # noqa: B018 - asking for it compiles it
