"""A data set's file written from a look at the data: what is guessed, why, and that it works."""

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from autoloss.cli import app
from autoloss.data.load.prepared import PreparedData
from autoloss.data.new import write_dataset
from autoloss.data.prepare.dataset import prepare
from autoloss.data.specs import load_dataset
from autoloss.errors import ConfigError, DataError

ROWS = 400


def look():
    """Columns of every type; `count` and `row` are no fields."""
    random = np.random.default_rng(0)
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 90 * 24, ROWS), "h")
    table = pd.DataFrame(
        {
            "row": range(ROWS),
            "user_id": random.integers(0, 60, ROWS),
            "shop": random.choice(["a", "b; c", 'd"e'], ROWS),
            "stars": random.integers(1, 6, ROWS),
            "price": random.gamma(2, 10, ROWS).round(2),
            "views": random.integers(0, 5000, ROWS),
            "day": times.strftime("%d/%m/%Y"),
            "time": times.strftime("%Y-%m-%d %H:%M:%S"),
            "stamp": (times - pd.Timestamp("1970-01-01")) // pd.Timedelta("1ms"),
            "count": 1,
            "click": random.integers(0, 2, ROWS),
        }
    )
    table.loc[::7, ["price", "shop"]] = None
    return table


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "datasets").mkdir(parents=True)
    look().to_csv("look.csv", index=False)
    return tmp_path


def fields_of(project, name="look"):
    return {field.name: field for field in load_dataset(name, project).fields}


def prepared(project, name):
    folder = project / "data" / "prepared" / name / "split_0"
    prepare(load_dataset(name, project), project, {0: folder}, say=print)
    return PreparedData.open(folder)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_types_are_guessed_counted_and_prepared(project, ending, capsys):
    if ending == "tsv":
        look().to_csv("look.tsv", index=False, sep="\t")
    elif ending == "parquet":
        look().to_parquet("look.parquet")
    file, seen = write_dataset(project / f"look.{ending}", "click", None, project)
    assert (file.relative_to(project).as_posix(), seen) == (
        "configs/datasets/look.yaml",
        "400 rows, 2 classes, 10 fields",
    )
    spec, fields = load_dataset("look", project), fields_of(project)
    assert spec.table.files == (f"look.{ending}",)
    assert {name: field.kind for name, field in fields.items()} == {
        **dict.fromkeys(("user_id", "shop", "stars"), "categorical"),
        "price": "quantiles",
        "views": "numeric",
        **dict.fromkeys(("day", "time", "time_hour", "stamp", "stamp_hour"), "date"),
    }
    assert [fields[name].format for name in ("day", "time", "stamp")] == [
        "%d/%m/%Y",
        "%Y-%m-%d %H:%M:%S",
        "milliseconds",
    ]
    assert spec.task.map == {0: 0, 1: 1}
    text = file.read_text()
    for why in (
        "# text: 3 values, 58 missing, most often ",
        "# whole numbers taken for names: 5 values, most often ",
        "Left out: row, 400 values: each row has one of its own",
        "Left out: count, 1 values: it says nothing",
    ):
        assert why in text
    lines = text.splitlines()
    for k, line in enumerate(lines):  # each field has its reason above it
        if line.startswith("  - {"):
            assert lines[k - 1].startswith(("  #", "  - {"))
    counts = look()["click"].value_counts().sort_index().tolist()
    assert (spec.inferred.rows, list(spec.inferred.class_counts)) == (ROWS, counts)
    capsys.readouterr()
    assert prepared(project, "look").manifest.rows == ROWS
    assert "warning" not in capsys.readouterr().out


def test_the_split_by_date_in_its_comment_works(project):
    file, _ = write_dataset(project / "look.csv", "click", None, project)
    lines = file.read_text().splitlines()
    by = [line.partition("split: ")[2] for line in lines if line.startswith("# By date")]
    assert len(by) == 3
    random = next(k for k, line in enumerate(lines) if line.startswith("split: "))
    for split in by:
        lines[random] = f"split: {split}"
        file.write_text("\n".join(lines) + "\n")
        sizes = prepared(project, "look").manifest.splits
        assert abs(sizes["train"] - 0.8 * ROWS) <= 20
        assert sizes["validation"] >= 20
        assert sizes["test"] >= 20


def test_a_file_without_a_header(project):
    look().dropna().to_csv("rows.csv", index=False, header=False, sep=";")
    write_dataset(project / "rows.csv", "11", "rows", project)
    spec = load_dataset("rows", project)
    assert spec.task.label == "column_11"
    assert spec.table.separator == ";"
    assert spec.table.header == tuple(f"column_{k}" for k in range(1, 12))
    assert prepared(project, "rows").manifest.rows == len(look().dropna())


def test_labels_are_numbers_or_text(project):
    for label, classes in (
        ("stars", {k: k - 1 for k in range(1, 6)}),
        ("part", {"no": 0, "yes": 1}),
    ):
        table = look().assign(part=np.where(look()["click"] == 1, "yes", "no"))
        table.to_csv("look.csv", index=False)
        write_dataset(project / "look.csv", label, label, project)
        assert load_dataset(label, project).task.map == classes
        assert prepared(project, label).task.classes == len(classes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(day=["12 May", *t["day"][1:]]),
         "day is taken for text: 399 of 400 are dates %d/%m/%Y, and not '12 May'"),
        (lambda t: t.assign(views=["many", *t["views"][1:]]),
         "views is taken for text: 399 of 400 are numbers, and not 'many'"),
        (lambda t: t.assign(price=[f"{x:.2f}".replace(".", ",") for x in t["views"] / 3]),
         "price is taken for text: all are numbers with a decimal comma: write a point, and they "
         "are read as numbers"),
        (lambda t: t.assign(click=[7, *t["click"][1:]]),
         "click is 7 in 1 of the rows: each part of each split needs some of every class"),
    ],
)  # fmt: skip
def test_what_is_nearly_right_is_said(project, change, said):
    change(look()).to_csv("look.csv", index=False)
    _, seen = write_dataset(project / "look.csv", "click", None, project)
    assert seen.splitlines()[1:] == [f"  {said}"]


def test_a_row_without_a_label_is_named(project):
    look().assign(click=[0, 1, None, *look()["click"][3:]]).to_csv("look.csv", index=False)
    with pytest.raises(DataError, match="of 400 rows 1 have no 'click', the first is row 3"):
        write_dataset(project / "look.csv", "click", None, project)


def test_atomic_files_of_a_folder(project):
    folder = project / "ml"
    folder.mkdir()
    (folder / "ml.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        + "".join(f"{k % 17}\t{k % 23}\t{1 + k % 5}\t{881250949 + k * 5000}\n" for k in range(400))
    )
    users = "".join(f"{k}\t{20 + k}\t{k % 2}\n" for k in range(17))
    (folder / "ml.user").write_text("user_id:token\tage:float\tv:float_seq\n" + users)
    write_dataset(folder, "rating", None, project)
    fields = fields_of(project, "ml")
    assert {"user_id", "item_id", "age", "timestamp", "timestamp_hour"} == set(fields)
    assert fields["timestamp"].format == "seconds"
    assert load_dataset("ml", project).table.files == ("ml/ml.inter", "ml/ml.user")
    assert prepared(project, "ml").task.classes == 5


@pytest.mark.parametrize(
    ("label", "name", "parts"),
    [
        ("clik", None, ["--label", "no column 'clik'", "did you mean 'click'?"]),
        ("price", None, ["of 400 rows 58 have no 'price'"]),
        ("views", None, ["--label", "expected 2 to 20 classes"]),
        ("count", None, ["--label", "1 values, expected 2"]),
        ("click", "taken", ["the data set 'taken' is there already", "--name"]),
    ],
)
def test_what_cannot_be_a_data_set_is_refused_and_nothing_is_written(project, label, name, parts):
    (project / "configs" / "datasets" / "taken.yaml").write_text("")
    with pytest.raises((ConfigError, DataError)) as caught:
        write_dataset(project / "look.csv", label, name, project)
    for part in parts:
        assert part in str(caught.value)
    assert [file.name for file in (project / "configs" / "datasets").iterdir()] == ["taken.yaml"]


def test_the_command_says_what_comes_next(project):
    done = CliRunner().invoke(app, ["new-dataset", "look.csv", "--label", "click", "--name", "own"])
    assert done.exit_code == 0, done.output
    assert "`autoloss prepare own`" in done.output
    assert """--config 'study={"name": "own", "datasets": ["own"]}'""" in done.output
    assert yaml.safe_load((project / "configs/datasets/own.yaml").read_text())["name"] == "own"
