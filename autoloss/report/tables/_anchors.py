"""Losses that are read in more than one way: which reading is as far from CE as the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from autoloss.data.specs import DatasetSpec
from autoloss.methods.info import Entry
from autoloss.models import MODELS
from autoloss.report.frames import parts_of
from autoloss.report.published import Cells

BASE, METRIC = "ce", "auc"
CLOSE = 0.001  # a difference that the paper calls significant (§3.2)


def readings_of(methods: Mapping[str, Entry]) -> dict[str, list[str]]:
    """By loss: the method of its name, then those that weigh it alone with options of its own."""
    others = [
        (*entry.needs, name)
        for name, entry in methods.items()
        if entry.info.losses and len(entry.needs) == 1
    ]
    losses = [loss for loss in dict(others) if loss in methods]
    return {loss: [loss, *(name for of, name in others if of == loss)] for loss in losses}


def anchor_notes(
    long: pd.DataFrame,
    readings: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
    datasets: Mapping[str, DatasetSpec],
    published: Cells,
) -> Iterator[str]:
    """A note for each loss of `readings`: its AUC less CE's under each, and in the paper."""
    cells = parts_of(long[long["metric"] == METRIC], "dataset", "model")
    for loss, methods in readings.items():
        sentences, close = [], []
        for (dataset, model), cell in cells:
            means = cell.set_index("method")["mean"].reindex([BASE, *methods])
            gaps = means[[*methods]] - means[BASE]
            stated = published.of(datasets[dataset].stands_for, model).get(METRIC, {})
            if not {loss, BASE} <= stated.keys() or gaps.isna().any():
                continue
            paper = stated[loss] - stated[BASE]
            where = f"{datasets[dataset].title}, {MODELS[model]}"
            each = [f"{labels[method]} {gaps[method]:+.4f}" for method in methods]
            sentences.append(f"{where}: {', '.join(each)}, paper {paper:+.4f}")
            near = [method for method in methods if abs(gaps[method] - paper) <= CLOSE]
            close += [f"{labels[method]} ({where})" for method in near]
        if sentences:
            yield (
                f"{labels[loss]} less {labels[BASE]} in AUC: {'; '.join(sentences)}. "
                f"Within {CLOSE:g} of the paper's: {', '.join(close) or 'none'}."
            )
