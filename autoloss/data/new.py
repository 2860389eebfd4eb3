"""A new data set's file, written from a look at the data: each guess with what it was made from."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from autoloss.data.formats.table import Rows, all_columns, dates, first_cells, numbers, read_rows
from autoloss.data.specs import DatasetSpec, TableSpec, dataset_names
from autoloss.errors import ConfigError, DataError, did_you_mean
from autoloss.records.store import write_text
from autoloss.strict import check, parse_yaml

LOOK = 500_000  # rows that are looked at
CLASSES = 20  # that a label has at most
FEW = 32  # values of a number that is taken for a category
BINS = 10
RARE = 10  # `min_count` of many rows, pytorch-fm's for Criteo; 2 of few
SEPARATORS = (",", "\t", ";", "|")
ENDINGS = {".parquet": "parquet", ".pq": "parquet", ".inter": "atomic"}
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "\\N", "?")
ID = re.compile(r"(^|_|-)[a-z]?id$|[a-z]I[dD]$|^(user|item|zip|code)|_(user|item|zip|code)$")
CLOCK = re.compile("time|date|stamp", re.IGNORECASE)  # in names of what may count seconds
DATES = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%b-%Y", "%Y%m%d"),
)
SINCE = {"seconds": (1e8, 1e10), "milliseconds": (1e11, 1e13)}  # from 1973 to 2286
YEARS = (1900, 2100)
ODD = 0.05  # so few texts that are no date or number among those that are may be mistakes
LEAST = 20  # rows of a class: of fewer a part of a split may have none
PARTS = {"train": "train(ing)?", "validation": "dev|val(id(ation)?)?", "test": "test(ing)?"}
TELLING = "Each value of {} has one label: is it known before the label is?"
BY_CHANCE = 1e-6  # so improbable, a column's values do not have one label each by chance


@dataclass(frozen=True)
class Guess:
    """What a column is taken for: its lines under `fields`, none if left out, and why.

    `split`: a split by it. `odd`: what a reader must know of the column, in words.
    """

    why: str
    lines: tuple[str, ...] = ()
    split: str = ""
    odd: str = ""


def write_dataset(data: Path, label: str, name: str | None, root: Path) -> tuple[Path, str]:
    """Write `configs/datasets/<name>.yaml` from a look at `data`; its path, and what was seen.

    Args:
        data: a CSV or Parquet file, or of RecBole's atomic files the .inter, or the folder.
        label: the column to predict; of a CSV file without a header its number, from 1.
        name: of the data set; the file's if None.

    Raises:
        ConfigError: the name is taken, or the label is no column, or has not 2 to 20 values.
        DataError: the file cannot be read, or a row has no label.
    """
    paths = _files(data)
    name = name or re.sub(r"[^A-Za-z0-9_-]+", "-", paths[0].stem).strip("-_")
    file = root / "configs" / "datasets" / f"{name}.yaml"
    if name in dataset_names(root):
        mend = "give another one with `--name`, or delete its file"
        raise ConfigError("name", f"the data set '{name}' is there already", mend)
    table, label = _table(paths, label)
    columns = all_columns(table, paths)
    if label not in columns:
        problem = f"{data} has no column '{label}'"
        raise ConfigError("--label", problem, did_you_mean(label, columns))
    looked = list(_first(read_rows(table, paths, columns, str(data)), LOOK))
    if not any(rows.frame.height for rows in looked):
        raise DataError(str(data), "there are no rows", "name a file that has some")
    _require_labels(looked, label)
    frame = pl.concat([rows.frame for rows in looked])
    look = _Look(name, label, table, [_from(path, root) for path in paths], frame)
    text = "\n".join(look.lines()) + "\n"
    spec = check(DatasetSpec, parse_yaml(text, str(file)) | {"source": name}, str(file))
    write_text(text, file)
    seen = f"{frame.height:,} rows, {spec.task.classes} classes, {len(spec.fields)} fields"
    return file, "\n  ".join([seen, *look.odd()])


def _first(blocks: Iterator[Rows], count: int) -> Iterator[Rows]:
    """Blocks until there are so many rows."""
    for rows in blocks:
        yield rows
        count -= rows.frame.height
        if count <= 0:
            return


def _require_labels(blocks: Sequence[Rows], label: str) -> None:
    """A DataError at the first row without a label."""
    missing = sum(rows.frame[label].null_count() for rows in blocks)
    for rows in blocks:
        absent = rows.frame[label].is_null()
        if absent.any():
            of = f"of {sum(rows.frame.height for rows in blocks):,} rows {missing:,} have none"
            problem = f"expected a label as '{label}', found a missing value; {of}"
            where = rows.place(int(absent.arg_max() or 0), label)
            raise DataError(where, problem, "give each row one, or take it out")


def _files(data: Path) -> list[Path]:
    """The file, or all atomic files of its name."""
    if data.is_dir():
        mains = sorted(data.glob("*.inter"))
        if len(mains) != 1:
            problem = f"is a folder with {len(mains)} files *.inter, expected one"
            raise ConfigError(str(data), problem, "name the file")
        data = mains[0]
    if not data.is_file():
        raise ConfigError(str(data), "there is no such file", "correct the path")
    others = [data.with_suffix(ending) for ending in (".user", ".item")]
    return [data, *(file for file in others if data.suffix == ".inter" and file.is_file())]


def _from(path: Path, root: Path) -> str:
    """A path from the project's folder, if it is in there."""
    place, home = path.resolve(), root.resolve()
    return os.path.relpath(place, home) if place.is_relative_to(home) else str(place)


def _table(paths: list[Path], label: str) -> tuple[TableSpec, str]:
    """Format, separator, header and missing values; and the name of the label's column."""
    form = ENDINGS.get(paths[0].suffix, "csv")
    content: dict[str, object] = {"format": form, "missing": MISSING}
    if form == "csv":
        first = {mark: first_cells(paths[0], mark) for mark in SEPARATORS}
        mark = max(SEPARATORS, key=lambda mark: len(first[mark]))
        content["separator"] = mark
        if label not in first[mark] and label.isdigit() and 0 < int(label) <= len(first[mark]):
            content["header"] = [f"column_{k + 1}" for k in range(len(first[mark]))]
            label = f"column_{label}"
    return TableSpec.model_validate(content), label


@dataclass(frozen=True)
class _Look:
    """The rows that are looked at, as they are read."""

    name: str
    label: str
    table: TableSpec
    files: list[str]
    frame: pl.DataFrame

    def lines(self) -> Iterator[str]:
        """The data set's file."""
        guesses = self.guesses
        if not any(guess.lines for guess in guesses.values()):
            mend = "write its file by hand: docs/data.md has every key"
            raise ConfigError(self.files[0], "no column is taken for a field", mend)
        known = "of them all" if self.whole else f"of the first {self.frame.height:,} rows"
        yield f"# Written from a look at {', '.join(self.files)}: counts are {known}."
        yield "# Types are guesses: read them through, then `autoloss prepare`. Keys: docs/data.md."
        yield f"name: {_word(self.name)}"
        yield f"title: {_word(self.name)}"
        yield from self.table_lines()
        yield from self.task_lines()
        yield "fields: # values seen fewer than min_count times in training share one id"
        for column, guess in guesses.items():
            if guess.lines:
                yield f"  # {guess.why}"
                if column in self.telling:
                    yield f"  # {TELLING.format(_word(column))} If not, delete what reads it."
                yield from (f"  - {{{line}}}" for line in guess.lines)
        for column, guess in guesses.items():
            if not guess.lines:
                yield f"  # Left out: {_word(column)}, {guess.why}"
        yield "split: {train: 0.8, validation: 0.1, test: 0.1, seed: 42} # at random"
        if splits := [guess.split for guess in guesses.values() if guess.split]:
            yield "# Instead, in a study that has `splits: 1` under `study:`:"
            yield from (f"# split: {{{split}}}" for split in splits)
        if self.whole:
            counts = [count for _, count in self.classes()]
            yield "# As counted; preparation warns where there are others."
            yield f"inferred: {{rows: {self.frame.height}, class_counts: {counts}}}"

    @cached_property
    def guesses(self) -> dict[str, Guess]:
        """By column, all but the label."""
        return {c: self.guess(c) for c in self.frame.columns if c != self.label}

    def odd(self) -> Iterator[str]:
        """What is not as it should be, a line each."""
        for value, count in self.classes():
            if count < LEAST:
                why = "each part of each split needs some of every class"
                yield f"{_word(self.label)} is {_value(value)} in {count} of the rows: {why}"
        for column, guess in self.guesses.items():
            if guess.odd:
                yield f"{_word(column)} is {guess.odd}"
            if guess.lines and column in self.telling:
                yield TELLING.format(_word(column))

    @cached_property
    def telling(self) -> set[str]:
        """Columns of which each value has one label, which is not to be expected by chance.

        By chance all n rows of a value have one label with probability Σ_c p_c^n, p_c being the
        share of class c: 1 where each row has a value of its own.
        """
        label = self.frame[self.label].cast(pl.String)
        shares = np.log(label.value_counts()["count"].to_numpy() / len(label))
        telling = set()
        for column in self.guesses:
            pairs = pl.DataFrame({"value": self.frame[column], "label": label})
            values = pairs.group_by("value").agg(pl.len(), labels=pl.col("label").n_unique())
            if values["labels"].max() == 1:
                rows = values["len"].to_numpy()
                chance = np.logaddexp.reduce(np.outer(rows, shares), axis=1).sum()
                telling |= {column} if chance < math.log(BY_CHANCE) else set()
        return telling

    @property
    def whole(self) -> bool:
        """Whether all rows were looked at."""
        return self.frame.height < LOOK

    def table_lines(self) -> Iterator[str]:
        """How the file is read."""
        table, files = self.table, ", ".join(map(_word, self.files))
        yield "table:"
        yield f"  files: [{files}] # from this project's folder, and read where they are"
        yield f"  format: {table.format}"
        if table.format == "csv":
            yield f"  separator: {json.dumps(table.between)}"
            if table.header is True:
                yield "  header: true # the first line names the columns"
            else:
                names = ", ".join(map(_word, table.header))
                yield f"  header: [{names}] # there is no first line with names"
        missing = ", ".join(json.dumps(word) for word in MISSING)
        empty = sum(self.frame.null_count().row(0))
        yield f"  missing: [{missing}] # {empty:,} values"

    def task_lines(self) -> Iterator[str]:
        """The label and its classes."""
        classes = self.classes()
        pairs = ", ".join(f"{_value(value)}: {k}" for k, (value, _) in enumerate(classes))
        counts = ", ".join(f"{count:,}" for _, count in classes)
        yield "task:"
        yield f"  label: {_word(self.label)}"
        yield f"  classes: {len(classes)}"
        yield f"  map: {{{pairs}}} # {counts} rows"

    def classes(self) -> list[tuple[str | float, int]]:
        """The label's values, in order, as numbers if all are; and their rows."""
        column = self.frame[self.label].cast(pl.String)
        as_numbers = numbers(column)
        values = column if as_numbers.null_count() else as_numbers
        counted = values.rename("value").value_counts()
        counts = {value: int(n) for value, n in counted.iter_rows()}
        if not 2 <= len(counts) <= CLASSES:
            problem = f"'{self.label}' has {len(counts):,} values, expected 2 to {CLASSES} classes"
            mend = "name another column; of a number, write a column that has its classes"
            raise ConfigError("--label", problem, mend)
        return sorted(counts.items())

    def guess(self, column: str) -> Guess:
        """What a column is taken for."""
        raw = self.frame[column]
        present = raw.drop_nulls()
        distinct, empty = present.n_unique(), raw.null_count()
        seen = f"{distinct:,} values" + (f", {empty:,} missing" if empty else "")
        if distinct < 2:
            return Guess(f"{seen}: it says nothing")
        if guess := self.part(column, raw, seen):
            return guess
        values = None if raw.dtype == pl.Boolean else numbers(present)
        if values is not None and (raw.dtype.is_temporal() or values.null_count()):
            values = None
        if date := self.date(column, present, values, seen):
            return date
        whole = values is not None and bool((values == values.floor()).all())
        if distinct == len(raw) and (values is None or whole):
            return Guess(f"{seen}: each row has one of its own")
        if values is None or (whole and (distinct <= FEW or ID.search(column))):
            counted = present.cast(pl.String).rename("value").value_counts()
            often, count = counted.sort("count", "value", descending=[True, False]).row(0)
            why = f"{seen}, most often {str(often)[:40]!r} ({count:,} rows)"
            what = "text" if values is None else "whole numbers taken for names"
            odd = _odd(present) if raw.dtype == pl.String and values is None else ""
            why += f"; {odd}" if odd else ""
            return Guess(
                f"{what}: {why}", (self.entry(column),), odd=odd and f"taken for text: {odd}"
            )
        least, most = values.to_numpy().min(), values.to_numpy().max()
        why = f"{'whole numbers' if whole else 'numbers'} {least:g} to {most:g}: {seen}"
        if whole and most >= 100:
            why += "; numeric: one id for each (ln v)^2, made whole"
            return Guess(why, (self.entry(column, "numeric"),))
        why += "; quantiles: as many training rows in each bin"
        return Guess(why, (self.entry(column, "quantiles", f"bins: {BINS}"),))

    def part(self, column: str, raw: pl.Series, seen: str) -> Guess | None:
        """A column of words such as train and test, which is no field; None if it is another."""
        words = sorted(raw.drop_nulls().cast(pl.String).unique())
        if len(words) > CLASSES:
            return None
        parts = {
            part: [word for word in words if re.fullmatch(pattern, word, re.IGNORECASE)]
            for part, pattern in PARTS.items()
        }
        if not parts["train"] or sum(map(len, parts.values())) < len(words):
            return None
        lacking = [f"none of them says {part}" for part, own in parts.items() if not own]
        lacking += [f"{raw.null_count():,} rows have none"] * bool(raw.null_count())
        why = f"{', '.join(words)} say the part of a row"
        if lacking:
            why += f", but {' and '.join(lacking)}"
            return Guess(f"{seen}: {why}", odd=f"left out: {why}")
        said = [f"{part}: [{', '.join(map(_word, own))}]" for part, own in parts.items()]
        split = ", ".join(["by: column", f"column: {_word(column)}", *said])
        odd = f"left out: {why}; a comment in the file has the split by it"
        return Guess(f"{seen}: {why}", split=split, odd=odd)

    def date(
        self, column: str, present: pl.Series, values: pl.Series | None, seen: str
    ) -> Guess | None:
        """A column of dates, by the first format that fits; None if none does."""
        if present.dtype.is_temporal():
            fits = [""] if present.dtype != pl.Time else []
        else:
            fits = [f for f in DATES if self.fit(present.cast(pl.String), f)]
        if values is not None and CLOCK.search(column):
            fits += [f for f, (low, high) in SINCE.items() if values.is_between(low, high).all()]
        if not fits:
            return None
        form = fits[0]
        moments = dates(present, form or None).sort()
        said = [f"format: {json.dumps(form)}"] if form else []
        first, last = (str(moment)[:10] for moment in (moments[0], moments[-1]))
        why = f"dates {first} to {last}: {seen}"
        if len(fits) > 1:
            why += f" (or {fits[1]}: both fit)"
        lines = [self.entry(column, "date", *said, "unit: weekday")]
        if (moments != moments.dt.truncate("1d")).any() and f"{column}_hour" not in self.frame:
            own = f"column: {_word(column)}"
            lines.append(self.entry(f"{column}_hour", "date", own, *said, "unit: hour"))
        cuts = [moments[math.floor(len(moments) * share)] for share in (0.8, 0.9)]
        begin = [str(cut).removesuffix(" 00:00:00")[:19] for cut in cuts]
        parts = [f'validation: "{begin[0]}"', f'test: "{begin[1]}"']
        by = ", ".join(["by: date", f"column: {_word(column)}", *said, *parts])
        return Guess(why, tuple(lines), by if cuts[0] < cuts[1] else "")

    def fit(self, texts: pl.Series, form: str) -> bool:
        """Whether all texts are dates of a format, of years that one writes down."""
        moments = dates(texts, form)
        return not moments.null_count() and bool(moments.dt.year().is_between(*YEARS).all())

    def entry(self, name: str, kind: str = "categorical", *keys: str) -> str:
        """A line of `fields`."""
        kinds = [] if kind == "categorical" else [f"kind: {kind}"]
        rare = RARE if self.frame.height >= 1000 * RARE else 2
        return ", ".join([f"name: {_word(name)}", *kinds, *keys, f"min_count: {rare}"])


def _odd(texts: pl.Series) -> str:
    """What keeps texts from being numbers, or dates, that nearly all are; "" elsewhere."""
    if not numbers(texts.str.replace(",", ".", literal=True)).null_count():
        return "all are numbers with a decimal comma: write a point, and they are read as numbers"
    kinds = {"numbers": numbers(texts)} | {f"dates {form}": dates(texts, form) for form in DATES}
    for what, values in kinds.items():
        others = texts.filter(values.is_null())
        if 0 < len(others) <= ODD * len(texts):
            of = f"{len(texts) - len(others):,} of {len(texts):,}"
            return f"{of} are {what}, and not {str(others[0])[:40]!r}"
    return ""


def _word(text: str) -> str:
    """Text in YAML: in quotes unless it is a plain word."""
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text) and parse_yaml(text, "") == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def _value(value: str | float) -> str:
    """A label in YAML: text always in quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(int(value)) if value == int(value) else repr(value)
