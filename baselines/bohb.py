"""BOHB (Falkner et al., ICML 2018) on loss weights: the paper's Bayesian baseline (§3.4).

Hyperband decides how many weight vectors to try and how long (Li et al., JMLR 2018, Algorithm 1,
eta = 3); a density model of good and bad ones proposes them, except for a third that are drawn at
random. Weights are w_i = e_i / sum_j e_j with e_i = -log u_i, so that uniform u are uniform on the
simplex. A trial's value is its best validation value so far; the best one trains every seed.

Deviations. The density model is optuna's multivariate TPE over all trials, those that ran longest
first, with optuna's share of good ones, where BOHB's fits the longest-trained ones alone. Brackets
run one after the other and start again until the budget, the same as every other search's, is
spent. A trial that early stopping ends keeps its value in longer rungs.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from autoloss.method import Searched
from autoloss.registry import Info

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

    from autoloss.search.lab import Lab

RANDOM = 1 / 3  # share of trials that are drawn at random


class BOHB(Searched):
    """Constant weights, found by TPE and Hyperband."""

    info = Info(
        name="bohb",
        label="BOHB",
        summary="constant weights by Bayesian optimisation with Hyperband",
        paper="Falkner et al., BOHB: Robust and Efficient Hyperparameter Optimization, ICML 2018",
        weights="global",
        learns_on="validation",
        searches=True,
        options={"weights": ()},
    )

    @classmethod
    def search(cls, lab: Lab) -> None:
        """Brackets until the lab says that the budget is spent."""
        import optuna
        from optuna.distributions import BaseDistribution, FloatDistribution

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize")
        chance = optuna.samplers.RandomSampler(seed=lab.seed)
        model = optuna.samplers.TPESampler(
            seed=lab.seed,
            multivariate=True,
            n_startup_trials=len(lab.candidates) + 1,
            n_ei_candidates=64,
        )
        space: dict[str, BaseDistribution] = {
            name: FloatDistribution(1e-6, 1 - 1e-6) for name in lab.candidates
        }
        coin = np.random.default_rng(lab.seed)
        while True:
            for bracket in brackets(lab.max_epochs):
                trials = []
                for _ in range(bracket[0][0]):
                    study.sampler = chance if coin.random() < RANDOM else model
                    trials.append(study.ask(space))
                successive_halving(lab, study, trials, bracket)


def brackets(max_epochs: int, eta: int = 3) -> list[list[tuple[int, int]]]:
    """Hyperband's schedule: per bracket, the (trials, epochs) of each of its rungs.

    n = ceil((s_max + 1) eta^s / (s + 1)) trials start with max_epochs eta^-s epochs; each rung
    keeps one in eta and gives it eta times as many.
    """
    s_max = 0
    while eta ** (s_max + 1) <= max_epochs:
        s_max += 1
    schedule = []
    for s in range(s_max, -1, -1):
        n = -(-(s_max + 1) * eta**s // (s + 1))
        schedule.append([(n // eta**i, max_epochs * eta**i // eta**s) for i in range(s + 1)])
    return schedule


def successive_halving(
    lab: Lab, study: Study, trials: list[Trial], bracket: list[tuple[int, int]]
) -> None:
    """Train `trials` for the first rung's epochs, keep the best part for the next, and so on."""
    from optuna.trial import TrialState

    for keep, (_, epochs) in zip([n for n, _ in bracket[1:]] + [0], bracket, strict=True):
        values = {}
        for trial in trials:
            value = lab.train({"method.weights": weights_of(trial)}, epochs)
            values[trial.number] = value if isfinite(value) else -inf
            if isfinite(value):
                trial.report(value, epochs)
        ranked = sorted(trials, key=lambda trial: -values[trial.number])
        for trial in ranked[keep:]:
            if not isfinite(values[trial.number]):
                study.tell(trial, state=TrialState.FAIL)
            elif keep:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, values[trial.number])
        trials = ranked[:keep]


def weights_of(trial: Trial) -> list[float]:
    """The point of the simplex that a trial stands for, in the candidates' order."""
    shares = -np.log(list(trial.params.values()))
    return [float(share) for share in shares / shares.sum()]
