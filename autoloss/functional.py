"""A model as a function of its parameters, on the embedding rows of a few batches only.

A look-ahead step needs the model at other parameters and its gradient as a graph. What makes that
dear is the dense table; here each table is cut to the rows that the batches read, which gives the
same outputs and the same gradients (all other rows' are zero).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from autoloss.layers.batch_norm import BatchNorm
from autoloss.layers.dropout import Dropout, drawing, dropouts
from autoloss.layers.embedding import FieldEmbedding, Window
from autoloss.seeds import Draw

ReadRows = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Parts:
    """What a model consists of. Going through its modules takes a hundredth of a small one's step.

    Args:
        trainable: the parameters that require gradients, by name.
        tables: the `FieldEmbedding`s, by the name of their parameter.
        buffers: the module that has it and its name there, by the name of the buffer; of a stack
            without those of `norms` and tables, which no pass writes.
        dropouts: the layers that need to be told where to draw their masks from.
        tied: whether modules share parameters or buffers.
        norms: of a stack, the batch norms that keep running statistics.
    """

    trainable: dict[str, nn.Parameter]
    tables: dict[str, FieldEmbedding]
    buffers: dict[str, tuple[nn.Module, str]]
    dropouts: list[Dropout]
    tied: bool
    norms: list[BatchNorm] = field(default_factory=list)

    @classmethod
    def of(cls, model: nn.Module) -> Parts:
        """Those of `model`."""
        kinds = model.named_parameters, model.named_buffers
        tied = any(len(list(k(remove_duplicate=False))) > len(list(k())) for k in kinds)
        trainable = {name: value for name, value in model.named_parameters() if value.requires_grad}
        norms = [
            module
            for module in model.modules()
            if isinstance(module, BatchNorm)
            and module.running_mean is not None
            and module.running_mean.dim() > 1
        ]
        tables, buffers = tables_of(model), {}
        unwritten = {*norms, *(table for table in tables.values() if table.bounds.dim() > 1)}
        for name, _ in model.named_buffers():
            of, _, own = name.rpartition(".")
            if (module := model.get_submodule(of)) not in unwritten:
                buffers[name] = module, own
        return cls(trainable, tables, buffers, dropouts(model), tied, norms)


class FunctionalModel:
    """`model(params, k, draw)`: logits of the k-th batch at `params`, with the noise of `draw`.

    Buffers of the model stay untouched.

    Args:
        model: any module `ids -> logits`. If its class says `reads_rows = True` (ids are used only
            to look up `FieldEmbedding`s of all fields), its tables are cut to the rows in use.
        batches: ids `[B, F]` of the batches it will be called on.
        parts: the model's, if they are known; what is `trainable` of them will be `params`.
        read: rows `[R]` -> their current values, a tensor for each table; from the tables if None.
        cut: False leaves the tables whole.
        moves_statistics: let `current` be the model's own pass, running statistics included.

    `params` are these parameters themselves, but leaves `[R, dim]` for tables that are cut;
    `rows` `[R]` says which rows they are. Of a stack of runs ids are `[S, B, F]`.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Sequence[Tensor],
        *,
        parts: Parts | None = None,
        read: ReadRows | None = None,
        cut: bool = True,
        moves_statistics: bool = False,
    ) -> None:
        self.model, self._ids, self._moves = model, list(batches), moves_statistics
        self._parts = parts or Parts.of(model)
        self.params: dict[str, Tensor] = {**self._parts.trainable}
        self._values: dict[str, Tensor] = {}
        self._places: list[Tensor] = []
        self.tables: dict[str, FieldEmbedding] = {}
        if cut and getattr(model, "reads_rows", False):
            self.tables = self._parts.tables
            self._cut(read)

    def _cut(self, read: ReadRows | None) -> None:
        tables = self.tables.values()
        first = next(iter(tables))
        self.rows, self._places = first.distinct(self._ids)
        current = (
            read(self.rows)
            if read
            else [t.weight.detach().index_select(0, self.rows) for t in tables]
        )
        for name, values in zip(self.tables, current, strict=True):
            self._values[name] = values.requires_grad_(name in self.params)
            if name in self.params:
                self.params[name] = values

    def owners(self) -> dict[str, Tensor]:
        """Of a stack, the run of each row, `[R]`, for each table in `params`; else nothing.

        The row that is nobody's is counted with the last run's.
        """
        owners = {}
        for name, table in self._parts.tables.items():
            if table.bounds.dim() > 1 and name in self.params:
                every = torch.arange(len(table.weight), device=table.weight.device)
                rows, ends = self.rows if name in self.tables else every, table.bounds[:, -1]
                runs = torch.bucketize(rows, ends.contiguous(), right=True)
                owners[name] = runs.clamp_max(len(ends) - 1)
        return owners

    def current(self, draw: Draw) -> Tensor:
        """Logits of the first batch at `params`."""
        if not self._moves:
            return self(self.params, 0, draw)
        with self._windows(self._values, 0), drawing(self._parts.dropouts, draw):
            logits: Tensor = self.model(self._ids[0])
        return logits

    def __call__(self, params: Mapping[str, Tensor], k: int, draw: Draw) -> Tensor:
        """Logits of batch `k` at `params`; parameters left out are as they stand."""
        # Batch norm in training mode writes its running statistics: into copies, not the model's.
        owned = self._parts.buffers.items()
        buffers = {name: getattr(module, own).clone() for name, (module, own) in owned}
        everything = {**params, **buffers}
        values = {name: everything.pop(name, kept) for name, kept in self._values.items()}
        with self._windows(values, k), drawing(self._parts.dropouts, draw), self._still():
            logits: Tensor = functional_call(
                self.model, everything, (self._ids[k],), tie_weights=self._parts.tied
            )
        return logits

    @contextmanager
    def _still(self) -> Iterator[None]:
        for norm in self._parts.norms:
            vars(norm)["still"] = True
        try:
            yield
        finally:
            for norm in self._parts.norms:
                vars(norm).pop("still")

    @contextmanager
    def _windows(self, values: Mapping[str, Tensor], k: int) -> Iterator[None]:
        for name, table in self.tables.items():
            table.window = Window(values[name], self._places[k])
        try:
            yield
        finally:
            for table in self.tables.values():
                table.window = None


def tables_of(model: nn.Module) -> dict[str, FieldEmbedding]:
    """The model's `FieldEmbedding`s, by the name of their parameter."""
    modules = model.named_modules()
    return {f"{name}.weight": m for name, m in modules if isinstance(m, FieldEmbedding)}


def decision_layers(model: nn.Module) -> set[str]:
    """Names of the parameters above the embeddings: what MeLU (Lee et al., KDD 2019) adapts."""
    embeddings = (FieldEmbedding, nn.Embedding, nn.EmbeddingBag)
    below = {
        f"{name}.{key}".removeprefix(".")
        for name, module in model.named_modules()
        if isinstance(module, embeddings)
        for key, _ in module.named_parameters()
    }
    return {name for name, _ in model.named_parameters()} - below
