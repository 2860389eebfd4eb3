"""`python -m autoloss.kernels`: compile them all, a quarter of a minute, before jobs need them."""

from importlib import import_module
from pkgutil import iter_modules

from autoloss import kernels
from autoloss.kernels.runtime import Kernel

if __name__ == "__main__":
    for module in iter_modules(kernels.__path__, "autoloss.kernels."):
        if not module.name.endswith("__main__"):
            for found in vars(import_module(module.name)).values():
                if isinstance(found, Kernel):
                    found.address  # noqa: B018 - asking for it compiles it
