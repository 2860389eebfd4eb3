"""What Figure 1 says in its boxes, from the configuration and from the method as it is built."""

from __future__ import annotations

from textwrap import wrap

from autoloss.learned import Learned
from autoloss.registry import MODELS, OWN, load
from autoloss.report.escape import mathtext
from autoloss.report.figures.boxes import Row, box
from autoloss.report.figures.style import loss_label
from autoloss.report.figures.trace import describe, has_matrix, leaves
from autoloss.study import Study
from autoloss.weighting import GumbelSoftmax

LINE, NAMED = 26, 10  # characters of a box's small lines; fields that are named
# h = dL_val/dV by the name of its estimator (autoloss.hypergradient).
HYPERGRADIENTS = {
    "direct": r"$h = \partial\mathcal{L}_\mathrm{val}(W, V)\,/\,\partial V$",
    "exact": r"$h = d\mathcal{L}_\mathrm{val}"
    r"(W - \xi\,\partial\mathcal{L}_\mathrm{train}/\partial W, V)\,/\,dV$",
}
HYPERGRADIENTS["finite_difference"] = HYPERGRADIENTS["exact"]


class Framework:
    """The boxes of Figure 1, not placed yet, for the study's first data set."""

    def __init__(self, study: Study) -> None:
        self._config = study.config
        self._dataset = study.dataset(study.config.study.datasets[0])
        self._task = self._dataset.task.task
        method = load(OWN)(self._task, study.config.losses, study.config.methods.get(OWN, {}))
        assert isinstance(method, Learned)
        self._method, self._options = method, method.options
        self.fields, self.drs = self._fields(), self._drs()
        classes = self._task.classes
        link = "sigmoid" if self._task.binary else f"softmax, {classes} classes"
        self.prediction = _box("prediction", "data", r"$\hat{y}$", link)
        self.label = _box("label", "data", "$y$", f"1 of {classes} classes")
        self.layers, self.relaxation = self._layers(), self._relaxation()
        still = "no gradient through its input" if self._options["detach"] else ""
        self.controller = ["Controller, parameters $V$", *([still] if still else [])]
        names = list(method.candidates.names)
        self.weights = [
            _box(f"weight {name}", "data", f"$p_{{{k}}}$", method=name)
            for k, name in enumerate(names, start=1)
        ]
        labels = [mathtext(loss_label(name)) for name in names]
        self.losses = [
            _box(
                f"loss {name}",
                "op",
                rf"$\ell_{{{k}}}$ {label}",
                *self._constants(name),
                method=name,
            )
            for k, (name, label) in enumerate(zip(names, labels, strict=True), start=1)
        ]
        self.candidates = [r"Candidate losses $\ell_i(y, \hat{y})$"]
        text = r"$\Sigma_i\,p_i\,\ell_i$, mean of the batch"
        self.mixture = _box("mixture", "op", "Weighted sum (Eq. 11)", text)
        self.loss = _box("loss", "data", r"$\mathcal{L}$")
        self.inner, self.outer = self._inner(), self._outer()

    def _fields(self) -> Row:
        names = [mathtext(f.name) for f in self._dataset.fields]
        title = f"{len(names)} input fields"
        if len(names) > NAMED:
            names = [*names[: NAMED - 2], "…", names[-1]]
        return _box("fields", "data", title, *wrap(", ".join(names), LINE))

    def _drs(self) -> Row:
        model = self._config.model
        models = " or ".join(MODELS[name] for name in self._config.study.models)
        sizes = [f"embeddings of {model.embedding_dim}"]
        sizes.append(f"hidden layers of {', '.join(map(str, model.hidden))}")
        return _box("drs", "module", "DRS, parameters $W$", *wrap(models, LINE), *sizes)

    def _layers(self) -> list[Row]:
        """Of the controller, each from one matrix of weights to before the next."""
        groups: list[list[str]] = []
        for _, module in leaves(self._method.weighting):
            if has_matrix(module) or not groups:
                groups.append([])
            groups[-1] += describe(module)
        groups[-1].append("scores $s$")
        return [_box(f"layer {k}", "module", *text, method=OWN) for k, text in enumerate(groups)]

    def _relaxation(self) -> Row:
        found, unit = self._method.relaxation, self._options["tau_unit"]
        assert isinstance(found, GumbelSoftmax)
        tau = found.temperature
        form = "Straight-through" if found.straight_through else "Soft"
        lines = [
            r"$p = \mathrm{softmax}((\log\alpha + g)\,/\,\tau)$",
            rf"$\tau = \max({tau.floor:g},\ {tau.start:g} - {tau.slope:g}\,t)$",
            rf"$\alpha = \mathrm{{softmax}}(s)$; $t$ in {unit}s",
        ]
        return _box("relaxation", "op", f"{form} Gumbel-softmax (Eq. 10)", *lines, method=OWN)

    def _constants(self, loss: str) -> list[str]:
        """`focal_gamma: 2.0` as "gamma 2"."""
        found = []
        for key, value in self._config.losses.model_dump().items():
            if key.startswith(f"{loss}_"):
                shown = f"{value:g}" if isinstance(value, float) else value
                found.append(f"{key.removeprefix(f'{loss}_')} {shown}")
        return found

    def _inner(self) -> Row:
        training = self._config.training
        decay = f", weight decay {training.weight_decay:g}" if training.weight_decay else ""
        slope = r"\partial\mathcal{L}_\mathrm{train}(W, V)\,/\,\partial W"
        return _box(
            "inner",
            "step",
            f"Inner step (lower level): a training batch of {training.batch_size} examples",
            rf"$W \leftarrow {self._adam}(W,\ {slope})$, learning rate {training.lr:g}{decay}",
        )

    def _outer(self) -> Row:
        o, on = self._options, self._method.info.learns_on
        every = f"every {o['every']} inner steps" if o["every"] > 1 else "before each inner step"
        first_order = o["hypergradient"] == "direct" or o["xi_over_lr"] == 0
        formula = HYPERGRADIENTS["direct" if first_order else o["hypergradient"]]
        ahead = "" if first_order else rf", $\xi$ = {o['xi_over_lr']:g} × learning rate of $W$"
        criterion = {"mixture": r"the weighted sum", "ce": "cross-entropy"}[o["criterion"]]
        return _box(
            "outer",
            "step",
            f"Outer step (upper level): a {on} batch, {every}",
            rf"$V \leftarrow {self._adam}(V,\ h)$, learning rate {o['lr']:g};  {formula}",
            rf"hypergradient $h$: {o['hypergradient'].replace('_', ' ')}{ahead};  "
            rf"$\mathcal{{L}}_\mathrm{{val}}$: {criterion}",
            method=OWN,
        )

    @property
    def _adam(self) -> str:
        return rf"\mathrm{{{type(self._method.optimizer).__name__}}}"


def _box(name: str, role: str, *lines: str, method: str = "") -> Row:
    return box("framework", name, role, lines, method=method)
