"""Which methods and models there are, known without importing torch.

A method is a class with `info = Info(...)` in `baselines/<name>.py`; AutoLoss itself is
`autoloss/autoloss.py`. The metadata is written in literals, so that the workflow can plan (which
methods, which options, which table) from the source text alone, in milliseconds.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import keyword
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import decode_source
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoloss.errors import ConfigError, MethodError, did_you_mean
from autoloss.names import name_problem, plain, two_alike

if TYPE_CHECKING:
    from autoloss.method import Method

OWN = "autoloss"  # the method the study is about, in autoloss/autoloss.py
TABLES = ("table_2", "table_3", "controls")  # those a method can ask to stand in
FULL = "table_2_full"  # every method everywhere
FIGURES = {  # each figure, and the groups of runs that it is drawn from
    "figure_1": (),
    "figure_2": (),
    "figure_3": ("figure_3",),
    "figure_4": ("figure_4",),
    "gains": ("table_2",),
    "curves": ("table_2",),
    "calibration": ("table_2",),
    "selection": ("table_2", "table_3"),
    "surface": ("table_2", "table_3"),
    "sensitivity": ("sensitivity",),
}
DIFFERENCES = {"gains": "ce"}  # figures of paired gains over a method: not without it and 2 seeds
# Of runs: what is indexed, audited and tested; and those of them that `all` does without.
GROUPS = (*TABLES, FULL, "figure_3", "figure_4", "sensitivity")
APART = (FULL, "sensitivity")
UNTESTED = ("sensitivity",)  # not ours against each other method: autoloss/report/sensitivity.py
DOMAINS = ("log", "uniform", "choice")
# Options of these names have a range, whichever method has them.
POSITIVE = ("every", "lr", "hidden", "temperature", "tau_start", "tau_floor")
SHARES = ("dropout", "betas")
MODELS = {  # autoloss/models/<name>.py, and the class in it
    "deepfm": "DeepFM",
    "ipnn": "IPNN",
    "nfm": "NFM",
    "autoint": "AutoInt",
}


@dataclass(frozen=True)
class Info:
    """A method's metadata: it names, cites and places it; it feeds tables and docs.

    Args:
        name: the file's name without `.py`; the key in configs, records and paths.
        label: what tables print.
        summary: one line, what it does.
        paper: the work it comes from, with venue and year.
        weights: what it gives weights to: "one candidate", "global" or "per example".
        learns_on: what its weighting learns on: "nothing", "training" or "validation".
        tables: the tables it stands in; Table 2 unless said otherwise; () for none.
        base: a method whose options it inherits (a variant of that method).
        searches: constant weights, found by a search before the seeds are trained.
        trials_per_candidate: so many trials its search needs for each candidate.
        frozen: the learned method whose trained controller it takes and holds still (Figure 3).
        refits: trained again on training and validation data, for the epochs that were best.
        simplex: the weights of every example are at least 0 and sum to 1.
        options: its options with their defaults; a config may override these and no others.
        choices: for options that are one of a few words, the words.
        tune: what the tuned protocol searches: per option `("log", low, high)`,
            `("uniform", low, high)` or `("choice", a, b, ...)`.
    """

    name: str
    label: str
    summary: str
    paper: str
    weights: str
    learns_on: str
    tables: tuple[str, ...] = ("table_2",)
    base: str | None = None
    frozen: str | None = None
    searches: bool = False
    trials_per_candidate: int = 0
    refits: bool = False
    simplex: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tune: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A method on disk: its metadata, its file, the class in it, and the losses that it needs.

    These are known where the class's `constant` is written in literals.
    """

    info: Info
    file: Path
    class_name: str
    needs: tuple[str, ...] = ()


def project_root() -> Path:
    """The folder that holds `autoloss/` and `baselines/`."""
    return Path(__file__).resolve().parents[1]


def discover(root: Path | None = None) -> dict[str, Entry]:
    """Every method under `root`, by name, in a fixed order.

    Files that start with `_` or are hidden are no methods.

    Raises:
        MethodError: a file cannot be read, breaks the contract, or has a name or label of another.
    """
    root = root or project_root()
    files = [f for f in sorted((root / "baselines").glob("*.py")) if f.name[0] not in "._"]
    entries: dict[str, Entry] = {}
    for file in files:
        problem = name_problem(file.stem, OWN)
        if file.stem == OWN:
            problem = f"'{OWN}' is the method in autoloss/{OWN}.py", "choose another name"
        if problem:
            mend = f"rename the file: {problem[1]}; or start it with _ if it is no method"
            raise MethodError(str(file), problem[0], mend)
        entries[file.stem] = _read(file, _source(file))
    own = root / "autoloss" / f"{OWN}.py"
    entries[OWN] = _read(own, _source(own))
    _check_together(entries)
    return entries


def _source(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        mend = "make it a file of Python, or start its name with _ if it is no method"
        raise MethodError(str(file), problem, mend) from error


def _check_together(entries: Mapping[str, Entry]) -> None:
    """What methods say of each other holds, and tables can tell them apart."""
    alike = two_alike({name: entry.info.label for name, entry in entries.items()})
    if alike:
        first, second = (entries[name] for name in alike)
        raise MethodError(
            str(second.file),
            f"has the label '{second.info.label}', as {first.file.name} has",
            "give it a label of its own: tables show methods by their labels",
        )
    for entry in entries.values():
        for key in ("base", "frozen"):
            named = getattr(entry.info, key)
            if named is not None and named not in entries:
                raise MethodError(
                    str(entry.file),
                    f"{key}='{named}' is not a method",
                    did_you_mean(named, entries),
                )
        _check_tuning(entry, entries)


@cache
def losses() -> tuple[str, ...]:
    """The candidate losses that there are, from the source text of losses.py, which needs torch."""
    file = Path(__file__).with_name("losses.py")
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "LOSSES":
            assert isinstance(node.value, ast.Dict)
            return tuple(ast.literal_eval(key) for key in node.value.keys if key is not None)
    raise AssertionError(f"{file} has no LOSSES")


def options_of(
    info: Info, overrides: Mapping[str, Any], methods: Mapping[str, Entry]
) -> dict[str, Any]:
    """The options a method runs with: inherited, then its own, then `overrides`, each checked.

    Raises:
        ConfigError: an override is unknown, of another type than the default, or no choice.
    """
    base = methods[info.base].info if info.base else None
    options = {**(options_of(base, {}, methods) if base else {}), **info.options}
    choices = {**(base.choices if base else {}), **info.choices}
    for key, value in overrides.items():
        where = f"methods.{info.name}.{key}"
        if key not in options:
            raise ConfigError(where, "unknown option", did_you_mean(key, options or ["(none)"]))
        _check_option(where, value, options[key], choices.get(key))
        options[key] = value
    return options


def tuning_of(info: Info, methods: Mapping[str, Entry]) -> dict[str, tuple[Any, ...]]:
    """The options that the tuned protocol searches, inherited ones first, each with its domain."""
    base = methods[info.base].info if info.base else None
    return {**(tuning_of(base, methods) if base else {}), **info.tune}


def write_baseline(name: str, root: Path | None = None) -> Path:
    """Write `baselines/<name>.py` from the template; returns its path.

    Raises:
        ConfigError: `name` is taken, a variant's, or no lower-case Python name.
    """
    root = root or project_root()
    problem = name_problem(name, OWN)
    if problem:
        raise ConfigError("name", *problem)
    file, methods = root / "baselines" / f"{name}.py", discover(root)
    if name in methods or file.exists():
        raise ConfigError("name", f"'{name}' is taken", "choose another, or delete its file")
    title = name.replace("_", " ").strip().capitalize()
    if plain(title) in {plain(entry.info.label) for entry in methods.values()}:
        title = f"{title} ({name})"
    text = (root / "baselines" / "_template.py").read_text(encoding="utf-8")
    class_name = _class_name(name, text)
    text = text.replace('"_template"', f'"{name}"').replace('"Template"', f'"{title}"')
    file.write_text(text.replace("class Template", f"class {class_name}"), "utf-8")
    return file


def _class_name(name: str, template: str) -> str:
    """`TwoWords` of `two_words`, but none that Python, a builtin or the template has already."""
    words = name.replace("_", " ").title().replace(" ", "")
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(template))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    taken = keyword.iskeyword(words) or hasattr(builtins, words) or words in imported
    return f"{words}Method" if taken else words


def load(name: str) -> type[Method]:
    """The class of a method; imports its file (and so torch).

    Raises:
        ConfigError: no such method.
        MethodError: the file does not import, or its `info` is not what the source text says.
    """
    methods = discover()
    if name not in methods:
        raise ConfigError("method", f"no method is called '{name}'", did_you_mean(name, methods))
    entry = methods[name]
    module = f"{entry.file.parent.name}.{entry.file.stem}"
    try:
        found: type[Method] = getattr(importlib.import_module(module), entry.class_name)
    except Exception as error:
        raise MethodError(
            str(entry.file), f"does not import: {error!r}", "correct the file"
        ) from error
    from autoloss.method import FixedWeights

    if issubclass(found, FixedWeights) and found.weights is not FixedWeights.weights:
        problem = "FixedWeights trains by its `constant`, and takes no `weights` of a subclass"
        raise MethodError(str(entry.file), problem, "give `constants()`, or derive from Method")
    if found.info != entry.info:
        raise MethodError(
            str(entry.file), "info changes when the file is imported", "write it in literals only"
        )
    return found


@cache  # every method that is built looks for all of them
def _read(file: Path, source: bytes) -> Entry:
    """The one class with an `info = Info(...)` in `file`, from its source text."""
    try:
        tree = ast.parse(decode_source(source), filename=str(file))
    except SyntaxError as error:
        where, mend = f"{file}:{error.lineno or 1}", "correct the syntax; save it as UTF-8"
        raise MethodError(where, f"{error.msg}", mend) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise MethodError(str(file), f"is no Python: {error}", "save it as UTF-8 text") from error
    found = [
        (node, statement.value)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and [t.id for t in statement.targets if isinstance(t, ast.Name)] == ["info"]
        and isinstance(statement.value, ast.Call)
    ]
    if len(found) != 1:
        raise MethodError(
            str(file),
            f"has {len(found)} classes with `info = Info(...)`, expected one",
            "see baselines/_template.py, or start the file's name with _ if it is no method",
        )
    node, call = found[0]
    try:
        if call.args:
            raise ValueError("an argument without its name")
        info = Info(**{str(k.arg): ast.literal_eval(k.value) for k in call.keywords})
    except (ValueError, TypeError) as error:
        raise MethodError(
            f"{file}:{call.lineno}",
            f"Info(...): {error}",
            "use keyword arguments and literals only",
        ) from error
    _check_info(info, f"{file}:{call.lineno}", file)
    return Entry(info, file, node.name, _losses_of(node))


def _losses_of(node: ast.ClassDef) -> tuple[str, ...]:
    """The losses that `constant = {...}` weighs, if it is written in literals."""
    for statement in node.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if [ast.unparse(target) for target in targets] == ["constant"]:
                try:
                    return tuple(map(str, ast.literal_eval(statement.value)))
                except (ValueError, TypeError):
                    return ()
    return ()


def _check_info(info: Info, where: str, file: Path) -> None:
    for key in ("label", "summary", "paper"):
        text = getattr(info, key)
        if not isinstance(text, str) or not text.strip():
            raise MethodError(where, f"Info({key}) is {text!r}", "give a text that is not empty")
    allowed = {
        "name": (info.name, (file.stem,)),
        "weights": (info.weights, ("one candidate", "global", "per example")),
        "learns_on": (info.learns_on, ("nothing", "training", "validation")),
        **{f"tables: {table}": (table, TABLES) for table in info.tables},
    }
    for key, (value, known) in allowed.items():
        if value not in known:
            raise MethodError(where, f"Info({key}) is {value!r}", f"one of: {', '.join(known)}")
    if info.frozen and info.tables:
        problem = f"Info(frozen={info.frozen!r}) stands in {', '.join(info.tables)}"
        raise MethodError(where, problem, "set tables=(): it stands in Figure 3")


def _check_tuning(entry: Entry, methods: Mapping[str, Entry]) -> None:
    """Each tuned option exists, and its domain has a known form."""
    info, options = entry.info, options_of(entry.info, {}, methods)
    for key, domain in info.tune.items():
        where = f"{entry.file}, tune['{key}']"
        if key not in options:
            raise MethodError(where, "no such option", did_you_mean(key, options or ["(none)"]))
        if domain[0] not in DOMAINS or (domain[0] != "choice" and len(domain) != 3):
            raise MethodError(
                where,
                f"is {domain!r}",
                "give ('log', low, high), ('uniform', low, high) or ('choice', a, b, ...)",
            )


def _check_option(where: str, value: Any, default: Any, choices: tuple[str, ...] | None) -> None:
    if choices is not None:
        if value not in choices:
            raise ConfigError(where, f"is {value!r}", did_you_mean(str(value), choices))
        return
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        for item in value:
            _check_option(where, item, default[0] if default else 0.0, None)
        return
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        raise ConfigError(
            where,
            f"is {value!r}, a {type(value).__name__}",
            f"give a {type(default).__name__}, as in the default {default!r}",
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_range(where, value, default)


def _check_range(where: str, value: float, default: float) -> None:
    """Finite, not below 0 unless the default is, and in the range that its name has."""
    key = where.rpartition(".")[2]
    if not math.isfinite(value) or (value < 0 <= default):
        raise ConfigError(where, f"is {value!r}", "give a finite number, 0 or more")
    if key in POSITIVE and value <= 0:
        raise ConfigError(where, f"is {value!r}", "give a number above 0")
    if key in SHARES and value >= 1:
        raise ConfigError(where, f"is {value!r}", "give a number below 1")
