"""Keeps these tests quick."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(scope="package", autouse=True)
def cheap_collections():
    """statsmodels' multipletests calls gc.collect(), 60 ms a time once the libraries are loaded.

    Freezing what is loaded takes it out of the collector's sight; nothing else changes.
    """
    gc.freeze()
    yield
    gc.unfreeze()
