"""A stack of runs: the seeds of a cell, trained step by step as one (see `autoloss.layers.stack`).

A step's operations are those of one run, each on all runs at once. What is a run's own stays its
own: it draws what it draws alone, has its split, stops early, is judged, and fails by itself. One
that is over idles, and computes on: without it the others' last bits would be others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoloss.data.load.batches import Batch
from autoloss.data.load.gathered import Gathered
from autoloss.data.load.together import Ahead, Together
from autoloss.errors import ConfigError, UserError
from autoloss.faults import fault_in
from autoloss.layers.stack import copy_into, part, stacked
from autoloss.methods.contract import Method, Step
from autoloss.methods.learned import Parametric
from autoloss.methods.promises import require_means, require_promised
from autoloss.seeds import Seeds
from autoloss.training import on_device, rehearsal
from autoloss.training.evaluate import require_every_class
from autoloss.training.graphs import Cuda, Graphs
from autoloss.training.loop import Trainer, TrainingDivergedError
from autoloss.training.observe import BINS, choice_of
from autoloss.training.pace import Listener, Pace
from autoloss.training.steps import Loop, Progress, Sums, Taken

EVALUATED = {"cpu": 1 << 10, "cuda": 1 << 18}  # examples at a time, of all runs together
HOOKS = "before_step", "descend", "after_step"


class Stack(Loop):
    """Several runs of one cell, of other seeds, on splits of one size.

    Args:
        runs: made with `in_stack=True`; after each epoch their methods are as then, and what their
            models were at best is in `best`.
        state: checkpoint file of all of them, or None for none.
        idle: which of them are over from the start: they only fill a place.
        report: called with a line where a checkpoint is damaged, or no graph can be made.
        listener: told once a second how far the epoch is.

    A run that diverges is kept in `failures`, by its place.

    Raises:
        ConfigError: the runs' splits are of several sizes; or the method's steps say nothing of
            stacks; or steps are not in one what they are alone.
        DataError: a run's validation split has not every class.
    """

    seed: Seeds

    def __init__(
        self,
        runs: Sequence[Trainer],
        *,
        state: Path | None = None,
        report: Callable[[str], None] = lambda line: None,
        idle: Collection[int] = (),
        listener: Listener | None = None,
    ) -> None:
        first = runs[0]
        self.runs, self.idle = list(runs), frozenset(idle)
        self.options, self.device, self.train = first.options, first.device, first.train
        self.what = first.what
        self.state_file, self.report, self.pace = state, report, Pace(listener)
        self.listener = listener
        self.failures: dict[int, Exception] = {}
        self._require_one_size()
        for run in runs:
            require_every_class(run.task, run.judged.labels.numpy())
        self._labels = torch.stack([run.judged.labels for run in runs]).to(self.device)
        _require_declared(first.method)
        with self._refused():  # it may be of other sizes in each run
            self.model = stacked([run.model for run in runs])
            self.method = stacked([run.method for run in runs])
        self.seed = Seeds([run.seed for run in runs], self.device)
        self.method.seed, self.clock = self.seed, self.seed.clock
        if isinstance(self.method, Parametric):
            self.method.optimizer.count_on(self.device)
        self.sources = self._sources()
        self._rehearse()
        self._begin((len(runs),))
        self.graphs = Graphs(self, Cuda(self.device), report) if self._on_gpu else None

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def _require_one_size(self) -> None:
        for split in ("train", "validation", "judged"):
            sizes = sorted({len(getattr(run, split).labels) for run in self.runs})
            if len(sizes) > 1:
                problem = f"its runs' {split} splits have {sizes[0]} to {sizes[-1]} rows"
                raise ConfigError("training.stack", problem, "set it to 1")

    def _sources(self) -> dict[str, Gathered | Together]:
        """Where batches of each split come from.

        Examples lie on a GPU if they take no more than half of what is free there, orders and what
        making one takes counted (a run's is sorted at a time); else they are read ahead.
        """
        halves = self.options.validation == "halves"
        names = "train", "validation", *(("judged",) if halves else ())
        each = {name: [getattr(run, name) for run in self.runs] for name in names}
        kind: type[Gathered | Together] = Together
        if self._on_gpu:
            size = sum(Gathered.size(batches) for batches in each.values())
            kind = Gathered if size <= torch.cuda.mem_get_info(self.device)[0] / 2 else Ahead
            if kind is Ahead:
                self.report(f"{size / 1e9:.1f} GB of examples are read from the host, ahead")
        made = {name: kind(batches, self.device) for name, batches in each.items()}
        return {"judged": made["validation"], **made}

    def _rehearse(self) -> None:
        """Compare steps of two runs, of other sizes if there are such, with those of each alone.

        Raises:
            ConfigError: they are not in a stack what they are alone.
        """
        first, *others = self.runs
        sizes = _sizes(first)
        others = [run for run in others if _sizes(run) != sizes] or others
        pair = [first, *others[:1]]
        steps = rehearsal.rehearsed_steps(first.method)
        with rehearsal.double_precision():
            alone = [run.anew() for run in pair]
            losses = [rehearsal.take(run, steps) for run in alone]
            with self._refused():
                whole = _Pair([run.anew(in_stack=True) for run in pair])
                together = rehearsal.take(whole, steps)
                rehearsal.require_alike(whole, together, alone, losses, whole.runs)

    @contextmanager
    def _refused(self) -> Iterator[None]:
        """Errors within say that the model or the method takes no stack, but for the machine's."""
        try:
            yield
        except Exception as error:
            if isinstance(error, UserError) or fault_in(error) is not None:
                raise
            said = str(error).partition("\n")[0] or type(error).__name__
            problem = f"{self.what} is not in a stack what it is alone ({said})"
            mend = "set it to 1, or mend the code, as docs/methods-contract.md says of stacks"
            raise ConfigError("training.stack", problem, mend) from error

    @property
    def progress(self) -> Progress:
        """That of a run that is not over: these are at the same step."""
        return (self.live or self.runs)[0].progress

    @property
    def live(self) -> Sequence[Trainer]:
        """The runs that are neither finished nor failed, nor idle from the start."""
        return [run for s, run in enumerate(self.runs) if not self._over(s)]

    def fail(self, error: Exception) -> None:
        """The runs that are not over have failed."""
        self.failures |= {s: error for s in range(len(self.runs)) if not self._over(s)}

    def _over(self, s: int) -> bool:
        return s in self.idle or s in self.failures or self.runs[s].finished

    @property
    def finished(self) -> bool:
        """No run is left."""
        return not self.live

    def taken(self, t: int) -> Taken:
        """By a graph, where there are any; the first is looked at.

        Raises:
            MethodError: a run's weights are not what the method's Info says.
        """
        taken = self.graphs.take(t) if self.graphs else super().taken(t)
        if t == 0:
            batch = self.batch("train", 0)
            for s, run in enumerate(self.runs):
                weights, own = taken[1][s], Batch(*(x[s] for x in batch))
                if torch.isfinite(weights).all():  # else it diverges, alone
                    require_promised(run.method, weights, own, None, 0)
        return taken

    def step(
        self,
        t: int,
        batch: Batch | None = None,
        look: Callable[[int], Batch] | None = None,
        alike: Hashable = None,
    ) -> Step:
        """As of a run; those that are `alike` do the same operations and draw the same noise."""
        batch = batch or self.batch("train", t)
        self.seed.begin(t, alike or (self.method.kind(t), batch.labels.shape[-1]))
        return super().step(t, batch, look)

    def batch(self, split: str, k: int) -> Batch:
        """The k-th batch of each run: ids `[S, B, F]` and labels `[S, B]`."""
        return self.sources[split].batch(k)

    def close_epoch(self, sums: Sums) -> None:
        """Each run records and judges its own; the host waits for the device once.

        Raises:
            TrainingDivergedError: now the last one has diverged.
        """
        live = [s for s in range(len(self.runs)) if not self._over(s)]
        for s in live:
            copy_into(self.runs[s].method, part(self.method, s, buffers=True))
        n, logits = len(self.method.candidates), self._predict()
        numbers = torch.stack([self._numbers(s, sums.of_run(s), logits[s]) for s in live]).cpu()
        sizes = [1, n, n, 3, numbers.shape[1] - 2 * n - 4]
        for s, row in zip(live, numbers, strict=True):
            run, (loss, weights, selected, judged, chosen) = self.runs[s], torch.split(row, sizes)
            own = Sums(*(x.to(sums.loss.dtype) for x in (loss[0], weights, selected)))
            finite, auc, logloss = judged.tolist()
            table = chosen.view(run.task.classes * BINS, -1)
            try:
                curve = {"train_loss": run.count_epoch(own), "auc": auc, "logloss": logloss}
                run.require_finite(finite > 0)
                weighed = None
                if len(chosen):
                    when = "on the validation split after an epoch"
                    require_means(run.method, table[:, 1 : 1 + n], table[:, :1], when)
                    weighed = choice_of(run.task, table.numpy())
                run.judge_epoch(curve, weighed, partial(self._weights, s))
            except TrainingDivergedError as error:
                self.failures[s] = error
        if len(self.failures) + len(self.idle) == len(self.runs):
            raise next(iter(self.failures.values()))

    def _numbers(self, s: int, sums: Sums, logits: Tensor) -> Tensor:
        """All that the host is told of a run's epoch: sums, metrics, and who was given what."""
        run, labels = self.runs[s], self._labels[s].long()
        judged = (
            torch.isfinite(logits).all(),
            on_device.auc(run.task, labels, logits),
            on_device.logloss(run.task, labels, logits),
        )
        numbers = [sums.loss, sums.weights, sums.selected, *judged]
        done = run.progress.steps
        chosen = on_device.choice_sums(run.method, run.judged.ids, labels, logits, done)
        numbers += [] if chosen is None else [chosen]
        return torch.cat([x.double().flatten() for x in numbers])

    def _weights(self, s: int) -> dict[str, Tensor]:
        """A copy of run `s`'s."""
        return {name: value.clone() for name, value in part(self.model, s).items()}

    @torch.no_grad()
    def _predict(self) -> Tensor:
        """Logits of each run's validation split, `[S, n]` or `[S, n, C]`, in stored order."""
        n, size = self._labels.shape[1], -(-EVALUATED[self.device.type] // len(self.runs))
        self.pace.begin("validation", self.progress.epoch + 1, 0, -(-n // size), size)
        self.model.eval()
        logits = []
        for k, start in enumerate(range(0, n, size), 1):
            rows = self.sources["judged"].part(slice(start, min(start + size, n)))
            logits.append(self.model(rows.ids))
            self.pace.at(k)
        self.model.train()
        return torch.cat(logits, dim=1)

    def refit(self, state: Path | None) -> Stack:
        """As each run's own: each for the epochs that were its best."""
        over = {s for s in range(len(self.runs)) if s in self.idle or s in self.failures}
        runs = [run.refit(in_stack=True) for run in self.runs]
        report, listener = self.report, self.listener
        return Stack(runs, state=state, report=report, idle=over, listener=listener)

    def state(self) -> dict[str, Any]:
        """All that the runs need to go on with the same bits."""
        return {
            "runs": [(vars(run.progress), run.best, _values(run.method)) for run in self.runs],
            "failures": {s: str(error) for s, error in self.failures.items()},
            "sums": vars(self.sums),
            "model": self.model.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for run, saved in zip(self.runs, state["runs"], strict=True):
            progress, best, method = saved
            run.resume(progress, best)
            copy_into(run.method, method)
        self.failures |= {s: TrainingDivergedError(said) for s, said in state["failures"].items()}
        self.sums = Sums(**state["sums"])
        self.model.load_state_dict(state["model"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])


class _Pair(Stack):
    """Two runs that rehearse for a stack; a GPU is left to that."""

    def _rehearse(self) -> None:
        """This is it."""

    def _sources(self) -> dict[str, Gathered | Together]:
        """The host makes batches when they are asked for."""
        names = "train", "validation", "judged"
        each = {name: [getattr(run, name) for run in self.runs] for name in names}
        return {name: Together(batches, self.device) for name, batches in each.items()}


def _require_declared(method: Method) -> None:
    """Refuse a method that does more at a step than its bases, and does not say of which kind."""
    declared = _owner(type(method), "kind")
    for hook in HOOKS:
        if not issubclass(declared, owner := _owner(type(method), hook)):
            problem = f"{owner.__name__}.{hook} does not say that it computes a stack of runs"
            mend = "set it to 1, or define `kind` there, as docs/methods-contract.md has it"
            raise ConfigError("training.stack", problem, mend)


def _owner(kind: type, name: str) -> type:
    return next(base for base in kind.__mro__ if name in vars(base))


def _sizes(run: Trainer) -> list[torch.Size]:
    """Shapes of the model's parameters."""
    return [parameter.shape for parameter in run.model.parameters()]


def _values(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if torch.is_tensor(value)}
