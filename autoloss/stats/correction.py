"""Many comparisons at once: Holm's correction.

The paper's tables hold some thirty comparisons, each starred at p < 0.05 on its own. Holm keeps
the chance of *any* false star in a family below alpha.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values; NaN (no test was made) stays NaN and is not counted."""
    raw = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(raw)
    if np.any((raw[tested] < 0) | (raw[tested] > 1)):
        raise ValueError("a p-value lies outside 0..1")
    # As statsmodels' multipletests, which collects the whole process's garbage at every call.
    adjusted_p = raw[tested]
    order = np.argsort(adjusted_p)
    steps = np.maximum.accumulate(adjusted_p[order] * np.arange(len(adjusted_p), 0, -1))
    adjusted_p[order] = np.minimum(steps, 1)
    adjusted = np.full_like(raw, np.nan)
    adjusted[tested] = adjusted_p
    return adjusted
