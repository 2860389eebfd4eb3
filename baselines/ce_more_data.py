"""Cross-entropy on training and validation data: what the validation data alone are worth.

Methods that learn on validation batches see more data than a fixed loss does. This control is CE
trained as ever, with early stopping; then, from the same start, on both splits for as many epochs
as were best. A gain of a learned method over CE that is no larger than this row's is one of data.

It trains twice, which its budget shows. It has no recalibrated log loss and no validation metrics:
both would be of data that it has trained on.
"""

from __future__ import annotations

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info


class CrossEntropyMoreData(FixedWeights):
    """Weight 1 on the ce loss, refitted on training and validation data."""

    info = Info(
        name="ce_more_data",
        label="CE, more data",
        summary="CE refitted on training and validation data",
        paper="control of this project",
        fidelity=(
            (
                "data",
                "§2.5",
                "V learns on validation data, a fixed loss does not",
                "our reading",
                "a control: cross-entropy trains on them too",
                "B7",
            ),
        ),
        weights="one candidate",
        learns_on="nothing",
        tables=("controls",),
        refits=True,
    )
    constant = {"ce": 1.0}
