"""The run record: one JSON file per run that says what was run, on what, and what came out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, FiniteFloat, model_validator

from autoloss.strict import Strict


class Failure(Strict):
    """Why a run has no metrics."""

    kind: str
    message: str
    traceback: str


class Curve(Strict):
    """One epoch: mean training loss (of the method's own mixture) and validation metrics.

    Of a run that refits they are of data that it trains on.
    """

    epoch: int
    train_loss: FiniteFloat
    auc: FiniteFloat
    logloss: FiniteFloat


class Choice(Strict):
    """What a per-example weighting gives the validation split's examples, by label and ease.

    Ease is the probability that the model gives the true label, in bins of equal width. `counts`
    are `[C][bins]` examples, `weights` and `selection` `[C][bins][n]`: the mean weight of each
    candidate, and the share of examples in which it had the largest.
    """

    counts: list[list[int]]
    weights: list[list[list[FiniteFloat]]]
    selection: list[list[list[FiniteFloat]]]


class Weights(Strict):
    """Per epoch, `[epochs][n]`: mean weight of each candidate, and share of steps or examples in
    which it had the largest weight; and after each epoch the `Choice` of a per-example weighting.
    """

    candidates: tuple[str, ...]
    mean: list[list[FiniteFloat]]
    selection: list[list[FiniteFloat]]
    choices: list[Choice]


class Reliability(Strict):
    """The probabilities of all classes on the test split, in bins of equal width: how many there
    are, their mean, and the share that came true."""

    counts: list[int]
    predicted: list[FiniteFloat | None]
    observed: list[FiniteFloat | None]


class Controller(Strict):
    """A trained controller: of which run, and SHA-256 over its parameters."""

    run_id: str
    cell: str
    seed: int
    sha256: str


class Budget(Strict):
    """What the run cost. `examples` are those the model was trained on, outer steps apart.

    `forward_examples` and `backward_examples` count passes through the model, whatever for: one
    example forward (validation and test too), or derivatives of one example backward (or along, in
    a hypergradient's tangent pass). They depend on no hardware. A run that refits counts both of
    its trainings. `stopped_by_limit`: the first ended by `max_epochs`, not by early stopping, and
    might have become better. What the cell's search cost (once for all seeds) is under `search_`.
    """

    epochs: int
    best_epoch: int
    steps: int
    outer_steps: int
    examples: int
    forward_examples: int
    backward_examples: int
    seconds: FiniteFloat
    peak_memory_mb: FiniteFloat
    stopped_by_limit: bool
    search_trials: int = 0
    search_epochs: int = 0
    search_forward_examples: int = 0
    search_backward_examples: int = 0
    search_seconds: FiniteFloat = 0.0


class Provenance(Strict):
    """Which code, data, versions and hardware made the record, seen from the worker."""

    data_hash: str
    code: str
    commit: str | None
    dirty: bool | None
    lock_hash: str | None
    versions: dict[str, str]
    hardware: dict[str, Any]
    deterministic: bool
    threads: int
    finished: str


class Record(Strict):
    """A run. A failed one has a `failure` and no digest; it is a record like any other."""

    schema_version: Literal[6] = 6
    run_id: str
    scale: str
    dataset: str
    model: str
    method: str
    seed: int
    split: int = Field(description="its number")
    rows: dict[str, int] = Field(description="of the split: train, validation, test")
    status: Literal["ok", "failed"]
    failure: Failure | None = None
    config: dict[str, Any]
    metrics: dict[str, dict[str, FiniteFloat]]
    curves: list[Curve]
    weights: Weights
    reliability: Reliability | None = Field(description="none where the run failed")
    controller: Controller | None = Field(description="its own, or the frozen one that it took")
    predictions: str | None = Field(description="SHA-256 of the file of its test predictions")
    budget: Budget
    digest: str | None
    provenance: Provenance

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Record:
        """A success has test metrics, predictions and a digest; a failure a reason, no digest."""
        kept = self.digest is not None and self.predictions is not None
        good = "test" in self.metrics and kept and self.failure is None
        bad = self.digest is None and self.failure is not None
        if not (good if self.status == "ok" else bad):
            problem = "does not fit metrics, predictions, digest and failure"
            raise ValueError(f"status '{self.status}' {problem}")
        return self


def raised(record: Record) -> bool:
    """Whether a run's code raised an error; to diverge is a result of its method, and no error."""
    return record.failure is not None and record.failure.kind != "TrainingDivergedError"


class Trial(Strict):
    """One training of a search: what was tried, and the monitored validation value per epoch.

    A trial is `over` when more epochs cannot change it: it had all, stopped early or diverged.
    """

    assignment: dict[str, Any]
    values: list[float]
    over: bool = False
    diverged: bool = False
    forward_examples: int = 0
    backward_examples: int = 0
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs trained, the one that diverged included."""
        return len(self.values) + self.diverged


class Search(Strict):
    """A cell's search: its trials in the order they were begun, and what was chosen.

    `controller` is the identity of the run whose controller a frozen method's trials took.
    """

    schema_version: Literal[3] = 3
    cell: str
    key: str
    data_hash: str
    controller: str | None = None
    monitor: str
    budget: int
    trials: list[Trial]
    chosen: dict[str, Any]

    @property
    def epochs(self) -> int:
        """Epochs trained, over all trials."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def cost(self) -> dict[str, Any]:
        """What all trials cost together, by the names that `Budget` has."""
        keys = ("forward_examples", "backward_examples", "seconds")
        total = {f"search_{k}": sum(getattr(trial, k) for trial in self.trials) for k in keys}
        return {"search_trials": len(self.trials), "search_epochs": self.epochs, **total}
