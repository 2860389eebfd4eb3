"""BOHB (Falkner et al., ICML 2018) on loss weights: the paper's Bayesian baseline (§3.4).

Hyperband decides how many points to try and how long (Li et al., JMLR 2018, Algorithm 1, eta = 3).
A density model of good and bad points proposes them one by one, except for a third that are drawn
at random. It is that of the longest trainings of which dim + 1 are known; until then all are drawn.
A trial's value is its best validation value so far; the best one trains every seed. As in the
original: eta, the share at random, 64 samples of the model, where it starts, what it is fitted on.

A point is a number u_i in (0, 1) per candidate; in the tuned protocol also the model's learning
rate and weight decay, and the losses' constants. With G the gamma distribution of shape 1/n,

    w_i = g_i / sum_j g_j      g_i = G^-1(u_i)

so that uniform u are Dirichlet(1/n, ..., 1/n): the mean is 1/n, and CE weighs more than .9 in 5.5 %
of draws for n = 4. (Uniform on the simplex it would in .1 %.)

Deviations. The prior is ours. The density model is optuna's multivariate TPE: Scott's bandwidths, a
prior, a tenth of the points good; BOHB's has 15 %, or dim + 1 if that is more, and draws with
bandwidths three times as wide. In the tuned protocol the published values come first, trained
whole. Brackets run one after the other and start again until the budget, the same as every other
search's, is spent. A trial that early stopping ends keeps its value in longer rungs.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammainc, gammaincinv

from autoloss.methods.fixed import Lab, Searched
from autoloss.methods.info import Info
from autoloss.search.tuning import distribution, meant, nearest

from ._hyperband import brackets, successive_halving

if TYPE_CHECKING:
    from optuna.study import Study

RANDOM = 1 / 3  # share of trials that are drawn at random
SAMPLES = 64  # of the model, of which the best is tried
Point = dict[str, Any]


class BOHB(Searched):
    """Constant weights by TPE and Hyperband."""

    info = Info(
        name="bohb",
        label="BOHB",
        summary="constant weights by Bayesian optimisation with Hyperband",
        paper="Falkner et al., BOHB: Robust and Efficient Hyperparameter Optimization, ICML 2018",
        fidelity=(
            (
                "what is searched",
                "§3.4",
                "BOHB for loss weights, not said how",
                "our reading",
                "constant weights on the simplex",
                "B5",
            ),
            (
                "schedule",
                "Hyperband, Algorithm 1",
                "brackets of successive halving, η = 3",
                "original's way",
            ),
            (
                "proposals",
                "BOHB, code",
                "a third at random, else the best of 64 samples",
                "original's way",
            ),
            (
                "density model",
                "BOHB, code",
                "kernel densities of the best 15 %",
                "no transfer",
                "optuna's multivariate TPE: the original is not maintained",
                "B5",
            ),
        ),
        weights="global",
        learns_on="validation",
        searches=True,
        options={"weights": ()},
    )

    @classmethod
    def search(cls, lab: Lab) -> None:
        """Brackets until the lab says that the budget is spent."""
        if len(lab.candidates) == 1 and not lab.space:  # there is one point
            lab.train({"method.weights": [1.0]})
            return
        points = Points(lab)
        if lab.space:
            points.begin()
        while True:
            for bracket in brackets(lab.max_epochs):
                successive_halving(points, bracket)


class Points:
    """What a lab can try: what is known of it after each number of epochs, and what to try next."""

    def __init__(self, lab: Lab) -> None:
        from optuna.samplers import RandomSampler

        n = len(lab.candidates)
        shares = {name: ("uniform", lowest(n), 1 - 1e-6) for name in lab.candidates}
        self.lab, self.n, self.domains = lab, n, {**shares, **lab.space}
        self.distributions = {key: distribution(domain) for key, domain in self.domains.items()}
        self.chance = _study(RandomSampler(seed=lab.seed))
        self.coin = np.random.default_rng(lab.seed)
        self.known: dict[int, Study] = {}

    def begin(self) -> None:
        """Train the published values and equal weights, whole."""
        lab = self.lab
        known = {key: nearest(domain, lab.published[key]) for key, domain in lab.space.items()}
        point = {**dict.fromkeys(lab.candidates, 0.5), **known}
        self._learn(point, lab.max_epochs, lab.train(lab.published, lab.max_epochs))

    def propose(self) -> Point:
        """A point at random, or the best of the model's."""
        from optuna.trial import TrialState

        least = len(self.domains) + 1
        ready = [epochs for epochs, study in self.known.items() if len(study.trials) >= least]
        at_random = self.coin.random() < RANDOM or not ready
        study = self.chance if at_random else self.known[max(ready)]
        trial = study.ask(self.distributions)
        study.tell(trial, state=TrialState.FAIL)  # what comes of it is told by `train`
        return trial.params

    def train(self, point: Point, epochs: int) -> float:
        """The value of a point after so many epochs; -inf if it diverged."""
        assignment = {key: meant(d, point[key]) for key, d in self.lab.space.items()}
        weights = weights_of([point[name] for name in self.lab.candidates])
        value = self.lab.train({**assignment, "method.weights": weights}, epochs)
        return self._learn(point, epochs, value if isfinite(value) else -inf)

    def _learn(self, point: Point, epochs: int, value: float) -> float:
        from optuna.samplers import TPESampler
        from optuna.trial import create_trial

        if epochs not in self.known:
            least = len(self.domains) + 1
            model = TPESampler(seed=self.lab.seed, n_startup_trials=least, n_ei_candidates=SAMPLES)
            self.known[epochs] = _study(model)
        result = create_trial(params=point, distributions=self.distributions, value=value)
        self.known[epochs].add_trial(result)
        return value


def _study(sampler: Any) -> Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", sampler=sampler)


def weights_of(uniform: ArrayLike) -> list[float]:
    """The point of the simplex that n numbers in (0, 1) stand for; none below `lowest(n)`."""
    uniform = np.asarray(uniform)
    shares = gammaincinv(1 / len(uniform), uniform)
    return [float(share) for share in shares / shares.sum()]


def lowest(n: int) -> float:
    """The least number for one of n weights: its quantile is the smallest normal one, not 0."""
    return float(gammainc(1 / n, np.finfo(float).tiny))
