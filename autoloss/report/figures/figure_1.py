"""Figure 1: the framework, with the numbers and names of the study's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from textwrap import wrap
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from autoloss.methods.info import OWN
from autoloss.models import MODELS
from autoloss.report.escape import mathtext
from autoloss.report.figures._boxes import STILL, Row, arrow, box, draw_boxes, table
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import PAGE, loss_label
from autoloss.study.study import Study

TITLE = "Figure 1: the AutoLoss framework"
CAPTION = (
    "The deep recommender (DRS) and the controller, as the study's configuration has them. The "
    "controller weighs the candidate losses for each example. Dashed: the inner step trains the "
    "DRS on training batches, the outer step the controller, through a look-ahead step of the DRS."
)
GROUPS = ()
ORDER = 1
LINE, NAMED = 26, 10  # characters of a box's small lines; fields that are named
# Inches: the columns' centres, the rows' from below, and the distance of the losses' lines.
LEFT, MIDDLE, RIGHT = 0.95, 3.05, 5.75
FIELDS, DRS, UPPER, STEP, LINES = 0.95, 1.75, 2.85, 0.24, 4
BAND = 6.8  # width of the two steps' boxes
# h = dL_val/dV at xi = 0, and by the name of the look-ahead step (autoloss.hypergradient).
HYPERGRADIENTS = {
    "none": r"$h = \partial\mathcal{L}_\mathrm{val}(W, V)\,/\,\partial V$",
    "gradient": r"$h = d\mathcal{L}_\mathrm{val}"
    r"(W - \xi\,\partial\mathcal{L}_\mathrm{train}/\partial W, V)\,/\,dV$",
    "optimizer": r"$h = d\mathcal{L}_\mathrm{val}"
    r"(\mathrm{Adam}_\xi(W,\,\partial\mathcal{L}_\mathrm{train}/\partial W), V)\,/\,dV$",
}


def data(source: Source) -> pd.DataFrame:
    """The boxes with their texts, placed, and the arrows."""
    return table([*_Framework(source.study).boxes(), *_arrows()])


def draw(frame: pd.DataFrame) -> Figure:
    """The picture that the boxes and arrows give."""
    height = frame["y"].max() + 0.35
    figure = Figure(figsize=(PAGE, height), layout=STILL)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, PAGE), ylim=(0, height))
    draw_boxes(axis, frame)
    return figure


def _box(name: str, role: str, place: tuple[float, float], *lines: str, **more: Any) -> Row:
    return box("framework", name, role, "\n".join(lines), *place, **more)


def _arrows() -> Iterator[Row]:
    flow, update = partial(arrow, "framework"), partial(arrow, "framework", role="update")
    yield flow("fields", "drs", "up")
    yield flow("drs", "seen", "up")
    yield flow("seen", "controller", "right")
    yield flow("controller", "relaxation", "right")
    yield flow("seen", "losses", "down", start=0.95, end=0.1)
    yield flow("relaxation", "losses", "down", start=0.1, end=0.85)
    yield flow("losses", "mixture", "right")
    yield flow("mixture", "loss", "down")
    yield update("loss", "inner", "down", end=_along(RIGHT))
    yield update("inner", "drs", "up then left", start=_along(1.75))
    yield update("loss", "outer", "right then up", method=OWN, end=0.985)
    yield update("outer", "controller", "down", method=OWN, start=_along(MIDDLE))


def _along(x: float) -> float:
    """Where a band is at `x`, as a share of its width."""
    return 0.5 + (x - PAGE / 2) / BAND


class _Framework:
    """What the boxes say, for the study's first data set, from the method as it is built."""

    def __init__(self, study: Study) -> None:
        from autoloss.methods.learned import Learned
        from autoloss.methods.load import load

        self.config = study.config
        self.dataset = study.dataset(study.config.study.datasets[0])
        self.task = self.dataset.task.task
        method = load(OWN)(self.task, study.config.losses, study.config.methods.get(OWN, {}))
        assert isinstance(method, Learned)
        self.method, self.options = method, method.options
        self.names = list(method.candidates.names)
        self.adam = rf"\mathrm{{{type(method.optimizer).__name__}}}"

    def boxes(self) -> Iterator[Row]:
        """The inner step below, the outer one on top, the forward pass between them."""
        classes = self.task.classes
        link = "sigmoid" if self.task.binary else f"softmax, {classes} classes"
        # More candidates than LINES lift what is above them.
        middle = 1.45 + STEP * max(0, len(self.names) - LINES) / 2
        upper = UPPER + 2 * (middle - 1.45)
        seen = f"label $y$: 1 of {classes} classes", rf"prediction $\hat{{y}}$: {link}"
        yield _box("inner", "step", (PAGE / 2, 0.3), *self._inner(), width=BAND, height=0.3)
        yield _box("fields", "data", (LEFT, FIELDS), *self._fields())
        yield _box("drs", "module", (LEFT, DRS), *self._drs())
        yield _box("seen", "data", (LEFT, upper), *seen)
        yield _box("controller", "module", (MIDDLE, upper), *self._controller(), method=OWN)
        yield _box("relaxation", "op", (RIGHT, upper), *self._relaxation(), method=OWN)
        yield from self._losses(middle)
        total = r"$\Sigma_i\,p_i\,\ell_i$, mean of the batch"
        yield _box("mixture", "op", (RIGHT, middle), "Weighted sum (Eq. 11)", total)
        yield _box("loss", "data", (RIGHT, middle - 0.6), r"loss $\mathcal{L}$")
        yield _box(
            "outer",
            "step",
            (PAGE / 2, upper + 0.85),
            *self._outer(),
            width=BAND,
            height=0.42,
            method=OWN,
        )

    def _fields(self) -> list[str]:
        names = [mathtext(field.name) for field in self.dataset.fields]
        title = f"{len(names)} input fields"
        if len(names) > NAMED:
            names = [*names[: NAMED - 2], "…", names[-1]]
        return [title, *wrap(", ".join(names), LINE)]

    def _drs(self) -> list[str]:
        model = self.config.model
        models = " or ".join(MODELS[name] for name in self.config.study.models)
        hidden = f"hidden layers of {', '.join(map(str, model.hidden))}"
        sizes = f"embeddings of {model.embedding_dim}", hidden
        return ["DRS, parameters $W$", *wrap(models, LINE), *sizes]

    def _controller(self) -> list[str]:
        """Its layers, each from one matrix of weights to before the next."""
        from autoloss.report.figures._architecture import describe, has_matrix, leaves

        layers: list[list[str]] = []
        for _, module in leaves(self.method.weighting):
            if has_matrix(module) or not layers:
                layers.append([])
            layers[-1] += describe(module)
        still = ["no gradient through its input"] if self.options["detach"] else []
        return ["Controller, parameters $V$", *still, *map(", ".join, layers), "scores $s$"]

    def _relaxation(self) -> list[str]:
        from autoloss.methods.weighting import GumbelSoftmax

        relaxation = self.method.relaxation
        assert isinstance(relaxation, GumbelSoftmax)
        tau = relaxation.temperature
        form = "Straight-through" if relaxation.straight_through else "Soft"
        return [
            f"{form} Gumbel-softmax (Eq. 10)",
            r"$p = \mathrm{softmax}((\log\alpha + g)\,/\,\tau)$",
            rf"$\tau = \max({tau.floor:g},\ {tau.start:g} - {tau.slope:g}\,t)$",
            rf"$\alpha = \mathrm{{softmax}}(s)$; $t$ in {self.options['tau_unit']}s",
        ]

    def _losses(self, middle: float) -> Iterator[Row]:
        """The candidates and their weights, a line each in one frame."""
        title = r"Candidate losses $\ell_i(y, \hat{y})$ and an example's weights $p_i$"
        height = 0.22 + STEP * len(self.names)
        top = middle + height / 2 - 0.08
        yield _box("losses", "frame", (MIDDLE + 0.2, middle), title, width=2.6, height=height)
        for k, name in enumerate(self.names, start=1):
            label = rf"$\ell_{{{k}}}$ {mathtext(loss_label(name))}"
            text, y = ", ".join([label, *self._constants(name)]), top - STEP * k
            yield _box(f"loss {name}", "op", (MIDDLE - 0.15, y), text, method=name)
            yield _box(f"weight {name}", "data", (MIDDLE + 1.15, y), f"$p_{{{k}}}$", method=name)

    def _constants(self, loss: str) -> list[str]:
        """`focal_gamma: 2.0` as "gamma 2"."""
        constants = self.config.losses.model_dump().items()
        return [
            f"{key.removeprefix(f'{loss}_')} {f'{value:g}' if isinstance(value, float) else value}"
            for key, value in constants
            if key.startswith(f"{loss}_")
        ]

    def _inner(self) -> list[str]:
        training = self.config.training
        decay = f", weight decay {training.weight_decay:g}" if training.weight_decay else ""
        slope = r"\partial\mathcal{L}_\mathrm{train}(W, V)\,/\,\partial W"
        return [
            f"Inner step (lower level): a training batch of {training.batch_size} examples",
            rf"$W \leftarrow {self.adam}(W,\ {slope})$, learning rate {training.lr:g}{decay}",
        ]

    def _outer(self) -> list[str]:
        o, on = self.options, self.method.info.learns_on
        every = f"every {o['every']} inner steps" if o["every"] > 1 else "each inner step"
        first_order = o["hypergradient"] == "direct" or o["xi_over_lr"] == 0
        formula = HYPERGRADIENTS["none" if first_order else o["look_ahead"]]
        ahead = "" if first_order else rf", $\xi$ = {o['xi_over_lr']:g} × learning rate of $W$"
        criterion = {"mixture": r"the weighted sum", "ce": "cross-entropy"}[o["criterion"]]
        return [
            f"Outer step (upper level): a {on} batch, after {every}",
            rf"$V \leftarrow {self.adam}(V,\ h)$, learning rate {o['lr']:g};  {formula}",
            rf"hypergradient $h$: {o['hypergradient'].replace('_', ' ')}{ahead};  "
            rf"$\mathcal{{L}}_\mathrm{{val}}$: {criterion}",
        ]
