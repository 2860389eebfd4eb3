"""A model as a function of its parameters, on the embedding rows of a few batches only.

A look-ahead step needs the model at other parameters and its gradient as a graph. What makes that
dear is the dense table; here each table is cut to the rows that the batches read, which gives the
same outputs and the same gradients (all other rows' are zero).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn
from torch.func import functional_call

from autoloss.models.embedding import FieldEmbedding, Window

ReadRows = Callable[[Tensor], Sequence[Tensor]]


class FunctionalModel:
    """`model(params, k)`: logits of the k-th batch at `params`, buffers of the model untouched.

    Args:
        model: any module `ids -> logits`. If its class says `reads_rows = True` (ids are used only
            to look up `FieldEmbedding`s of all fields), its tables are cut to the rows in use.
        batches: ids `[B, F]` of the batches it will be called on.
        trainable: the parameters to be `params`, by name; those that require gradients if None.
        read: rows `[R]` -> their current values, a tensor for each table; from the tables if None.
        cut: False leaves the tables whole.
        moves_statistics: let `current` be the model's own pass, running statistics included.

    `params` are these parameters themselves, but leaves `[R, dim]` for tables that are cut;
    `rows` `[R]` says which rows they are.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Sequence[Tensor],
        *,
        trainable: Mapping[str, Tensor] | None = None,
        read: ReadRows | None = None,
        cut: bool = True,
        moves_statistics: bool = False,
    ) -> None:
        self.model, self._ids, self._moves = model, list(batches), moves_statistics
        self.params: dict[str, Tensor] = {
            **(trainable_of(model) if trainable is None else trainable)
        }
        self._values: dict[str, Tensor] = {}
        self._places: list[Tensor] = []
        self.tables: dict[str, FieldEmbedding] = {}
        if cut and getattr(model, "reads_rows", False):
            self.tables = tables_of(model)
            self._cut(read)

    def _cut(self, read: ReadRows | None) -> None:
        tables = self.tables.values()
        first = next(iter(tables))
        self.rows, self._places = first.distinct(self._ids)
        found = (
            read(self.rows)
            if read
            else [t.weight.detach().index_select(0, self.rows) for t in tables]
        )
        for name, values in zip(self.tables, found, strict=True):
            self._values[name] = values.requires_grad_(name in self.params)
            if name in self.params:
                self.params[name] = values

    def current(self) -> Tensor:
        """Logits of the first batch at `params`."""
        if not self._moves:
            return self(self.params, 0)
        with self._windows(self._values, 0):
            logits: Tensor = self.model(self._ids[0])
        return logits

    def __call__(self, params: Mapping[str, Tensor], k: int) -> Tensor:
        """Logits of batch `k` at `params`; parameters left out are as they stand."""
        # Batch norm in training mode writes its running statistics: into copies, not the model's.
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        everything = {**params, **buffers}
        values = {name: everything.pop(name, kept) for name, kept in self._values.items()}
        with self._windows(values, k):
            logits: Tensor = functional_call(self.model, everything, (self._ids[k],))
        return logits

    @contextmanager
    def _windows(self, values: Mapping[str, Tensor], k: int) -> Iterator[None]:
        for name, table in self.tables.items():
            table.window = Window(values[name], self._places[k])
        try:
            yield
        finally:
            for table in self.tables.values():
                table.window = None


def trainable_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The model's parameters that require gradients, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


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
