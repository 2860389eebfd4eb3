"""The paper's empirical claims as data (`configs/claims.yaml`), and a verdict on each.

Rules: docs/statistics.md, "Verdicts". Imports nothing heavy: the Snakefile asks `schema` here.
"""
