"""The figures and tables that there are: every file in `figures/` and `tables/` is one.

What a file says of itself in literals is read from its source text, so that planning imports
neither torch nor pandas. Files that start with `_` are no figures and no tables.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autoloss.errors import ConfigError, did_you_mean
from autoloss.folder import assigned, files_of

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Product:
    """A figure or a table, from the names in capitals at the top of its file.

    Args:
        title: what the report and LaTeX call it; `{ours}` is the method that the study is about.
        groups: of runs: it is made of their indexes.
        order: its place among its kind; equals stand in the order of their names.
        in_all: whether `snakemake all` makes it.
        base: the method that its paired gains are over; it needs that method and two seeds.
        weights: what the methods that it shows give weights to, as their `Info` says; it needs one.
        option: of our method, whose values it compares; it needs one that has it.
        configs: files of `configs/` that it is also made of.
    """

    title: str
    groups: tuple[str, ...]
    order: int
    in_all: bool = True
    base: str = ""
    weights: str = ""
    option: str = ""
    configs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("groups", "configs"):
            if not isinstance(getattr(self, name), tuple):
                raise TypeError(f'{name.upper()} is no tuple, as ("table_2",) is')

    def titled(self, ours: str) -> str:
        """Its title in a study about the method of this label."""
        return self.title.format(ours=ours)


def figures() -> Mapping[str, Product]:
    """Every figure by its name, the file's and the target's, in the report's order."""
    return _products("figures")


def tables() -> Mapping[str, Product]:
    """Every table, likewise."""
    return _products("tables")


def product_of(kind: str, name: str) -> Product:
    """A product of a kind, "figure" or "table".

    Raises:
        ConfigError: there is none of this name.
    """
    known = _products(f"{kind}s")
    if name not in known:
        raise ConfigError(kind, f"there is no '{name}'", did_you_mean(name, known))
    return known[name]


@cache
def _products(folder: str) -> Mapping[str, Product]:
    products = {file.stem: _read(file) for file in files_of(FOLDER / folder)}
    return dict(sorted(products.items(), key=lambda item: item[1].order))


def _read(file: Path) -> Product:
    """The product in a file.

    Raises:
        ConfigError: it does not say what it is, or not in literals.
    """
    try:
        tree = ast.parse(file.read_bytes())
        values = {key: assigned(tree, key.upper()) for key in Product.__annotations__}
        return Product(**{k: ast.literal_eval(v) for k, v in values.items() if v is not None})
    except (SyntaxError, ValueError, TypeError) as error:
        mend = "give TITLE, GROUPS and ORDER in literals; start the name with _ if it is no product"
        raise ConfigError(str(file), f"does not say what it shows: {error}", mend) from error
