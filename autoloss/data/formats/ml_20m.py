"""MovieLens-20M's ratings (paper §3.1)."""

from __future__ import annotations

from autoloss.data.formats._table import LEFT_OUT, STARS, WHOLE, Layout

FORMATS = {
    "movielens20m": Layout(
        file="ratings.csv",
        separator=",",
        example="1,2,3.5,1112486027",
        header="userId,movieId,rating,timestamp",
        files=("ratings.csv",),
        columns={"user": WHOLE, "item": WHOLE, "rating": STARS, "timestamp": LEFT_OUT},
        characters=b"0123456789.,\n",
    )
}
