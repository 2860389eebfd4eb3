"""Cross-entropy on training and validation data: what the validation data alone are worth.

Methods that learn on validation batches see more data than a fixed loss does. This control is CE
trained as ever, with early stopping; then, from the same start, on both splits for as many epochs
as were best. A gain of a learned method over CE that is no larger than this row's is one of data.

It trains twice, which its budget shows. Its validation metrics, and the recalibration fitted there,
are on data that it has seen.
"""

from __future__ import annotations

from autoloss.method import FixedWeights
from autoloss.registry import Info


class CrossEntropyMoreData(FixedWeights):
    """Weight 1 on the ce loss, refitted on training and validation data."""

    info = Info(
        name="ce_more_data",
        label="CE, more data",
        summary="CE refitted on training and validation data",
        paper="control of this project",
        weights="one candidate",
        learns_on="nothing",
        tables=("controls",),
        refits=True,
    )
    constant = {"ce": 1.0}
