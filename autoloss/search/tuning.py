"""The tuned protocol: every method's hyper-parameters by TPE (Bergstra et al., NIPS 2011).

The first trial has the published values, so that on validation no method is worse for having been
tuned. As many as there are dimensions are drawn at random after it; from then on densities of good
and of bad trials propose the next. A trial that diverged is a bad one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autoloss.domains import Domain
from autoloss.methods.fixed import Lab

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def tune(lab: Lab, more: Mapping[str, Domain] | None = None) -> None:
    """Spend the lab's budget on values of its space, and of `more`, the published ones first.

    Raises:
        BudgetSpentError: nothing is left of it.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {**(more or {}), **lab.space}
    domains = {key: distribution(domain) for key, domain in space.items()}
    sampler = optuna.samplers.TPESampler(seed=lab.seed, n_startup_trials=len(space) + 1)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    first = {key: nearest(domain, lab.published[key]) for key, domain in space.items()}
    value = lab.train(lab.published)
    study.add_trial(optuna.trial.create_trial(params=first, distributions=domains, value=value))
    for _ in range(lab.trials - 1):
        trial = study.ask(domains)
        value = lab.train({key: meant(space[key], trial.params[key]) for key in space})
        study.tell(trial, value)


def distribution(domain: Domain) -> BaseDistribution:
    """A domain as optuna has it: of a choice the places of its values, which may be lists."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    kind, *values = domain
    if kind == "choice":
        return CategoricalDistribution(range(len(values)))
    low, high = values
    return FloatDistribution(low, high, log=kind == "log")


def meant(domain: Domain, drawn: Any) -> Any:
    """The value that a draw from `distribution` stands for."""
    return domain[1 + drawn] if domain[0] == "choice" else drawn


def nearest(domain: Domain, value: Any) -> Any:
    """The draw that stands for `value`: a weight decay of 0 is the lower end of a log domain."""
    kind, *values = domain
    return values.index(value) if kind == "choice" else min(max(value, values[0]), values[1])
