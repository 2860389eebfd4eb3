"""The numbers that the paper states (`configs/published.yaml`), to stand beside ours."""

from __future__ import annotations

from pathlib import Path

from autoloss.strict import Strict, load_yaml

ByMethod = dict[str, float]
ByCell = dict[str, dict[str, dict[str, ByMethod]]]  # data set, model, metric, method


class Published(Strict):
    """Tables 1 to 3 of the paper, by the paper's data sets."""

    table_1: dict[str, dict[str, int]]
    table_2: ByCell
    table_3: ByCell

    def value(self, table: str, dataset: str, model: str, metric: str, method: str) -> float | None:
        """A cell of the paper's Table 3, or else 2, on its `dataset`; None where it has none."""
        cells = self.table_3 if table == "table_3" else self.table_2
        return cells.get(dataset, {}).get(model, {}).get(metric, {}).get(method)


def load_published(root: Path) -> Published:
    """The published numbers of the project at `root`."""
    return load_yaml(root / "configs" / "published.yaml", Published)
