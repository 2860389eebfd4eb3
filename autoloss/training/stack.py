"""A stack of runs: the seeds of a cell, trained step by step as one (see `autoloss.layers.stack`).

A step's operations are those of one run, each on all runs at once. What is a run's own stays its
own: it draws what it draws alone, has its split, stops early, is judged, and fails by itself. One
that is over idles, and computes on: without it the others' last bits would be others.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoloss.data.load.batches import Batch
from autoloss.data.load.gathered import Gathered
from autoloss.errors import ConfigError
from autoloss.functional import FunctionalModel
from autoloss.layers.stack import copy_into, part, stacked
from autoloss.methods.contract import Method
from autoloss.methods.learned import Parametric
from autoloss.seeds import Draw, Seeds, Time
from autoloss.training.graphs import Cuda, Graphs
from autoloss.training.loop import Trainer, TrainingDivergedError
from autoloss.training.pace import Listener, Pace
from autoloss.training.passes import Passes
from autoloss.training.steps import Loop, Progress, Sums, Taken


class Stack(Loop):
    """Several runs of one cell, of other seeds, on splits of one size.

    Args:
        runs: made with `in_stack=True`; after each epoch their models and methods are as then.
        state: checkpoint file of all of them, or None for none.
        idle: which of them are over from the start: they only fill a place.
        report: called with a line where a checkpoint is damaged, or no graph can be made.
        listener: told once a second how far the epoch is.

    A run that diverges is kept in `failures`, by its place.

    Raises:
        ConfigError: the runs' splits are of several sizes; or a pass of the model, or the method's
            loss, is not in a stack what it is alone.
    """

    clock: Tensor

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
        self.runs, self.idle, self.together = list(runs), frozenset(idle), len(runs)
        self.options, self.device, self.train = first.options, first.device, first.train
        self.what = first.what
        self.state_file, self.report, self.pace = state, report, Pace(listener)
        self.failures: dict[int, Exception] = {}
        for split in ("train", "validation"):
            sizes = sorted({len(getattr(run, split).labels) for run in runs})
            if len(sizes) > 1:
                problem = f"its runs' {split} splits have {sizes[0]} to {sizes[-1]} rows"
                raise ConfigError("training.stack", problem, "set it to 1")
        try:
            self.model = stacked([run.model for run in runs])
            self.method = stacked([run.method for run in runs])
        except RuntimeError as error:  # of other sizes in each run
            raise self._refused(error) from error
        self.seed = Seeds([run.seed for run in runs], self.device)
        self.method.seed = self.seed
        self.clock = torch.zeros((), dtype=torch.int64, device=self.device)
        if isinstance(self.method, Parametric):
            self.method.optimizer.count_on(self.device)
        self.gathered = self._on_device() if self.device.type == "cuda" else {}
        self._require_alike()
        for run in self.runs:
            run.passes = Passes(run.model)
        self._begin((len(runs),))
        self.graphs = Graphs(self, Cuda(), report) if self.device.type == "cuda" else None

    def _on_device(self) -> dict[str, Gathered]:
        """The splits' examples there, if they take no more than half of what is free.

        Orders and what making one takes are counted: a run's is sorted at a time.
        """
        each = {name: [getattr(run, name) for run in self.runs] for name in ("train", "validation")}
        size = sum(Gathered.size(batches) for batches in each.values())
        free, _ = torch.cuda.mem_get_info(self.device)
        if size > free / 2:
            self.report(f"{size / 1e9:.1f} GB of examples are read from the host, batch by batch")
            return {}
        return {name: Gathered(batches, self.device) for name, batches in each.items()}

    def _require_alike(self) -> None:
        """Compare a first pass with each run's alone: code of one run may mix up dimensions."""
        first = self.batch("train", 0)
        why: Exception | None = None
        each = [
            _pass(run.model, run.method, Batch(*(x[s] for x in first)), 0, run.seed)
            for s, run in enumerate(self.runs)
        ]
        try:
            together = _pass(self.model, self.method, first, self.clock, self.seed)
            alike = all(
                torch.allclose(stack, torch.stack(alone), rtol=1e-2, atol=1e-3, equal_nan=True)
                for stack, *alone in zip(together, *each, strict=True)
            )
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            alike, why = False, error
        if not alike:
            raise self._refused(why) from why

    def _refused(self, why: Exception | None) -> ConfigError:
        said = f" ({str(why).partition(chr(10))[0]})" if why else ""
        problem = f"{self.what} is not in a stack what it is alone{said}"
        mend = "set it to 1, or name dimensions from the end, as docs/methods-contract.md has it"
        return ConfigError("training.stack", problem, mend)

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
        """By a graph, where there are any."""
        return self.graphs.take(t) if self.graphs else super().taken(t)

    def batch(self, split: str, k: int) -> Batch:
        """The k-th batch of each run: ids `[S, B, F]` and labels `[S, B]`."""
        if split in self.gathered:
            return self.gathered[split].batch(k)
        each = [getattr(run, split).batch(k) for run in self.runs]
        return Batch(*(torch.stack(parts) for parts in zip(*each, strict=True))).to(self.device)

    def close_epoch(self, sums: Sums) -> None:
        """Each run records and judges its own.

        Raises:
            TrainingDivergedError: now the last one has diverged.
        """
        for s, run in enumerate(self.runs):
            if self._over(s):
                continue
            copy_into(run.model, part(self.model, s))
            copy_into(run.method, part(self.method, s))
            try:
                run.close_epoch(sums.of_run(s))
            except TrainingDivergedError as error:
                self.failures[s] = error
        if len(self.failures) + len(self.idle) == len(self.runs):
            raise next(iter(self.failures.values()))

    def refit(self, state: Path | None) -> Stack:
        """As each run's own: each for the epochs that were its best."""
        over = {s for s in range(len(self.runs)) if s in self.idle or s in self.failures}
        return Stack([run.refit(in_stack=True) for run in self.runs], state=state, idle=over)

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


@torch.no_grad()
def _pass(
    model: nn.Module, method: Method, batch: Batch, t: Time, seed: int | Seeds
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of a batch in training mode, and the loss and weights under the method; of copies."""
    functional, method = FunctionalModel(model.train(), [batch.ids]), copy.deepcopy(method)
    logits = functional(functional.params, 0, Draw.of(t, seed, "dropout", "inner"))
    loss, weights = method.train().weigh(method.examples(*batch, logits), t)
    return logits, loss, weights


def _values(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if torch.is_tensor(value)}
