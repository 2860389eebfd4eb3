"""What is generated: fields, vocabularies and labels like those of the paper's data (Table 1).

Numbers of values are those that others report of the real data, and shares of labels are the
published ones. Which values are missing together, and how fields depend on each other, is not
imitated; shares of missing values are rough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from autoloss.data.formats._table import hex_digits
from autoloss.synth.planted import Ranks, Vocabulary

# fmt: off
CRITEO_NUMBERS = (  # values of I1 .. I13, the missing one included
    649, 9364, 14746, 490, 476707, 11618, 4142, 1373, 7275, 13, 169, 407, 1376,
)
CRITEO_CATEGORIES = (  # of C1 .. C26
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27,
    14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572,
)
# fmt: on
CRITEO_MISSING = {  # shares, rough; no other field has any
    **{"I1": 0.45, "I3": 0.21, "I4": 0.22, "I5": 0.03, "I6": 0.22, "I7": 0.04, "I9": 0.04},
    **{"I10": 0.45, "I11": 0.04, "I12": 0.77, "I13": 0.22, "C3": 0.03, "C4": 0.03, "C6": 0.12},
    **{"C12": 0.03, "C16": 0.03, "C19": 0.44, "C20": 0.44, "C21": 0.03, "C22": 0.76},
    **{"C24": 0.03, "C25": 0.44, "C26": 0.44},
}
AVAZU_HEX = {
    **{"site_id": 4737, "site_domain": 7745, "site_category": 26},
    **{"app_id": 8552, "app_domain": 559, "app_category": 36},
    **{"device_id": 2686408, "device_ip": 6729486, "device_model": 8251},
}
AVAZU_CODES = {  # the first values are the most frequent
    "C1": (1005, 1002, 1010, 1012, 1007, 1001, 1008),
    "banner_pos": (0, 1, 7, 2, 4, 5, 3),
    "device_type": (1, 0, 4, 5, 2),
    "device_conn_type": (0, 2, 3, 5),
    **{"C14": range(375, 3001), "C15": (320, 300, 216, 728, 120, 1024, 480, 768)},
    **{"C16": (50, 250, 36, 480, 90, 20, 768, 320, 1024), "C17": range(112, 547)},
    **{"C18": (0, 3, 2, 1), "C19": range(33, 101), "C20": (-1, *range(100000, 100171))},
    "C21": range(1, 61),
}
CLICKS = ("0", "1")
ML_STARS = (239125, 680732, 279252, 1430997, 883398, 4291193, 2200156, 5561926, 1534824, 2898660)


@dataclass(frozen=True)
class Column:
    """A field: its vocabulary, and the value of each rank: looked up, or 8 hexadecimal digits."""

    vocabulary: Vocabulary
    values: Ranks | None = None

    def cells(self, ranks: Ranks, salt: int) -> pl.Series:
        """The value of each rank; null where it is missing (rank 0)."""
        if self.values is not None:
            cells = pl.Series(self.values[ranks])
        else:
            # An odd factor, so that different ranks stay different modulo 2³².
            cells = hex_digits((ranks * 2_654_435_761 + salt) % (1 << 32))
        return cells.zip_with(pl.Series(ranks > 0), pl.Series([None], dtype=cells.dtype))


@dataclass(frozen=True)
class Recipe:
    """A data set: its source, format and file, fields, labels with their shares, other columns.

    `strength` is how far the planted score decides a label, against noise of the logistic
    distribution; `extra` columns are functions of the row's number. `region`, a field and a value's
    rank: rows that have it are labelled otherwise than the rest (`autoloss.synth.clicks`).
    """

    source: str
    format: str
    file: str
    columns: Mapping[str, Column]
    label: str
    labels: Sequence[str]
    shares: Sequence[float]
    strength: float
    extra: Mapping[str, Callable[[Ranks], Ranks]] = field(default_factory=dict)
    region: tuple[str, int] | None = None


def _count(size: int, missing: float = 0.0, low: int = 0) -> Column:
    """Whole numbers from `low` on, the small ones the most frequent."""
    return Column(Vocabulary(size, missing, count=True), np.arange(low - 1, low + size))


def _codes(values: Sequence[int]) -> Column:
    return Column(Vocabulary(len(values)), np.array([0, *values]))


def criteo() -> Recipe:
    """Criteo's train.txt: 39 fields, 25.62 % clicks."""
    missing = CRITEO_MISSING
    fields = {
        f"I{k}": _count(size - 1, missing.get(f"I{k}", 0), low=-3 if k == 2 else 0)
        for k, size in enumerate(CRITEO_NUMBERS, start=1)
    }
    for k, size in enumerate(CRITEO_CATEGORIES, start=1):
        fields[f"C{k}"] = Column(Vocabulary(size, missing.get(f"C{k}", 0)))
    shares = (34_095_179, 11_745_438)
    return Recipe("criteo", "criteo", "train.txt", fields, "click", CLICKS, shares, 1.4)


def criteo_region() -> Recipe:
    """Criteo's train.txt with a planted region, 29 % of the rows."""
    return replace(criteo(), region=("C9", 2))


def movielens_20m() -> Recipe:
    """ML-20m's ratings.csv: half stars with the histogram of the real ones."""
    stars = [str(half / 2) for half in range(1, 11)]
    fields = {"user": _count(138_493, low=1), "item": _count(26_744, low=1)}
    extra = {"timestamp": lambda rows: rows * 30 + 789_652_009}
    return Recipe(
        "movielens-20m",
        "movielens20m",
        "ratings.csv",
        fields,
        "rating",
        stars,
        ML_STARS,
        0.8,
        extra,
    )


def avazu() -> Recipe:
    """Avazu's train.csv: 22 fields, 16.98 % clicks, ten days of hours."""
    hours = [14_100_000 + day * 100 + hour for day in range(21, 31) for hour in range(24)]
    fields = {"hour": _codes(hours)}
    fields |= {name: _codes(values) for name, values in AVAZU_CODES.items()}
    fields |= {name: Column(Vocabulary(size)) for name, size in AVAZU_HEX.items()}
    extra = {"id": lambda rows: rows + 10**18}
    shares = (33_563_901, 6_865_066)
    return Recipe("avazu-x4", "avazu_x4", "train.csv", fields, "click", CLICKS, shares, 1.3, extra)


RECIPES = {
    "criteo": criteo,
    "criteo-region": criteo_region,
    "ml-20m": movielens_20m,
    "avazu": avazu,
}
