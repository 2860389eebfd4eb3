"""Fixed weights by grid over the simplex: what plain search over global weights can reach.

Equal weights, and all weight vectors with entries 0, 1/k, ..., 1 that sum to 1, for the largest k
whose grid the search budget pays for; one whole training each, the best on validation trains every
seed. In the tuned protocol a point is one choice beside the model's learning rate, weight decay and
the losses' constants, searched together as every method's are: no grid over all of these is paid
for, so k is the largest with which each point can be tried three times.
"""

from __future__ import annotations

from autoloss.errors import ConfigError
from autoloss.methods.fixed import Lab, Searched
from autoloss.methods.info import Info
from autoloss.search.simplex import TIMES, finest, grid, size
from autoloss.search.tuning import tune


class Grid(Searched):
    """Constant weights, the best of a grid."""

    info = Info(
        name="grid",
        label="Grid",
        summary="constant weights by grid search over the simplex",
        paper="Bergstra & Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012",
        fidelity=(
            (
                "weights",
                "§3.4",
                "searched over all the data, by BOHB",
                "our reading",
                "a control: every point of a grid; tuned, one dimension: a point",
            ),
        ),
        weights="global",
        learns_on="validation",
        searches=True,
        trials_per_candidate=1,
        options={"weights": ()},
    )

    @classmethod
    def search(cls, lab: Lab) -> None:
        """Train every point of the finest grid that the budget pays for, or tune among them."""
        n = len(lab.candidates)
        if lab.trials < size(n, 1):
            mend = f"give {size(n, 1)} or more: one for equal weights, one for each candidate alone"
            raise ConfigError("tuning.trials", f"is {lab.trials}", mend)
        points = list(grid(n, finest(n, lab.trials // TIMES if lab.space else lab.trials)))
        if lab.space:
            tune(lab, {"method.weights": ("choice", *points)})
            return
        for point in points:
            lab.train({"method.weights": point})
