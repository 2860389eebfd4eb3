"""AutoLoss in a training loop of one's own: a loss to call `backward` on, for any model.

What the study's loop is sure of, because it makes it, is looked at here: labels are classes, logits
have their shape and are no probabilities, V is trained by the method alone.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from autoloss.data.load.batches import Batch
from autoloss.errors import ConfigError, DataError
from autoloss.functional import FunctionalModel, Parts
from autoloss.layers.dropout import Dropout
from autoloss.methods.contract import Descent, Method, Step
from autoloss.seeds import Draw
from autoloss.task import Task

# Nodes of autograd's graph by what they make of values: probabilities, or another form of the same.
SQUASHES = re.compile(r"(Sigmoid|Softmax|Hardsigmoid)Backward")
SHAPES = re.compile(
    r"((Unsafe)?View|Reshape|ReshapeAlias|(Uns|S)queeze|Select|Slice|Clone|ToCopy|Clamp|Alias"
    r"|T|Transpose|Permute|Expand|AsStrided)Backward"
)


class HasRates(Protocol):
    """What is read of an optimizer."""

    param_groups: list[dict[str, Any]]


class OwnLoop:
    """The mixed loss of Eq. 11 as a function of batches; each call is an inner step.

    The outer steps of Algorithm 1 are taken within, after every f-th call. A backward pass of the
    loss leaves the gradients of the coming step on W: with `updates: simultaneous` those that the
    look-ahead has taken, under the weighting before its outer step.

    A pass of the model draws its noise, torch's own dropout too, by place: of the method's seed and
    the step. Generators are left as they were.

    Args:
        method: AutoLoss, or another method whose weighting the model's own step does not train.
        model: any module `inputs -> logits`: `[B]` or `[B, 1]` of a binary task, else `[B, C]`.
        optimizer: the model's, in which V is not; its learning rate is the unit of xi (Eq. 13).
        validation: batches (inputs, labels) that can be gone through again: a DataLoader, a list.
        lr: the unit of xi, for an optimizer that has several learning rates.

    Raises:
        ConfigError: the method or the optimizer is not such a one, or the method lacks what a
            search or another run gives it.
    """

    def __init__(
        self,
        method: Method,
        model: nn.Module,
        optimizer: HasRates,
        validation: Iterable[tuple[Any, Tensor]],
        *,
        lr: float | None = None,
    ) -> None:
        if method.inner_parameters():
            problem = f"'{method.info.name}' trains its weighting in the model's own step"
            raise ConfigError("method", problem, "take one that has a step of its own, or none")
        trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if trained & {id(p) for p in method.parameters()}:
            problem = "would train the method's parameters too"
            raise ConfigError("optimizer", problem, "give it the parameters of the model alone")
        if not trained & {id(p) for p in model.parameters()}:
            problem, mend = "has no parameter of the model", "make it of `model.parameters()`"
            raise ConfigError("optimizer", problem, mend)
        _require_complete(method)
        self.method, self.model, self.optimizer = method, model, optimizer
        self.validation, self._lr, self.steps = validation, lr, 0
        self._batches: Iterator[tuple[Any, Tensor]] = iter(())
        self._look = _Look(method.task)

    def loss(self, inputs: Any, labels: Tensor) -> Tensor:
        """The mixed loss of a training batch, a scalar with a graph; an outer step if one is due.

        Args:
            inputs: what the model takes, its one argument.
            labels: classes 0 .. C-1, `[B]` or `[B, 1]`, of any type.

        Raises:
            DataError: a label is no class, or no batch of `validation` is left.
            ConfigError: the logits are not as many as the labels, or the optimizer has several
                learning rates.
        """
        batch = self._look.batch(inputs, labels)
        self.method.to(batch.labels.device)
        step = _OwnStep(
            t=self.steps,
            model=self.model,
            batch=batch,
            validation=lambda k: self._validation_batch(batch.labels.device),
            lr=self.lr,
            seed=self.method.seed,
            look=self._look,
        )
        self.method.before_step(step)
        self.steps += 1
        if step.descent is not None:
            return _with_gradients(step.descent, step.opened.params)
        return self.method.loss(batch.labels, step.forward(), step.t, ids=batch.ids)

    @property
    def lr(self) -> float:
        """The unit of xi now.

        Raises:
            ConfigError: the optimizer has several learning rates, and none was given.
        """
        if self._lr is not None:
            return self._lr
        rates = sorted({float(group["lr"]) for group in self.optimizer.param_groups})
        if len(rates) > 1:
            problem = f"has the learning rates {', '.join(map(str, rates))}"
            raise ConfigError("optimizer", problem, "say which is the unit of xi: OwnLoop(lr=...)")
        return rates[0]

    def state_dict(self) -> dict[str, Any]:
        """The weighting, its optimizer and the steps, for a checkpoint."""
        return {"method": self.method.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.method.load_state_dict(state["method"])
        self.steps = state["steps"]

    def _validation_batch(self, device: torch.device) -> Batch:
        """The next one, from the start again after the last."""
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self.validation)
            batch = next(self._batches, None)
        if batch is None:
            mend = "give some; that can be gone through again and again: a DataLoader, or a list"
            raise DataError("validation", "has no batch, or none is left", mend)
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            problem = f"has a batch that is {_kind(batch)}, expected a pair (inputs, labels)"
            raise DataError("validation", problem, "give such pairs; inputs may be anything")
        inputs, labels = (x.to(device) if isinstance(x, Tensor) else x for x in batch)
        return self._look.batch(inputs, labels)


def _require_complete(method: Method) -> None:
    """Refuse a method to which nobody has given what it takes from a search or another run."""
    name, options = method.info.name, method.options
    if method.info.frozen and not options["controller"]:
        where, problem = f"methods.{name}.controller", "is not given: it would be a random one"
        mend = "give the seed_N.controller.pt of a run: options={'controller': ...}"
        raise ConfigError(where, problem, mend)
    if method.info.searches and not options["weights"]:
        where, problem = f"methods.{name}.weights", "is not given, and nothing is searched here"
        mend = "give those that a search has found: options={'weights': [...]}"
        raise ConfigError(where, problem, mend)
    if options.get("look_ahead") == "optimizer":
        where, problem = (
            f"methods.{name}.look_ahead",
            "is 'optimizer', whose step is not known here",
        )
        raise ConfigError(where, problem, "set look_ahead: gradient")


def _kind(value: object) -> str:
    of = f" of {len(value)}" if isinstance(value, list | tuple) else ""
    return f"a {type(value).__name__}{of}"


@dataclass
class _Look:
    """Looks at labels always, and once at whether logits are probabilities."""

    task: Task
    known: bool = False

    def batch(self, inputs: Any, labels: Tensor) -> Batch:
        """The batch, its labels `int64[B]`."""
        if not isinstance(labels, Tensor):
            raise DataError("labels", f"are {_kind(labels)}", "give a tensor of classes")
        flat = labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels
        last = self.task.classes - 1
        if flat.dim() != 1:
            problem = f"are of shape {list(labels.shape)}"
            raise DataError("labels", problem, f"give one class for each example, 0 to {last}")
        whole = flat.long()
        wrong = (whole != flat) | (whole < 0) | (whole > last)
        if wrong.any():
            problem = f"have {flat[wrong][0].item()}, which is no class of {last + 1}"
            mend = f"number the classes 0 to {last}, or give the method `Task(classes=...)`"
            if not (flat < 1).any() and flat.max() == last + 1:
                mend = f"number the classes 0 to {last}: subtract 1"
            raise DataError("labels", problem, mend)
        return Batch(inputs, whole)

    def logits(self, logits: Tensor, labels: Tensor) -> Tensor:
        """`[B]` of a binary task, else `[B, C]`."""
        if not isinstance(logits, Tensor):
            problem = f"gives {_kind(logits)}, expected a tensor of logits"
            raise ConfigError("model", problem, "wrap it in a module that gives its logits alone")
        if self.task.binary and logits.dim() == 2 and logits.shape[1] == 1:
            logits = logits.squeeze(1)
        examples = len(labels)
        expected = [examples] if self.task.binary else [examples, self.task.classes]
        if list(logits.shape) != expected:
            problem = f"gives {list(logits.shape)} for {examples} labels, expected {expected}"
            raise ConfigError("model", problem, self._mend(logits))
        if not self.known and logits.grad_fn is not None:
            self.known = True
            if _are_probabilities(logits):
                warnings.warn(
                    "the model gives probabilities where logits are expected: take off its last "
                    "sigmoid or softmax, which the losses apply themselves",
                    stacklevel=2,
                )
        return logits

    def _mend(self, logits: Tensor) -> str:
        columns = logits.shape[1] if logits.dim() == 2 else 1
        if columns > 2 and columns != self.task.classes:
            return f"give the method `Task(classes={columns})`, if there are so many"
        if self.task.binary:
            return "give one logit for each example: of two columns the second less the first"
        return "give a logit for each class of each example"


def _are_probabilities(logits: Tensor) -> bool:
    """Whether a sigmoid or a softmax made them, or each row of several sums to 1, none below 0.

    Values of one column say nothing: logits may well lie between 0 and 1.
    """
    if logits.dim() == 2:
        values = logits.detach().double()
        if bool((values >= 0).all() and ((values.sum(dim=1) - 1).abs() < 1e-4).all()):
            return True
    node = logits.grad_fn
    while node is not None and SHAPES.match(node.name()):
        node = node.next_functions[0][0]
    return node is not None and bool(SQUASHES.match(node.name()))


@dataclass
class _OwnStep(Step):
    """A step on a model of somebody's own: its logits are looked at, its tables left whole."""

    look: _Look = field(kw_only=True)

    def open(self, *others: Batch, cut: bool = True) -> FunctionalModel:
        """As any step does, but never cut."""
        self._opened = _OwnModel(self.model, (self.batch, *others), self.look)
        self._logits = None
        return self._opened


class _OwnModel(FunctionalModel):
    """Whose noise, torch's dropout too, is that of the pass; whose own pass moves statistics."""

    def __init__(self, model: nn.Module, batches: Sequence[Batch], look: _Look) -> None:
        inputs = [batch.ids for batch in batches]
        super().__init__(model, inputs, parts=_parts(model), cut=False, moves_statistics=True)
        self._labels, self._look = [batch.labels for batch in batches], look

    def current(self, draw: Draw) -> Tensor:
        """Logits of the first batch, by the module itself."""
        with _noise(draw, self._labels[0].device):
            return self._look.logits(super().current(draw), self._labels[0])

    def __call__(self, params: Any, k: int, draw: Draw) -> Tensor:
        """Logits of batch `k` at `params`."""
        with _noise(draw, self._labels[k].device):
            return self._look.logits(super().__call__(params, k, draw), self._labels[k])


def _parts(model: nn.Module) -> Parts:
    """As `Parts.of`, for whole tables, and a model that may have torch's dropout."""
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    places = [name.rpartition(".") for name, _ in model.named_buffers()]
    buffers = {f"{of}{dot}{own}": (model.get_submodule(of), own) for of, dot, own in places}
    ours = [layer for layer in model.modules() if isinstance(layer, Dropout) and layer.rate]
    return Parts(trainable, {}, buffers, ours, tied=True)


@contextmanager
def _noise(draw: Draw, device: torch.device) -> Iterator[None]:
    """Within, torch's generators of the CPU and of `device` are at the draw's own place."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if cuda else []):
        torch.default_generator.manual_seed(draw.seed(0))
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(draw.seed(0))
        yield


def _with_gradients(descent: Descent, params: dict[str, Tensor]) -> Tensor:
    """The descent's loss, as a scalar whose backward pass leaves the descent's gradients."""
    pairs = zip(params.values(), descent.gradients, strict=True)
    return descent.loss + sum(((p - p.detach()) * gradient).sum() for p, gradient in pairs)
