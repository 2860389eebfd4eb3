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
    by = [line.removeprefix("# split: ") for line in lines if line.startswith("# split: {by: date")]
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


def test_a_row_without_a_label_is_named_as_preparation_names_it(project):
    write_dataset(project / "look.csv", "click", None, project)
    look().assign(click=[0, 1, None, *look()["click"][3:]]).to_csv("look.csv", index=False)
    with pytest.raises(DataError) as looked:
        write_dataset(project / "look.csv", "click", "other", project)
    with pytest.raises(DataError) as refused:
        prepared(project, "look")
    assert refused.value.where == "look.csv, line 4"
    assert looked.value.where == f"{project / 'look.csv'}, line 4"
    assert looked.value.problem.endswith("found a missing value; of 400 rows 1 have none")


def test_a_column_of_which_each_value_has_one_label_is_noted(project):
    table, random = look(), np.random.default_rng(1)
    twice = table["click"].astype(str) + "-" + (table.groupby("click").cumcount() // 2).astype(str)
    table["grade"] = np.where(table["click"], random.choice(["a", "b"], ROWS), "c")
    table["refund"] = np.where(table["click"], None, random.choice(["x", "y"], ROWS))
    table["twice"] = twice  # two rows of one label each
    table["mixed"] = [twice[int(np.argmin(table["click"] == table["click"][0]))], *twice[1:]]
    table["once"] = ["v1", *(f"v{k}" for k in range(1, ROWS))]  # two rows of one value
    table.to_csv("look.csv", index=False)
    file, seen = write_dataset(project / "look.csv", "click", None, project)
    noted = [line.strip() for line in seen.splitlines() if "known before" in line]
    assert noted == [
        f"Each value of {column} has one label: is it known before the label is?"
        for column in ("grade", "refund", "twice")
    ]
    lines = file.read_text().splitlines()
    for column, line in zip(("grade", "refund", "twice"), noted, strict=True):
        place = next(k for k, text in enumerate(lines) if text.startswith(f"  - {{name: {column}"))
        assert lines[place - 1] == f"  # {line} If not, delete what reads it."


def test_few_rows_of_one_label_each_are_left_to_chance(project):
    rows = ["a,x,0", "a,x,0", "b,y,1", "b,z,1", "c,z,1", "c,x,0"]
    (project / "few.csv").write_text("\n".join(["shop,kind,click", *rows]) + "\n")
    _, seen = write_dataset(project / "few.csv", "click", None, project)
    assert "known before" not in seen


def test_a_column_of_the_words_of_a_split_is_offered_as_one_and_is_no_field(project):
    words = ["Training", "dev", "valid", "test"]
    parts = np.random.default_rng(2).choice(words, ROWS, p=[0.7, 0.1, 0.1, 0.1])
    look().assign(part=parts).to_csv("look.csv", index=False)
    file, seen = write_dataset(project / "look.csv", "click", None, project)
    assert "part is left out: Training, dev, test, valid say the part of a row; a" in seen
    assert "part" not in fields_of(project)
    offered = (
        "{by: column, column: part, train: [Training], validation: [dev, valid], test: [test]}"
    )
    text = file.read_text()
    assert f"\n# split: {offered}\n" in text
    random = next(line for line in text.splitlines() if line.startswith("split: "))
    file.write_text(text.replace(random, f"split: {offered}"))
    counts = dict(zip(*np.unique(parts, return_counts=True), strict=True))
    assert prepared(project, "look").manifest.splits == {
        "train": counts["Training"],
        "validation": counts["dev"] + counts["valid"],
        "test": counts["test"],
    }


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["train", "test"], "test, train say the part of a row, but none of them says validation"),
        (["train", "val", "test", None],
         "test, train, val say the part of a row, but 100 rows have none"),
        (["train", "test", "bus"], None),
        (["valid", "invalid"], None),
    ],
)  # fmt: skip
def test_words_that_make_no_split_are_said(project, words, why):
    parts = (words * ROWS)[:ROWS]
    look().assign(part=parts).to_csv("look.csv", index=False)
    file, seen = write_dataset(project / "look.csv", "click", None, project)
    assert ("part" in fields_of(project)) == (why is None)
    assert "by: column" not in file.read_text()
    assert (f"part is left out: {why}" in seen) == (why is not None)


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
        ("price", None, ["look.csv, line 2", "'price'", "of 400 rows 58 have none"]),
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
