"""Criteo's display advertising challenge (paper §3.1), as it is and as RecZoo's Criteo_x4."""

from __future__ import annotations

from dataclasses import replace

from autoloss.data.formats._table import CLICK, HEX, WHOLE, Layout

_LINE = (
    "0,1,1,5,0,1382,4,15,2,181,1,2,,2,68fd1e64,80e26c9b,fb936136,7b4723c4,25c83c98,7e0ccccf,"
    "de7995b8,1f89b562,a73ee510,a8cd5504,b2cb9c98,37c9c164,2824a5f6,1adce6ef,8ba8b39a,891b62e7,"
    "e5ba7672,f54016b9,21ddcdc9,b1252a9d,07b5194c,,3a171ecb,c5c50484,e8b83407,9727dd16"
)
COLUMNS = {
    "click": CLICK,
    **{f"I{n}": replace(WHOLE, optional=True) for n in range(1, 14)},
    **{f"C{n}": replace(HEX, optional=True) for n in range(1, 27)},
}
FORMATS = {
    "criteo": Layout(
        file="train.txt",
        separator="\t",
        example=_LINE.replace(",", "\t"),
        files=("train.txt",),
        columns=COLUMNS,
        characters=b"0123456789abcdef-\t\n",
    ),
    "criteo_x4": Layout(  # the same rows and cells, in another order (RecZoo's script)
        file="train.csv",
        separator=",",
        example=_LINE,
        header=",".join(["Label", *list(COLUMNS)[1:]]),
        files=("train.csv", "valid.csv", "test.csv"),
        columns=COLUMNS,
        characters=b"0123456789abcdef-,\n",
    ),
}
