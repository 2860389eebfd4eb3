"""Data, from a source's raw files to encoded arrays (paper §3.1, Table 1).

`registry` describes sources and data sets, `fetch` brings raw files, a parser per source turns
them into one frame, `prepare` splits and encodes it, `prepared` opens the result.
"""
