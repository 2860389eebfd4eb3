"""Prepared data for training: memory-mapped arrays, and batches of them."""
