"""One style for all figures: sizes of a two-column paper, colours that colour-blind readers tell
apart (Okabe and Ito), and for a method the same colour and marker everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl

from autoloss.methods.discover import discover
from autoloss.names import varied

COLUMN, PAGE = 3.33, 7.0  # inches: one column, and both
GREY, LIGHT = "#7f7f7f", "#d9d9d9"
LOOKS = {  # colour and marker of a method and its variants
    "ce": ("#000000", "s"),
    "focal": ("#e69f00", "^"),
    "kl": ("#56b4e9", "v"),
    "hinge": ("#009e73", "D"),
    "autoloss": ("#d55e00", "o"),
    "slf": ("#0072b2", "P"),
    "melu": ("#cc79a7", "X"),
    "darts": ("#8c6d1f", "<"),
    "bohb": (GREY, ">"),
}


def colour(method: str) -> str:
    """A method's colour; variants have their method's, methods without one are grey."""
    return _look(method)[0]


def marker(method: str) -> str:
    """A method's marker."""
    return _look(method)[1]


def _look(method: str) -> tuple[str, str]:
    return next((look for name, look in LOOKS.items() if is_or_varies(method, name)), (GREY, "o"))


def loss_label(name: str) -> str:
    """What a candidate loss is called: as the method that uses it alone, if there is one."""
    methods = discover()
    alone = name in methods and methods[name].info.weights == "one candidate"
    return methods[name].info.label if alone else name


def is_or_varies(method: str, name: str) -> bool:
    """Whether `method` is `name`, that under other options, or a method `name_...` based on it."""
    method = varied(method)
    if method == name or not method.startswith(f"{name}_"):
        return method == name
    methods = discover()
    return method in methods and name in (methods[method].info.base, methods[method].info.frozen)


@contextmanager
def published_style() -> Iterator[None]:
    """Within it, figures have the study's style, whatever the user's own settings are."""
    settings: dict[Any, Any] = {
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs everywhere
        "font.size": 7,
        "axes.titlesize": 7.5,
        "axes.labelsize": 7,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.formatter.useoffset": False,
        "grid.color": LIGHT,
        "grid.linewidth": 0.4,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "pdf.fonttype": 42,  # text stays text
        "text.parse_math": False,  # names are text; who writes mathematics asks for it
        "savefig.dpi": 300,
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield
