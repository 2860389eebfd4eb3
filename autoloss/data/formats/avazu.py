"""Avazu's clicks on mobile advertisements (paper §3.1), as RecZoo's Avazu_x4."""

from __future__ import annotations

from autoloss.data.formats._table import CLICK, HEX, LEFT_OUT, WHOLE, Layout

COLUMNS = {
    "id": LEFT_OUT,
    "click": CLICK,
    **dict.fromkeys(("hour", "C1", "banner_pos"), WHOLE),
    **{f"{of}_{what}": HEX for of in ("site", "app") for what in ("id", "domain", "category")},
    **dict.fromkeys(("device_id", "device_ip", "device_model"), HEX),
    **dict.fromkeys(("device_type", "device_conn_type"), WHOLE),
    **{f"C{n}": WHOLE for n in range(14, 22)},
}
FORMATS = {
    "avazu_x4": Layout(
        file="train.csv",
        separator=",",
        example="1000009418151094273,0,14102100,1005,0,1fbe01fe,f3845767,28905ebd,ecad2386,"
        "7801e8d9,07d7df22,a99f214a,ddd2926e,44956a24,1,2,15706,320,50,1722,0,35,-1,79",
        header=",".join(COLUMNS),
        files=("train.csv", "valid.csv", "test.csv"),
        columns=COLUMNS,
        characters=b"0123456789abcdef-,\n",
    )
}
