"""The metrics of the study, each with its direction, declared once and used everywhere.

AUC and log loss are the paper's (§3.2); with C classes, AUC is one-vs-rest, macro-averaged (the
paper does not say which average). `logloss_calibrated` is the log loss after recalibration on the
validation split: focal and hinge minimisers are not calibrated, so their raw log loss says little.
A run that has trained on that split has none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number that judges a run on one split."""

    name: str
    label: str
    higher_is_better: bool
    derived: bool = False  # by a fit to predictions: equal up to the fit's own rounding

    def gain(self, ours: float, other: float) -> float:
        """Ours minus other in the metric's good direction: positive is better, everywhere."""
        return ours - other if self.higher_is_better else other - ours


# One-vs-rest AUC by the other usual average, over the classes' shares. Kept of tasks with more than
# two classes, for the sensitivity study.
AUC_WEIGHTED = "auc_weighted"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", "AUC", higher_is_better=True),
        Metric("logloss", "Log loss", higher_is_better=False),
        Metric("logloss_calibrated", "Log loss, recal.", higher_is_better=False, derived=True),
    )
}
DERIVED = tuple(name for name, metric in METRICS.items() if metric.derived)
