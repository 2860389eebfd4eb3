"""Candidates that are not the paper's, and sets of candidates with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st

from autoloss.candidates import Formula
from autoloss.folder import entries
from autoloss.losses import LOSSES

MORE = {
    "brier": lambda prediction, options: (2 * prediction.log_rest).exp(),
    "absolute": lambda prediction, options: prediction.log_rest.exp(),
}
OF_ONE = [name for name in LOSSES if not entries("losses")[name].in_batch]  # for any task
SETS = st.lists(st.sampled_from([*OF_ONE, *MORE]), min_size=1, max_size=6, unique=True)


@contextmanager
def with_losses(losses: Mapping[str, Formula]) -> Iterator[None]:
    """Within it there are these losses too, by name, as if each were a file of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, loss in losses.items():
            patch.setitem(sys.modules, f"autoloss.losses.{name}", SimpleNamespace(loss=loss))
            patch.setitem(LOSSES, name, name)
        yield


def with_more() -> AbstractContextManager[None]:
    """Within it the losses of MORE are there."""
    return with_losses(MORE)
