"""The reference reproduction of AutoLoss (Zhao et al., KDD 2021).

`from autoloss import AutoLoss` gives the method itself, to train any model with. Importing the
package alone is cheap: the Snakefile does it, so nothing here imports torch or pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoloss.methods.autoloss import AutoLoss as AutoLoss

__version__ = "0.1.0"
__all__ = ["AutoLoss", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "AutoLoss":
        from autoloss.methods.autoloss import AutoLoss

        return AutoLoss
    raise AttributeError(f"module 'autoloss' has no attribute '{name}'")
