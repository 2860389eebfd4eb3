"""A table of one's own: prepared as pandas would by hand, and refused where it cannot be."""

import gzip
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from autoloss.cli import app
from autoloss.data.fetch.local import require_unchanged
from autoloss.data.header import located
from autoloss.data.load.prepared import PreparedData
from autoloss.data.prepare.dataset import prepare
from autoloss.data.specs import DatasetSpec, dataset_names, load_dataset, load_source
from autoloss.errors import ConfigError, DataError, UserError
from autoloss.study import identity
from autoloss.study.planned import plan_study
from tests.interpreter import printed_by
from tests.tiny import ROOT
from tests.workflow.pages import blocks, sections

ROWS = 600
FIELDS = [
    {"name": "visitor", "min_count": 2},
    {"name": "age", "kind": "numeric"},
    {"name": "price", "kind": "quantiles", "bins": 5},
    {"name": "dear", "column": "price", "kind": "buckets", "edges": [5, 20]},
    {"name": "weekday", "column": "day", "kind": "date", "unit": "weekday"},
    {"name": "month", "column": "day", "kind": "date", "unit": "month"},
]
SPEC = {
    "name": "shop",
    "title": "Shop",
    "table": {"files": ["visits.csv"], "format": "csv", "missing": ["", "NA"]},
    "task": {"classes": 3, "label": "bought", "map": {"no": 0, "later": 1, "yes": 2}},
    "fields": FIELDS,
    "split": {"train": 0.8, "validation": 0.1, "test": 0.1, "seed": 42},
}
BINARY = {"task": {"classes": 2, "label": "bought", "map": {"no": 0, "later": 1, "yes": 1}}}
BY_DATE = {"by": "date", "column": "day", "validation": "2024-03-01", "test": "2024-03-20"}
BY_PART = {"by": "column", "column": "part", "train": ["a", "b"], "validation": ["c"], "test": [4]}


def visits():
    """A row for each visit: text, whole numbers, decimals, dates; some of each are missing."""
    random = np.random.default_rng(0)
    ages = random.integers(0, 90, ROWS)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 90, ROWS), "D")
    table = pd.DataFrame(
        {
            "visitor": [f"v, {n}" if n % 5 else None for n in random.integers(0, 40, ROWS)],
            "age": [None if n % 9 == 0 else n for n in ages],
            "price": np.where(random.random(ROWS) < 0.4, 0, random.gamma(2, 5, ROWS)).round(2),
            "day": days,
            "part": random.choice(["a", "b", "c", "4"], ROWS, p=[0.4, 0.4, 0.1, 0.1]),
        }
    )
    score = ages / 40 + random.normal(size=ROWS)
    table["bought"] = np.array(["no", "later", "yes"])[np.digitize(score, [0.6, 1.6])]
    table.loc[::13, "price"] = None
    table["age"] = table["age"].astype("Int64")
    return table


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's folder with visits.csv, and this process in it."""
    monkeypatch.chdir(tmp_path)
    visits().to_csv("visits.csv", index=False, na_rep="NA", date_format="%Y-%m-%d")
    (tmp_path / "configs" / "datasets").mkdir(parents=True)
    return tmp_path


def described(project, **changes):
    """The data set whose file has `SPEC` with other keys."""
    file = project / "configs" / "datasets" / "shop.yaml"
    file.write_text(yaml.safe_dump(SPEC | changes, sort_keys=False))
    return load_dataset("shop", project)


def made(spec, project, **options):
    folder = project / "data" / "prepared" / "shop" / "split_0"
    try:
        prepare(spec, project / "raw", {0: folder}, say=lambda _: None, **options)
    except DataError as error:  # as the command says it
        raise located(error, spec) from error
    return PreparedData.open(folder)


def ids_of(values, train, min_count=1):
    """The rule of docs/data.md row by row: by count in training, then by text; 0 for the rest."""
    texts = ["NULL" if pd.isna(value) else str(value) for value in values]
    counts = pd.Series(texts[:train]).value_counts()
    kept = sorted((-count, text) for text, count in counts.items() if count >= min_count)
    numbers = {text: k for k, (_, text) in enumerate(kept, start=1)}
    return [numbers.get(text, 0) for text in texts]


def buckets(values, edges):
    cut = pd.cut(values, [-np.inf, *edges, np.inf], labels=False)
    return cut.astype("Int64")


@pytest.mark.parametrize("form", ["csv", "csv.gz", "tsv", "parquet"])
@pytest.mark.parametrize("changes", [{}, BINARY])
def test_a_table_is_prepared_as_pandas_would(project, form, changes):
    table, files = visits(), {"files": [f"visits.{form}"], "format": "csv", "missing": ["NA"]}
    if form == "csv.gz":
        (project / "visits.csv.gz").write_bytes(
            gzip.compress((project / "visits.csv").read_bytes())
        )
    elif form == "tsv":
        files |= {"separator": "\t", "header": list(table)}
        options = {"sep": "\t", "header": False, "na_rep": "NA", "date_format": "%Y-%m-%d"}
        table.to_csv("visits.tsv", index=False, **options)
    elif form == "parquet":
        files["format"] = "parquet"
        table.to_parquet("visits.parquet")
    data = made(described(project, table=files, **changes), project)
    rows, train = np.load(data.folder / "rows.npy"), data.manifest.splits["train"]
    table = table.iloc[rows].reset_index(drop=True)
    classes = (SPEC | changes)["task"]["map"]
    assert data.labels.tolist() == table["bought"].map(classes).tolist()
    assert data.task.classes == max(classes.values()) + 1
    ages = [
        v if pd.isna(v) else int(np.floor(np.log(v) ** 2)) if v > 2 else v - 2 for v in table["age"]
    ]
    inner = table["price"][:train].quantile([0.2, 0.4, 0.6, 0.8])
    expected = [
        ids_of(table["visitor"], train, min_count=2),
        ids_of(ages, train),
        ids_of(buckets(table["price"], inner.drop_duplicates()), train),
        ids_of(buckets(table["price"], [5, 20]), train),
        ids_of(table["day"].dt.day_of_week + 1, train),
        ids_of(table["day"].dt.month, train),
    ]
    for k, field in enumerate(data.manifest.fields):
        assert data.ids[:, k].tolist() == expected[k], field.name
    assert data.manifest.fields[2].size == len(inner.drop_duplicates()) + 3  # bins, NULL, 0


def test_quantiles_have_as_many_training_rows_in_each_bin_whatever_the_other_rows_are(project):
    fields = [{"name": "age", "kind": "quantiles", "bins": 4}]
    table = visits().dropna()
    table["age"] = np.arange(len(table))
    table.loc[table["day"] >= "2024-03-01", "age"] += 100_000
    table.to_csv("visits.csv", index=False, date_format="%Y-%m-%d")
    spec = described(project, fields=fields, split=BY_DATE)
    ids, _ = made(spec, project).split("train")
    counts = np.bincount(ids[:, 0])
    assert len(counts) == 5
    assert counts[1:].max() - counts[1:].min() <= 1


@pytest.mark.parametrize("max_rows", [None, 300])
@pytest.mark.parametrize(
    ("split", "part_of"),
    [
        (BY_DATE, lambda t: np.digitize(t["day"].dt.day_of_year, [31 + 29 + 1, 31 + 29 + 20])),
        (BY_PART, lambda t: t["part"].map({"a": 0, "b": 0, "c": 1, "4": 2}).to_numpy()),
    ],
)
def test_a_date_or_a_column_says_the_part_of_a_row(project, split, part_of, max_rows):
    spec, parts = described(project, split=split), part_of(visits())
    data = made(spec, project, max_rows=max_rows)
    rows = np.load(data.folder / "rows.npy")
    assert len(rows) == len(set(rows)) == (max_rows or ROWS)
    assert parts[rows].tolist() == np.repeat(range(3), list(data.manifest.splits.values())).tolist()
    assert sorted(rows) != rows.tolist()  # within a part in random order


def line(number, text):
    """Another line of visits.csv, the header being line 1."""

    def change(project):
        lines = (project / "visits.csv").read_text().splitlines()
        lines[number - 1] = text
        (project / "visits.csv").write_text("\n".join(lines) + "\n")

    return change


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("v,1,2.5", ["visits.csv, line 8", "6 columns", "found 3"]),
        ("v,1,2.5,2024-01-01,a,no,no", ["visits.csv, line 8", "6 columns", "found 7"]),
        ('"v,1,2.5,2024-01-01,a,no', ["visits.csv, line 8", "double quotes"]),
        ("v,1,2.5,2024-01-01,a,nO", ["visits.csv, line 8", "'no', 'later', 'yes'", "found 'nO'"]),
        ("v,1,2.5,2024-01-01,a,", ["visits.csv, line 8", "as the label", "a missing value"]),
        ("v,1,2.5,2024-02-30,a,no", ["visits.csv, line 8", "'%Y-%m-%d' as 'day'", "'2024-02-30'"]),
        ("v,old,2.5,2024-01-01,a,no", ["visits.csv, line 8", "a number as 'age'", "found 'old'"]),
        ("v,1,inf,2024-01-01,a,no", ["visits.csv, line 8", "a number as 'price'", "found 'inf'"]),
        (
            "v,?,2.5,2024-01-01,a,no",
            ["visits.csv, line 8", "found '?'", "add it to `table.missing`"],
        ),
        ("v,1,2.5,2024-01-01,d,no", ["visits.csv, line 8", "'a', 'b', 'c', 4 as 'part'", "'d'"]),
        ("v,1,2.5,,a,no", None),  # a missing date is a value
    ],
)
def test_a_line_that_is_none_is_named_and_a_right_one_mends_it(project, text, parts):
    (project / "visits.csv").write_text("\n\n" + (project / "visits.csv").read_text())
    line(8, text)(project)  # line 6 of rows and header: two are blank
    spec = described(project, split=BY_PART)
    if parts is None:
        assert made(spec, project).manifest.rows == ROWS
        return
    with pytest.raises(DataError) as caught:
        made(spec, project)
    for part in parts:
        assert part in str(caught.value)
    assert not (project / "data" / "prepared" / "shop" / "split_0").exists()
    line(8, "v,1,2.5,2024-01-01,a,no")(project)
    assert made(spec, project).manifest.rows == ROWS


def test_a_line_break_within_quotes_does_not_shift_the_lines(project):
    line(3, '"a\nb",1,2.5,2024-01-01,a,no')(project)
    line(9, "v,1,2.5,never,a,no")(project)
    with pytest.raises(DataError, match=r"visits\.csv, line 9: .*'never'"):
        made(described(project), project)


def test_what_is_no_utf_8_is_named_by_its_line(project):
    text = (project / "visits.csv").read_bytes().split(b"\n")
    text[500] = "é,1,2.5,2024-01-01,a,no".encode("latin-1")
    (project / "visits.csv").write_bytes(b"\n".join(text))
    with pytest.raises(DataError, match=r"visits\.csv, line 501: not UTF-8"):
        made(described(project), project)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"fields": [{"name": "pric"}]}, ["no column 'pric' in visits.csv", "'price'"]),
        ({"table": SPEC["table"] | {"separator": ";"}}, ["check `table.separator`"]),
        ({"table": SPEC["table"] | {"files": ["visit.csv"]}}, ["table.files", "no file visit.csv"]),
        ({"table": SPEC["table"] | {"format": "parquet"}}, ["visits.csv", "not a Parquet file"]),
        (
            {"split": BY_DATE | {"validation": "2025-01-01", "test": "2025-02-01"}},
            [
                "visits.csv: shop: split: 600 rows give an empty split: {",
                "'validation': 0",
                "dates of 'day' are 2024-01-01 to 2024-03-30\n",
                "other dates",
            ],
        ),
        (
            {"split": BY_PART | {"train": ["a", "b", "c"], "validation": ["d"]}},
            [
                "visits.csv: shop: split: 600 rows",
                "'validation': 0",
                "other values",
            ],
        ),
        ({"split": BY_PART | {"train": ["a"]}}, ["visits.csv, line ", "found 'b'", "`split`"]),
        ({"task": SPEC["task"] | {"classes": 2, "map": {"no": 0, "yes": 1}}}, ["found 'later'"]),
        (
            {
                "task": {
                    "classes": 3,
                    "label": "part",
                    "map": {"a": 0, "b": 1, "c": 1, "d": 2, 4: 1},
                }
            },
            ["no example of class 2"],
        ),
        (
            {"fields": [{"name": "day", "kind": "date", "unit": "hour", "format": "%y%m%d%H"}]},
            ["shop.yaml", "no format of dates: '%y%m%d%H'"],
        ),
        ({"max_bad_rows": 3}, ["no malformed line can be skipped", "delete `max_bad_rows`"]),
    ],
)
def test_what_does_not_fit_the_file_is_refused_before_anything_is_trained(project, changes, parts):
    with pytest.raises(UserError) as caught:
        made(described(project, **changes), project)
    for part in parts:
        assert part in str(caught.value)


def test_a_column_twice_or_no_rows_are_refused(project):
    rows = (project / "visits.csv").read_text().partition("\n")[2]
    for header, part in (
        ("visitor,age,price,day,age,bought", "line 1: the column 'age' is there twice"),
        ("visitor,age,price,day,,bought", "line 1: column 5 has no name"),
    ):
        (project / "visits.csv").write_text(f"{header}\n{rows}")
        with pytest.raises(DataError, match=part):
            made(described(project), project)
    for text, part in (
        ("", "the file is empty"),
        ("visitor,age,price,day,part,bought\n", r"^visits\.csv: shop: .* there are no rows"),
    ):
        (project / "visits.csv").write_text(text)
        with pytest.raises(DataError, match=part):
            made(described(project), project)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            {"fields": [{"name": "price", "kind": "quantiles"}]},
            ["fields.0", "needs the key 'bins'"],
        ),
        ({"fields": [{"name": "price", "bins": 4}]}, ["fields.0", "bins belongs to `kind: quant"]),
        ({"fields": [{"name": "day", "kind": "date"}]}, ["fields.0", "needs the key 'unit'"]),
        (
            {"fields": [{"name": "price", "kind": "buckets", "edges": [3, 1]}]},
            ["fields.0", "must rise"],
        ),
        (
            {"fields": [{"name": "x", "column": "bought"}]},
            ["shop.yaml: the label 'bought' cannot be an input field\n", "take it out of `fields`"],
        ),
        (
            {"fields": [{"name": "x"}, {"name": "y"}, {"name": "x"}]},
            ["shop.yaml: the field 'x' appears twice in `fields`\n", "take one out, or rename it"],
        ),
        (
            {"task": {"classes": 3, "label": "bought", "map": {"a": 0, "b": 1, "c": 3}}},
            ["key 'task':", "give each label one of 0 to 2, and each of these a label"],
        ),
        ({"split": {"train": 2, "validation": 0.1, "test": 0.1, "seed": 1}}, ["key 'split.train'"]),
        ({"split": BY_PART | {"train": [{}]}}, ["key 'split.train.0'"]),
        ({"task": {"classes": 2, "label": "bought", "map": {False: 0, True: 1}}}, ["in quotes"]),
        ({"task": {"classes": 3, "label": "bought", "map": {"a": 0, "b": 1}}}, ["classes 0 to 2"]),
        ({"task": SPEC["task"] | {"rule": {"kind": "subtract", "value": 1}}}, ["leave one out"]),
        ({"split": BY_DATE | {"by": "dat"}}, ["key 'split':", "random, date or column"]),
        ({"split": BY_DATE | {"test": "2024-01-01"}}, ["validation must begin before test"]),
        ({"split": BY_DATE | {"test": 20240320}}, ["key 'split.test'", "2024-01-31"]),
        ({"split": BY_PART | {"test": ["a"]}}, ["key 'split':", "'a' is named twice"]),
        (
            {"table": {"format": "csv"}},
            ["key 'table.files'", "the key is missing", "files: [my.csv]"],
        ),
        ({"source": "adult"}, ["key 'source'", "leave one of the two out"]),
        ({"table": SPEC["table"] | {"seperator": ";"}}, ["'seperator'", "'separator'"]),
        ({"table": {"files": ["a"], "format": "parquet", "separator": ","}}, ["no separator"]),
    ],
)
def test_a_mistake_in_the_description_is_found_without_the_file(project, changes, parts):
    (project / "visits.csv").unlink()
    with pytest.raises(ConfigError) as caught:
        described(project, **changes)
    for part in ["shop.yaml", *parts]:
        assert part in str(caught.value)


def test_keys_of_tables_are_refused_where_there_is_none(project):
    rule = {"classes": 2, "label": "bought", "rule": {"kind": "at_least", "value": 1}}
    content = SPEC | {"source": "adult", "task": rule, "fields": [{"name": "age"}]}
    del content["table"]
    DatasetSpec.model_validate(content)
    for changes in (
        {"task": SPEC["task"]},
        {"split": BY_PART},
        {"fields": [{"name": "day", "kind": "date", "unit": "hour"}]},
        {"fields": [{"name": "years", "column": "age"}]},
    ):
        with pytest.raises(ValueError, match="is for files that the key `table` describes"):
            DatasetSpec.model_validate(content | changes)


def test_descriptions_without_these_keys_are_what_they_were():
    """Their preparation keys are hashes of this."""
    for name in dataset_names(ROOT):
        spec = load_dataset(name, ROOT)
        if spec.table or spec.derived:
            continue
        content = spec.model_dump(mode="json")
        assert {"table", "derived"}.isdisjoint(content)
        assert set(content["task"]) == {"classes", "label", "rule"}
        assert set(content["split"]) == {"train", "validation", "test", "seed"}
        assert {key for field in content["fields"] for key in field} == {
            "name",
            "kind",
            "min_count",
        }


def test_its_files_are_not_fetched(project):
    described(project)
    with pytest.raises(ConfigError, match="`autoloss prepare shop`"):
        load_source("shop", project)


class TestAChangedFile:
    def test_is_refused_until_it_is_put_back_or_prepared_anew(self, project):
        spec = described(project)
        folder = made(spec, project).folder
        before = (project / "visits.csv").read_text()
        require_unchanged([(spec, [folder])])
        (project / "visits.csv").touch()  # its content is what it was
        require_unchanged([(spec, [folder])])
        (project / "visits.csv").write_text(before.replace("later", "LATER"))  # as many bytes
        with pytest.raises(DataError, match=r"visits\.csv: has changed since shop") as caught:
            require_unchanged([(spec, [folder])])
        (project / "visits.csv").write_text(before)
        require_unchanged([(spec, [folder])])
        (project / "visits.csv").write_text(before + before.splitlines()[-1] + "\n")
        with pytest.raises(DataError):
            require_unchanged([(spec, [folder])])
        (home,) = re.findall(r"`rm -r ([^`]+)`", caught.value.mend)
        shutil.rmtree(project / home)
        require_unchanged([(spec, [folder])])
        assert made(spec, project).manifest.rows == ROWS + 1
        require_unchanged([(spec, [folder])])

    def test_is_found_when_a_study_is_planned(self, project):
        shutil.copytree(ROOT / "configs", project / "configs", dirs_exist_ok=True)
        described(project)
        asked = ['study={"name": "shop", "datasets": ["shop"], "splits": 1, "first_seed": 0}']
        study = plan_study([], asked, project)
        folder = study.prepared_folder("shop", 0)
        prepare(study.dataset("shop"), project, {0: folder}, say=lambda _: None)
        plan_study([], asked, project)
        with (project / "visits.csv").open("a") as file:
            file.write("v,1,2.5,2024-01-01,a,no\n")
        with pytest.raises(DataError, match="has changed since shop was prepared"):
            plan_study([], asked, project)
        shutil.rmtree(folder.parent)
        plan_study([], asked, project)
        (project / "visits.csv").unlink()
        with pytest.raises(ConfigError, match=r"there is no file visits\.csv"):
            plan_study([], asked, project)

    def test_of_another_data_set_is_no_matter_of_the_one_that_is_prepared(self, project):
        shutil.copytree(ROOT / "configs", project / "configs", dirs_exist_ok=True)
        asked = ['study={"datasets": ["shop", "other"], "splits": 1, "first_seed": 0}']
        more = {"table": SPEC["table"] | {"files": ["visits.csv", "more.csv"]}}
        shutil.copy(project / "visits.csv", project / "more.csv")
        shutil.copy(project / "visits.csv", project / "others.csv")
        described(project, **more)
        text = (project / "configs/datasets/shop.yaml").read_text()
        for old, new in (("shop", "other"), ("Shop", "Other"), ("visits.csv", "others.csv")):
            text = text.replace(old, new)
        (project / "configs/datasets/other.yaml").write_text(text)
        study = plan_study([], asked, project)
        for name in ("shop", "other"):
            folder = study.prepared_folder(name, 0)
            prepare(study.dataset(name), project, {0: folder}, say=lambda _: None)
        for name in ("visits.csv", "more.csv"):
            with (project / name).open("a") as file:
                file.write("v,1,2.5,2024-01-01,a,no\n")
        with pytest.raises(DataError) as one:  # other reads more.csv too, and others.csv
            plan_study([], asked, project, dataset="shop")
        assert one.value.where == "visits.csv, more.csv"
        assert one.value.problem == "have changed since shop was prepared"
        assert "`rm -r data/prepared/shop`" in one.value.mend
        with pytest.raises(DataError) as both:
            plan_study([], asked, project)
        assert both.value.problem == "have changed since shop and other were prepared"
        assert "`rm -r data/prepared/shop data/prepared/other`" in both.value.mend
        shutil.rmtree(project / "data/prepared/other")
        plan_study([], asked, project, dataset="other")  # whatever shop's files are
        with pytest.raises(DataError, match="since shop was prepared"):
            plan_study([], asked, project)

    def test_a_description_that_changed_has_another_key(self, project):
        shutil.copytree(ROOT / "configs", project / "configs", dirs_exist_ok=True)
        asked = ['study={"datasets": ["shop"]}']
        described(project)
        study = plan_study([], asked, project)
        before = identity.preparation_key(study, "shop")
        for changes in (
            {"table": SPEC["table"] | {"missing": [""]}},
            {"fields": [*FIELDS[:2], FIELDS[2] | {"bins": 6}]},
        ):
            described(project, **changes)
            assert identity.preparation_key(study, "shop") != before


@pytest.mark.parametrize("form", ["csv", "parquet", "atomic"])
def test_a_column_that_is_not_there_is_found_when_a_study_is_planned(project, form):
    shutil.copytree(ROOT / "configs", project / "configs", dirs_exist_ok=True)
    asked = ['study={"datasets": ["shop"], "splits": 1}']
    right = {"split": BY_DATE}
    if form == "parquet":
        visits().to_parquet("visits.parquet")
        right["table"] = {"files": ["visits.parquet"], "format": "parquet"}
    elif form == "atomic":
        write_atomic(project)
        right = ATOMIC | {"split": BY_DATE | {"column": "timestamp", "format": "seconds"}}
    task, split = (SPEC | right)["task"], right["split"]
    first, *others = (SPEC | right)["fields"]
    label, field, column = task["label"], first["name"], split["column"]
    described(project, **right)
    plan_study([], asked, project)
    for changes, wrong, near in (
        ({"task": task | {"label": f"{label}g"}}, f"{label}g", label),
        ({"fields": [first | {"column": f"{field}x"}, *others]}, f"{field}x", field),
        ({"split": split | {"column": f"{column}s"}}, f"{column}s", column),
    ):
        described(project, **right | changes)
        with pytest.raises(ConfigError) as caught:
            plan_study([], asked, project)
        assert caught.value.where == "configs/datasets/shop.yaml"
        assert f"there is no column '{wrong}' in " in caught.value.problem
        assert caught.value.mend == f"did you mean '{near}'?"


def test_a_header_in_the_description_is_as_wide_as_the_lines_when_planned(project):
    shutil.copytree(ROOT / "configs", project / "configs", dirs_exist_ok=True)
    described(project, table=SPEC["table"] | {"header": [*visits().columns, "more"]})
    with pytest.raises(DataError, match=r"visits\.csv, line 1: expected 7 columns .*, found 6"):
        plan_study([], ['study={"datasets": ["shop"]}'], project)


def test_planning_with_a_file_of_ones_own_imports_neither_torch_nor_pandas(project):
    shutil.copytree(ROOT / "configs", project / "configs", dirs_exist_ok=True)
    described(project)
    code = (
        "import os, sys; from pathlib import Path; from autoloss.study.planned import plan_study; "
        f"os.chdir({str(project)!r}); "
        """plan_study([], ['study={"datasets": ["shop"]}'], Path.cwd()); """
        "print({'torch', 'pandas'} & set(sys.modules))"
    )
    assert printed_by(code) == "set()"


def test_one_split_is_not_taken_for_several(project):
    shutil.copytree(ROOT / "configs", project / "configs", dirs_exist_ok=True)
    described(project, split=BY_DATE)
    with pytest.raises(ConfigError, match="asks for 12 splits; shop is split by date"):
        plan_study([], ['study={"datasets": ["shop"]}'], project)
    study = plan_study([], ['study={"datasets": ["shop"], "splits": 1}'], project)
    assert study.dataset("shop").split.by == "date"


class TestADataSetOfOneSplit:
    """As `autoloss new-dataset` offers it, with the commands that it says."""

    @pytest.fixture
    def shop(self, project):
        shutil.copytree(ROOT / "configs", project / "configs", dirs_exist_ok=True)
        described(project, split=BY_DATE)
        return project

    def test_the_message_says_where_to_write_it(self, shop):
        with pytest.raises(ConfigError) as caught:
            plan_study([], ['study={"datasets": ["shop"]}'], shop)
        assert "`splits: 1` under `study:`" in caught.value.mend
        assert """"splits": 1 in `--config study={...}`""" in caught.value.mend
        (shop / "mine.yaml").write_text("study: {datasets: [shop], splits: 1}")
        for files, arguments in (
            ([shop / "mine.yaml"], []),
            ([], ['study={"datasets": ["shop"], "splits": 1}']),
        ):
            assert plan_study(files, arguments, shop).config.study.splits == 1

    def test_it_is_prepared_by_its_name_alone_and_says_what_training_has_not(self, shop):
        done = CliRunner().invoke(app, ["prepare", "shop"])
        assert done.exit_code == 0, done.output
        asked = ['study={"datasets": ["shop"], "splits": 1}']
        study = plan_study([], asked, shop)
        folders = [study.prepared_folder("shop", split) for split in study.prepared_splits]
        for folder in folders:  # as that study will look for them
            key = identity.preparation_key(study, "shop")
            assert PreparedData.open(folder).manifest.key == key
        assert {*folders[0].parent.iterdir()} == {*folders}
        table = visits()
        later, known = table["day"] >= "2024-03-01", table["visitor"][table["day"] < "2024-03-01"]
        seen = known.fillna("NULL").value_counts()
        unknown = ~table["visitor"][later].fillna("NULL").isin(seen[seen >= 2].index)
        line = done.stdout.splitlines()[-1]
        assert f"of {later.sum()} validation and test rows so many have values that" in line
        assert f" month {later.sum()} (100%)" in line  # March is in no training row
        assert (f" visitor {unknown.sum()} (" in line) == unknown.any()

    def test_one_that_a_study_names_is_refused_as_the_study_is(self, shop):
        (shop / "mine.yaml").write_text("study: {datasets: [shop]}")
        with pytest.raises(ConfigError, match="asks for 12 splits"):
            plan_study([shop / "mine.yaml"], [], shop, dataset="shop")


def write_atomic(folder):
    """RecBole's files of 400 interactions; the last user and item have no line of their own."""
    random = np.random.default_rng(1)
    table = pd.DataFrame({"user_id": random.integers(0, 20, 400)})
    table["item_id"] = random.integers(0, 15, 400)
    table["rating"] = random.integers(1, 6, 400)
    table["timestamp"] = 881250949 + random.integers(0, 10**7, 400)
    users = pd.DataFrame({"user_id": range(19), "age": 20 + np.arange(19)})
    items = pd.DataFrame({"item_id": range(14), "class": ["War", "Drama War"] * 7, "v": "0.1 0.2"})
    kinds = {"rating": "float", "timestamp": "float", "age": "float", "class": "token_seq"}
    for ending, frame in (("inter", table), ("user", users), ("item", items)):
        names = {
            name: f"{name}:{(kinds | {'v': 'float_seq'}).get(name, 'token')}" for name in frame
        }
        file = folder / f"ml.{ending}"
        frame.rename(columns=names).to_csv(file, sep="\t", index=False)
    return table.merge(users, how="left").merge(items, how="left")


ATOMIC = {
    "table": {"files": ["ml.inter", "ml.user", "ml.item"], "format": "atomic"},
    "task": {"classes": 5, "label": "rating", "rule": {"kind": "subtract", "value": 1}},
    "fields": [{"name": name} for name in ("user_id", "item_id", "class")]
    + [{"name": "age", "kind": "buckets", "edges": [25, 30]}]
    + [
        {
            "name": "hour",
            "column": "timestamp",
            "kind": "date",
            "format": "seconds",
            "unit": "hour",
        },
    ],
}


def test_atomic_files_are_joined_as_recbole_joins_them(project):
    table = write_atomic(project)
    data = made(described(project, **ATOMIC), project)
    rows, train = np.load(data.folder / "rows.npy"), data.manifest.splits["train"]
    table = table.iloc[rows].reset_index(drop=True)
    assert data.labels.tolist() == (table["rating"] - 1).tolist()
    expected = [ids_of(table[name], train) for name in ("user_id", "item_id", "class")]
    expected.append(ids_of(buckets(table["age"], [25, 30]), train))
    expected.append(ids_of(pd.to_datetime(table["timestamp"], unit="s").dt.hour, train))
    assert data.ids.T.tolist() == expected
    assert table["age"].isna().any()


@pytest.mark.parametrize(
    ("file", "change", "parts"),
    [
        ("ml.user", lambda t: t.replace("3\t23", "3\told"), ["ml.user, line 5", "number as 'age'"]),
        (
            "ml.item",
            lambda t: t.replace("\n3\t", "\n2\t"),
            ["ml.item, line 5", "'2' is there twice"],
        ),
        (
            "ml.user",
            lambda t: t.replace("age:float", "age"),
            ["ml.user, line 1", "name:type", "'age'"],
        ),
        ("ml.user", lambda t: t.replace("user_id", "who"), ["ml.user, line 1", "ml.inter has too"]),
        ("ml.item", lambda t: t.replace("class", "rating"), ["ml.item, line 1", "found ["]),
    ],
)
def test_what_is_wrong_with_an_atomic_file_is_said_of_that_file(project, file, change, parts):
    write_atomic(project)
    right = (project / file).read_text()
    (project / file).write_text(change(right))
    spec = described(project, **ATOMIC)
    with pytest.raises(DataError) as caught:
        made(spec, project)
    for part in parts:
        assert part in str(caught.value)
    (project / file).write_text(right)
    assert made(spec, project).manifest.rows == 400


def test_vectors_and_files_of_other_kinds_are_no_fields(project):
    write_atomic(project)
    with pytest.raises(ConfigError, match="'v' holds vectors"):
        made(described(project, **ATOMIC | {"fields": [{"name": "v"}]}), project)
    (project / "ml.kg").write_text("a\n")
    files = ATOMIC["table"] | {"files": ["ml.inter", "ml.kg"]}
    with pytest.raises(ConfigError, match=r"key 'table\.files'.*at most one \.user"):
        made(described(project, **ATOMIC | {"table": files}), project)


def test_the_example_of_the_page_is_a_description_and_fits_its_columns(project):
    (example,) = blocks(sections(ROOT / "docs" / "data.md")["A table of your own"], "yaml")
    (project / "configs" / "datasets" / "shop.yaml").write_text(example)
    assert made(load_dataset("shop", project), project).manifest.rows == ROWS
