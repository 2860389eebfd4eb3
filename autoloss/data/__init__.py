"""Data, from a source's raw files to encoded arrays (paper §3.1, Table 1).

`specs` describes sources and data sets, `fetch` brings raw files, `formats` has a parser for each
format of them, `prepare` splits and encodes what they hold, `load` opens the result for training.
"""
