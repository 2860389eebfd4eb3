"""Figures 1 and 2: that they say what the configuration and the models say, and can be read."""

from __future__ import annotations

import io
import re
from itertools import combinations, pairwise

import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import nn

import autoloss.models
from autoloss.config import ModelOptions
from autoloss.hypergradient import ESTIMATORS
from autoloss.models import build_model
from autoloss.registry import MODELS
from autoloss.report.figures import drawing, render
from autoloss.report.figures.framework import HYPERGRADIENTS
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import COLOURS, PAGE, published_style
from autoloss.report.figures.trace import trace
from autoloss.study import Study
from autoloss.task import Task
from tests.tiny import ROOT

FIGURES = ["figure_1", "figure_2"]
# Configurations that change what the figures have in them: 5 classes on 2 fields, other sizes.
STUDIES = {
    "default": {},
    "rating": {"study": {"datasets": ["ml100k"]}},
    "small": {
        "model": {"hidden": [32], "dropout": 0.0, "batch_norm": False},
        "losses": {"candidates": ["ce", "focal"]},
        "methods": {"autoloss": {"hidden": [16], "detach": False}},
    },
    "large": {
        "study": {"models": list(MODELS)},
        "model": {"hidden": [64, 48, 32]},
        "methods": {"autoloss": {"hidden": [64, 48, 32], "straight_through": True}},
    },
}


def text_of(name, over=None):
    """The CSV of a figure."""
    study = Study.load(over or {}, ROOT)
    return drawing(name).data(Source(study)).to_csv(index=False)


def read(text):
    return pd.read_csv(io.StringIO(text), keep_default_na=False)


@pytest.fixture(scope="module")
def frames():
    """The figures' numbers as they are read back, by figure and study."""
    return {
        (name, key): read(text_of(name, over)) for name in FIGURES for key, over in STUDIES.items()
    }


@pytest.fixture(params=[(name, key) for name in FIGURES for key in STUDIES], ids=str)
def frame(request, frames):
    return frames[request.param]


def words(frame, role=None):
    """All text of a figure, of boxes of one role if given."""
    chosen = frame[(frame["kind"] == "box") & ((frame["role"] == role) | (role is None))]
    return "\n".join(chosen["text"])


# What the figures say


def test_the_framework_has_the_configurations_numbers(frames):
    default, small, large = (words(frames["figure_1", k]) for k in ("default", "small", "large"))
    assert "Linear 2 → 128" in default
    assert "every 7 inner steps" in default
    assert default.count("Dropout 0.2") == 2
    assert "Soft Gumbel-softmax" in default
    assert "no gradient through its input" in default
    assert "Linear 16 → 2" in small
    assert "no gradient" not in small
    assert "hidden layers of 32" in small
    assert all(f"Linear {a} → {b}" in large for a, b in pairwise([2, 64, 48, 32, 4]))
    assert "Straight-through Gumbel-softmax" in large
    assert "Linear 10 → 128" in words(frames["figure_1", "rating"])


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"methods": {"autoloss": {"every": 3}}}, "every 3 inner steps"),
        ({"methods": {"autoloss": {"every": 1}}}, "before each inner step"),
        ({"methods": {"autoloss": {"dropout": 0.35}}}, "Dropout 0.35"),
        ({"methods": {"autoloss": {"hypergradient": "direct"}}}, "hypergradient $h$: direct;"),
        ({"methods": {"autoloss": {"criterion": "ce"}}}, "cross-entropy"),
        ({"methods": {"autoloss": {"tau_slope": 0.5}}}, r"\max(0.01,\ 1 - 0.5\,t)"),
        ({"methods": {"autoloss": {"tau_unit": "step"}}}, "$t$ in steps"),
        ({"methods": {"autoloss": {"lr": 0.02}}}, "learning rate 0.02;"),
        ({"training": {"lr": 0.03, "weight_decay": 0.5}}, "learning rate 0.03, weight decay 0.5"),
        ({"training": {"batch_size": 77}}, "a training batch of 77 examples"),
        ({"losses": {"focal_gamma": 1.5}}, "gamma 1.5"),
        ({"losses": {"hinge_on": "logit"}}, "on logit"),
        ({"model": {"embedding_dim": 5}}, "embeddings of 5"),
        ({"study": {"models": ["ipnn"]}}, "\nIPNN\n"),
    ],
)
def test_the_framework_follows_the_configuration(over, expected):
    assert expected not in words(read(text_of("figure_1")))
    assert expected in words(read(text_of("figure_1", over)))


def test_candidates_have_their_methods_names_and_colours(frames):
    frame = frames["figure_1", "small"]
    frame = frame[frame["kind"] == "box"]
    losses = frame[frame["id"].str.startswith("loss ")]
    assert list(losses["method"]) == ["ce", "focal"]
    assert set(losses["method"]) <= set(COLOURS)
    assert [text.split("\n")[0].split("$ ")[1] for text in losses["text"]] == ["CE", "Focal"]
    assert list(frame[frame["id"].str.startswith("weight ")]["method"]) == ["ce", "focal"]


def test_every_estimator_has_its_formula():
    assert set(HYPERGRADIENTS) == set(ESTIMATORS)


def test_architectures_follow_the_configuration(frames):
    default, small = (words(frames["figure_2", key]) for key in ("default", "small"))
    assert "Linear 128 → 128\nBatchNorm, ReLU, Dropout 0.2\nmlp.1 → [B, 128]" in default
    assert "embedding → [B, 8, 16]" in default
    assert "Linear 128 → 32\nReLU\nmlp.0–1 → [B, 32]" in small
    assert "Dropout" not in small
    assert "Linear 128 → 5" in words(frames["figure_2", "rating"])
    assert "spread" in words(frames["figure_2", "rating"], "op")


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("classes", [2, 5])
def test_no_parameter_of_a_model_is_left_out(name, classes):
    model = build_model(name, [2, 2, 2], Task(classes), ModelOptions(hidden=(8, 8)))
    graph = trace(model, 3)
    assert "not used" not in words_of(graph)
    assert all(
        any(part.has(parameter) for part in graph.parts.values())
        for parameter, _ in model.named_parameters()
    )


def words_of(graph):
    return [step for part in graph.parts.values() for step in part.steps]


class Extended(nn.Module):
    """A model with one more layer, a parameter of its own, and one that it does not use."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.extra = nn.Linear(4, 1)
        self.scale = nn.Parameter(torch.ones(()))
        self.idle = nn.Linear(3, 3)

    def forward(self, ids):
        return self.model(ids) * self.scale + self.extra(self.model.embedding(ids).mean(1))[:, 0]


def test_a_layer_more_is_a_box_more(monkeypatch):
    def build(name, field_sizes, task, options):
        return Extended(build_model(name, field_sizes, task, ModelOptions(embedding_dim=4)))

    monkeypatch.setattr(autoloss.models, "build_model", build)
    frame = read(text_of("figure_2"))
    for panel in ("deepfm", "ipnn"):
        boxes = frame[(frame["panel"] == panel) & (frame["kind"] == "box")]
        held = " ".join(boxes["holds"]).split()
        assert {"extra", "scale", "model.embedding", "model.mlp.0", "model.mlp.2"} <= set(held)
        idle = boxes[boxes["text"].str.startswith("not used")]
        assert list(idle["holds"]) == ["idle.weight idle.bias"]
        # The extra layer is on the way from the embedding to the logits.
        extra = boxes[boxes["holds"] == "extra"]["id"].item()
        arrows = frame[frame["kind"] == "arrow"]
        below, above = arrows[arrows["target"] == extra], arrows[arrows["source"] == extra]
        assert len(below) == len(above) == 1
        assert "mean" in boxes.set_index("id").loc[below["source"].item(), "text"]


def test_arrows_are_the_models_data_flow(frames):
    frame = frames["figure_2", "default"]
    titles = {row.id: row.text.split("\n")[0] for row in frame.itertuples() if row.kind == "box"}
    arrows = frame[(frame["kind"] == "arrow") & (frame["panel"] == "ipnn")]
    flow = sorted((titles[a], titles[b]) for a, b in zip(arrows.source, arrows.target, strict=True))
    assert flow == [
        ("FieldEmbedding", "concatenation"),
        ("FieldEmbedding", "matrix product"),
        ("Linear 128 → 1", "logits"),
        ("Linear 128 → 128", "Linear 128 → 1"),
        ("Linear 156 → 128", "Linear 128 → 128"),
        ("concatenation", "Linear 156 → 128"),
        ("ids", "FieldEmbedding"),
        ("matrix product", "concatenation"),
    ]
    arrows = frame[(frame["kind"] == "arrow") & (frame["panel"] == "deepfm")]
    sums = [
        titles[a]
        for a, b in zip(arrows.source, arrows.target, strict=True)
        if titles[b] == "addition"
    ]
    assert sorted(sums) == ["Linear 128 → 1", "pair sum", "sum"]


# How the figures look


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_numbers_give_the_same_bytes(name):
    text = text_of(name)
    assert text_of(name) == text
    first, second = render(name, text), render(name, text)
    assert set(first) == {"pdf", "png"}
    assert first == second


@pytest.mark.parametrize("name", FIGURES)
def test_the_default_study_fits_a_page(name, frames):
    with published_style():
        width, height = drawing(name).draw(frames[name, "default"]).get_size_inches()
    assert width == PAGE
    assert height < 5


def rectangles(frame, *, frames):
    boxes = frame[(frame["kind"] == "box") & ((frame["role"] == "frame") == frames)]
    return {
        row.id: (
            row.x - row.width / 2,
            row.y - row.height / 2,
            row.x + row.width / 2,
            row.y + row.height / 2,
        )
        for row in boxes.itertuples()
    }


def overlap(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]) > 1e-3 and min(a[3], b[3]) - max(a[1], b[1]) > 1e-3


def inside(a, b):
    return (
        a[0] >= b[0] - 2e-3 and a[1] >= b[1] - 2e-3 and a[2] <= b[2] + 2e-3 and a[3] <= b[3] + 2e-3
    )


def test_boxes_do_not_overlap(frame):
    boxes, around = rectangles(frame, frames=False), rectangles(frame, frames=True)
    assert not [pair for pair in combinations(boxes, 2) if overlap(*map(boxes.get, pair))]
    assert not [pair for pair in combinations(around, 2) if overlap(*map(around.get, pair))]
    for a in around.values():
        assert all(inside(b, a) or not overlap(b, a) for b in boxes.values())


def test_arrows_meet_their_boxes_and_pass_through_no_other(frame):
    boxes = rectangles(frame, frames=False)
    everything = boxes | rectangles(frame, frames=True)
    for row in frame[frame["kind"] == "arrow"].itertuples():
        path = [tuple(map(float, point.split())) for point in row.path.split(";")]
        for (x, y), name in ((path[0], row.source), (path[-1], row.target)):
            assert inside((x, y, x, y), everything[name]), row.id
        for (xa, ya), (xb, yb) in pairwise(path):
            assert min(abs(xa - xb), abs(ya - yb)) < 2e-3, f"{row.id} is not straight"
            line = (min(xa, xb) - 0.01, min(ya, yb), max(xa, xb) + 0.01, max(ya, yb))
            touched = {name for name, box in boxes.items() if overlap(line, box)}
            assert touched <= {row.source, row.target}, row.id


def test_texts_are_inside_their_boxes_and_large_enough(frame):
    with published_style():
        figure = drawing("figure_1").draw(frame)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        boxes = rectangles(frame, frames=False) | rectangles(frame, frames=True)
        (axis,) = figure.axes
        to_inches = figure.dpi_scale_trans.inverted()
        drawn = {}
        for text in axis.texts:
            assert text.get_size() >= 6
            extent = text.get_window_extent(canvas.get_renderer()).transformed(to_inches)
            assert inside(extent.extents, boxes[text.get_gid()]), text.get_text()
            assert inside(extent.extents, (0, 0, *figure.get_size_inches()))
            drawn.setdefault(text.get_gid(), []).append(text.get_text())
        assert all(inside(box, (0, 0, *figure.get_size_inches())) for box in boxes.values())
    shown = {row.id: row.text.split("\n") for row in frame.itertuples() if row.kind == "box"}
    assert drawn == shown


def test_the_lines_of_a_frame_are_above_its_boxes(frames):
    frame = frames["figure_1", "default"]
    boxes, around = rectangles(frame, frames=False), rectangles(frame, frames=True)
    lines = {row.id: len(row.text.split("\n")) for row in frame.itertuples()}
    for name, a in around.items():
        top = max(b[3] for b in boxes.values() if inside(b, a))
        assert (a[3] - top) * 72 > 7 * 1.3 + (lines[name] - 1) * 6 * 1.3


def test_names_in_mathematics_are_closed(frame):
    assert all(line.count("$") % 2 == 0 for line in re.split(r"\n", words(frame)))
