"""The tuned protocol: every method's hyper-parameters by TPE (Bergstra et al., NIPS 2011).

The first trial has the published values, so that on validation no method is worse for having been
tuned; the first half of the others is random.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autoloss.search.lab import BudgetSpentError, Lab

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = Mapping[str, tuple[Any, ...]]


def tune(lab: Lab, space: Space, published: Mapping[str, Any]) -> None:
    """Spend the lab's budget on values of `space`, the `published` ones first."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=lab.seed, n_startup_trials=1 + lab.trials // 2)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    domains = {key: _distribution(domain) for key, domain in space.items()}
    lab.train(dict(published))
    for _ in range(lab.trials - 1):
        trial = study.ask(domains)
        try:
            value = lab.train({key: trial.params[key] for key in space})
        except BudgetSpentError:
            return
        failed = value == float("-inf")
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        study.tell(trial, None if failed else value, state=state)


def _distribution(domain: tuple[Any, ...]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    kind, *values = domain
    if kind == "choice":
        return CategoricalDistribution(values)
    low, high = values
    return FloatDistribution(low, high, log=kind == "log")
