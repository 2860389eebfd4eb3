"""Figures 1 and 2: that they say what the configuration and the models say, and can be read."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.path import Path as Line
from matplotlib.transforms import Affine2D, Bbox
from torch import nn

import autoloss.models
from autoloss.config import ModelOptions
from autoloss.methods.autoloss import AutoLoss
from autoloss.methods.info import OWN
from autoloss.models import MODELS, build_model
from autoloss.report.figures import drawing, render
from autoloss.report.figures._architecture import trace
from autoloss.report.figures._looks import LOOKS
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import PAGE, published_style
from autoloss.report.figures.figure_1 import HYPERGRADIENTS
from autoloss.report.frames import parts_of, read_csv
from autoloss.study.study import Study
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
    return read_csv(io.StringIO(text))


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
    assert "after every 7 inner steps" in default
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
        ({"methods": {"autoloss": {"every": 1}}}, "after each inner step"),
        ({"methods": {"autoloss": {"look_ahead": "optimizer"}}}, r"\mathrm{Adam}_\xi(W,"),
        ({"methods": {"autoloss": {"dropout": 0.35}}}, "Dropout 0.35"),
        (
            {"methods": {"autoloss": {"hypergradient": "direct"}}, "study": {"methods": [OWN]}},
            "hypergradient $h$: direct;",
        ),
        (
            {"methods": {"autoloss": {"criterion": "ce"}}, "study": {"methods": [OWN]}},
            "cross-entropy",
        ),
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
    assert set(losses["method"]) <= set(LOOKS)
    assert [text.split("$ ")[1].split(", ")[0] for text in losses["text"]] == ["CE", "Focal"]
    assert list(frame[frame["id"].str.startswith("weight ")]["method"]) == ["ce", "focal"]


def test_every_look_ahead_has_its_formula():
    assert set(HYPERGRADIENTS) == {"none", *AutoLoss.info.choices["look_ahead"]}


def test_architectures_follow_the_configuration(frames):
    default, small = (words(frames["figure_2", key]) for key in ("default", "small"))
    assert "Linear 128 → 128\nBatchNorm, ReLU,\nDropout 0.2\nmlp.1 → [B, 128]" in default
    assert "embedding → [B, 8, 16]" in default
    assert "Linear 128 → 32\nReLU\nmlp.0–1 → [B, 32]" in small
    assert "Dropout" not in small
    assert "Linear 128 → 5" in words(frames["figure_2", "rating"])
    of_classes = words(frames["figure_2", "rating"], "op")
    assert "addition\nsum, product\nwith bias,\nmlp.2.weight" in of_classes  # by W_o's row sums


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("classes", [2, 5])
def test_no_parameter_of_a_model_is_left_out(name, classes):
    model = build_model(name, [2, 2, 2], Task(classes), ModelOptions(hidden=(8, 8)))
    graph = trace(model, 3)
    assert "not used" not in words_of(graph)
    assert all(
        any(part.has(parameter) for part in graph) for parameter, _ in model.named_parameters()
    )


def words_of(graph):
    return [step for part in graph for step in part.steps]


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


@dataclass
class Drawn:
    """A figure as it is drawn, in points: boxes and their texts by id, the lines of its arrows."""

    size: tuple[float, float]
    boxes: dict[str, Bbox]
    texts: dict[str, Bbox]
    lines: list[tuple[str, str, Line]]  # source, target


@pytest.fixture
def drawn(request, frame):
    name = request.node.callspec.params["frame"][0]
    with published_style():
        figure = drawing(name).draw(frame)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
    points = figure.dpi_scale_trans.inverted() + Affine2D().scale(72)
    picture = Drawn(tuple(figure.get_size_inches() * 72), {}, {}, [])
    for axis, (_, panel) in zip(figure.axes, parts_of(frame, "panel"), strict=True):
        frames = iter(axis.patches)  # those of boxes that are as large as they are said to be
        for row, text in zip(panel.itertuples(), axis.texts, strict=True):
            if row.kind == "arrow":
                line = line_of(text.arrow_patch).transformed(points)
                picture.lines.append((row.source, row.target, line))
            else:
                patch = text.get_bbox_patch() or next(frames)
                picture.boxes[row.id] = patch.get_window_extent(renderer).transformed(points)
                # A text's own extent has the box around it in it.
                text.set_bbox(None)
                picture.texts[row.id] = text.get_window_extent(renderer).transformed(points)
                assert text.get_size() >= 6
        assert not list(frames)
    return picture


def line_of(arrow):
    """An arrow's path without its head, which is a part of its own."""
    path = arrow.get_transform().transform_path(arrow.get_path())
    (_, head) = np.flatnonzero(path.codes == Line.MOVETO)
    return Line(path.vertices[:head], path.codes[:head])


def within(inner, outer):
    x0, y0, x1, y1 = inner.extents
    return outer.x0 < x0 and outer.y0 < y0 and x1 < outer.x1 and y1 < outer.y1


def test_boxes_do_not_overlap_but_for_a_frames_own_and_are_in_the_picture(drawn, frame):
    boxes, frames = drawn.boxes, set(frame[frame["role"] == "frame"]["id"])
    assert set(boxes) == set(frame[frame["kind"] == "box"]["id"])
    for a, b in combinations(boxes, 2):
        framed = (a in frames and within(boxes[b], boxes[a])) or (
            b in frames and within(boxes[a], boxes[b])
        )
        assert framed or not boxes[a].overlaps(boxes[b]), (a, b)
    assert all(within(box, Bbox([(0, 0), drawn.size])) for box in boxes.values())


def test_texts_are_in_their_boxes_and_a_frames_above_what_it_holds(drawn):
    for name, text in drawn.texts.items():
        assert within(text, drawn.boxes[name]), name
        held = [box for box in drawn.boxes.values() if within(box, drawn.boxes[name])]
        assert all(text.y0 > box.y1 for box in held), name


def test_arrows_touch_their_boxes_and_no_other(drawn):
    for source, target, line in drawn.lines:
        for name, end in ((source, line.vertices[0]), (target, line.vertices[-1])):
            near, inside = (drawn.boxes[name].padded(pad) for pad in (1, -1))
            assert near.contains(*end), (source, target)
            assert not inside.contains(*end), (source, target)
        crossed = [
            name
            for name, box in drawn.boxes.items()
            if name not in (source, target) and line.intersects_bbox(box, filled=False)
        ]
        assert not crossed, (source, target)


def test_arrows_go_from_box_to_box_of_a_panel(frame):
    panels = {row.id: row.panel for row in frame.itertuples() if row.kind == "box"}
    for row in frame[frame["kind"] == "arrow"].itertuples():
        assert {panels[row.source], panels[row.target]} == {row.panel or "framework"}


def test_names_in_mathematics_are_closed(frame):
    assert all(line.count("$") % 2 == 0 for line in re.split(r"\n", words(frame)))
