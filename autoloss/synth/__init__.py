"""Generated data in the exact formats of Criteo, ML-20m and Avazu, with a planted signal.

For what needs the size or the format of the paper's data (§3.1) but not their content: tests,
benchmarks, and a rehearsal of a full-size run before the real data are there.
"""
