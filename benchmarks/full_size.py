"""The paper's size, with flipped labels: `python benchmarks/full_size.py`, in the project's folder.

docs/running.md says what is prepared before. Runs of
benchmarks/full_size.yaml, two at a time: records as of any study, and beside them, after
each epoch, the mean weights inside and outside of the region, by label. Then
results/reference/full-size/runs.json and figures/reference/full-size/. A run that is done is not
made again, one that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autoloss.data.load.prepared import PreparedData
from autoloss.methods.learned import Parametric
from autoloss.records.store import read_record, write_text
from autoloss.report.figures._style import colour, loss_label, page_width, published_style
from autoloss.strict import read_yaml
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training import runner
from autoloss.training.loop import Trainer
from autoloss.training.observe import observed

ROOT = Path(__file__).parents[1]
STUDY = Study.load(read_yaml(Path(__file__).with_suffix(".yaml")), ROOT)
DATASET, MODEL = STUDY.config.study.datasets[0], STUDY.config.study.models[0]
REGION = STUDY.dataset(DATASET).derived.flips.region
WATCHED = 500_000  # of the validation rows, which are in an order by chance
AT_ONCE = 2
RESULTS, FIGURES = Path("results/reference/full-size"), Path("figures/reference/full-size")


class Watching(Trainer):
    """A run that says after each epoch whom its method weighs how; its numbers are the same."""

    def _predict(self, split: str) -> Any:
        self.predicted = super()._predict(split)
        return self.predicted

    def judge_epoch(self, *judged: Any) -> None:
        super().judge_epoch(*judged)
        if isinstance(self.method, Parametric):
            file, epoch = watched_file(self.method.info.name, self.seed), self.progress.epoch
            before = json.loads(file.read_text()) if file.exists() else []
            weights = self._by_region()
            kept = [entry for entry in before if entry["epoch"] < epoch]  # this epoch, made again
            write_text(json.dumps([*kept, {"epoch": epoch, **weights}], indent=1) + "\n", file)

    def _by_region(self) -> dict[str, Any]:
        """Mean weights of the candidates, in the region and elsewhere, of all and by label."""
        labels, logits = (torch.as_tensor(array[:WATCHED]) for array in self.predicted)
        ids, method = self.judged.ids[:WATCHED], self.method
        weights = observed(method, ids, labels, logits, self.progress.steps)
        column = [field.name for field in self.data.manifest.fields].index(REGION.field)
        inside = torch.isin(torch.as_tensor(ids[:, column]), torch.tensor(REGION.ids))
        of = {"all": labels >= 0, "0": labels == 0, "1": labels == 1}

        def mean(rows: torch.Tensor) -> dict[str, float]:
            means = weights[rows].double().mean(0).tolist()
            return dict(zip(method.candidates.names, means, strict=True))

        places = {"inside": inside, "outside": ~inside}
        return {
            where: {name: mean(here & rows) for name, rows in of.items()}
            for where, here in places.items()
        }


def watched_file(method: str, seed: int) -> Path:
    """Where the weights by region of a run are."""
    return STUDY.results / "regions" / f"{method}_seed_{seed}.json"


def train(run: tuple[str, int]) -> None:
    """Make a run, if it is not there."""
    method, seed = run
    runner.Trainer = Watching
    data = PreparedData.open(STUDY.prepared_folder(DATASET, STUDY.split_of(seed)))
    runner.Runner(STUDY).train_seed(Cell(DATASET, MODEL, method), seed, data)


def product() -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """What there is of each run; and by epoch AUC and weights, a number a row."""
    runs, rows = [], []
    for method in STUDY.config.study.methods:
        for seed in STUDY.seeds:
            record = read_record(STUDY.record_file(Cell(DATASET, MODEL, method), seed))
            about = {"method": method, "label": STUDY.label(method), "seed": seed}
            kept = record.model_dump(mode="json", include={"run_id", "rows", "metrics", "digest"})
            kept |= {"budget": record.budget.model_dump(mode="json")}
            made = record.provenance.model_dump(mode="json")
            kept |= {key: made[key] for key in ("data_hash", "code", "versions", "hardware")}
            file = watched_file(method, seed)
            regions = json.loads(file.read_text()) if file.exists() else []
            curves = [curve.model_dump() for curve in record.curves]
            runs.append({**about, **kept, "curves": curves, "regions": regions})
            for curve in curves:
                rows.append({**about, "epoch": curve["epoch"], "of": "auc", "value": curve["auc"]})
            for entry in regions:
                for where in ("inside", "outside"):
                    for name, weight in entry[where]["all"].items():
                        place = {"epoch": entry["epoch"], "where": where, "of": name}
                        rows.append({**about, **place, "value": weight})
    return runs, pd.DataFrame(rows)


def draw(frame: pd.DataFrame) -> Figure:
    """AUC by epoch, then for each method that learns weights these, in the region and elsewhere."""
    auc, weights = frame[frame["of"] == "auc"], frame[frame["of"] != "auc"]
    learned = [*weights["method"].unique()]
    figure = Figure(figsize=(page_width(), 2.2))
    axes = figure.subplots(1, 1 + len(learned))
    common = {"x": "epoch", "y": "value", "errorbar": None}
    colours = {label: colour(m) for m, label in zip(auc["method"], auc["label"], strict=True)}
    shown = {"hue": "label", "palette": colours, "units": "seed", "estimator": None}
    sns.lineplot(auc, **common, **shown, ax=axes[0])
    axes[0].set(title="validation AUC", ylabel="", xlabel="epoch")
    for axis, method in zip(axes[1:], learned, strict=True):
        own = weights[weights["method"] == method]
        own = own.assign(candidate=own["of"].map(loss_label))
        hues = {name: colour(of) for of, name in zip(own["of"], own["candidate"], strict=True)}
        sns.lineplot(own, **common, hue="candidate", palette=hues, style="where", ax=axis)
        axis.set(title=f"weights, {own['label'].iloc[0]}", ylabel="", ylim=(0, 1), xlabel="epoch")
        axis.legend().remove()
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].legend(title=None)
    axes[-1].legend(title=None, loc="upper left", bbox_to_anchor=(1, 1))  # of all that learn
    return figure


def main() -> None:
    """Train what is not there, then write the record and the figure."""
    todo = [(m, seed) for seed in STUDY.seeds for m in reversed(STUDY.config.study.methods)]
    spawn = get_context("spawn")  # a run that is killed is an error: a Pool would wait for it
    with ProcessPoolExecutor(AT_ONCE, mp_context=spawn, max_tasks_per_child=1) as pool:
        list(pool.map(train, todo))
    runs, frame = product()
    write_text(json.dumps(runs, indent=1) + "\n", RESULTS / "runs.json")
    write_text(frame.to_csv(index=False), FIGURES / "full_size.csv")
    with published_style():
        figure = draw(frame)
        for kind in ("pdf", "png"):
            figure.savefig(FIGURES / f"full_size.{kind}")


if __name__ == "__main__":
    main()
