"""The loops that torch has no single operation for, compiled by numba for the processor at hand.

An operation of torch reads and writes its arrays whole; a dozen in a row spend their time on that,
and on being called. A kernel makes one pass. Each stands beside the same computation in torch's own
operations, which is what other devices and float64 run, and what tests compare it with.
"""
