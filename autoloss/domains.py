"""What the tuned protocol searches of one option: its domain, in literals.

`("log", low, high)` and `("uniform", low, high)` are numbers, `("times", low, high)` multiples of
the value that the option has without a search, on a log scale, `("choice", a, b, ...)` some values.
"""

from __future__ import annotations

from typing import Any

Domain = tuple[Any, ...]
MEND = (
    "give ('log', low, high), ('uniform', low, high), ('times', low, high) or ('choice', a, b, ...)"
)


def require_domain(domain: Domain, default: Any) -> None:
    """Refuse what is no domain of an option whose default is this, with `MEND`.

    Raises:
        ValueError: its kind is unknown, it has no two ends in order or no two choices, or it has
            ends though the default is no fraction, so that what is between them is no value.
    """
    kind, *values = domain or (None,)
    if kind == "choice":
        sound = len(values) > 1
    else:
        sound = kind in ("log", "uniform", "times") and len(values) == 2
        sound = sound and type(default) is float
        sound = sound and all(type(value) in (int, float) for value in values)
        sound = sound and values[0] < values[1] and (kind == "uniform" or values[0] > 0)
    if not sound:
        raise ValueError(MEND)


def domain_at(domain: Domain, value: Any) -> Domain | None:
    """The domain of an option whose value is `value` without a search; None where none is left.

    Multiples are written out, and that value is one of the choices.
    """
    kind, *values = domain
    if kind == "times":
        return ("log", *(factor * value for factor in values)) if value else None
    if kind == "choice" and value not in values:
        return (*domain, value)
    return domain


def shown(domain: Domain) -> str:
    """A domain in words: "0.0001 to 0.01, log", "0.1 to 10 times", "1, 3 or 7"."""
    kind, *values = domain
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    if kind == "choice":
        return " or ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
    return " to ".join(texts) + {"log": ", log", "times": " times"}.get(kind, "")
