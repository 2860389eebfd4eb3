"""A folder as a registry: each file in it is an entry, and says in literals what it is.

`info = Info(...)`, at the top of the file or of a class in it, is read from the source text: so
planning imports neither the file nor torch. A file whose name starts with _ or . is no entry.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import field, fields
from functools import cache
from importlib import import_module
from importlib.util import decode_source
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    Field,
    GetPydanticSchema,
    StrictBool,
    StrictInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from autoloss.domains import domain_at, require_domain
from autoloss.errors import MethodError, did_you_mean
from autoloss.fidelity import Statements
from autoloss.names import WORD_MEND, is_word, two_alike
from autoloss.strict import Number

Kind = TypeVar("Kind")
LITERAL = (ast.Constant, ast.Dict, ast.List, ast.Set, ast.Tuple, ast.UnaryOp)
KINDS = {bool: StrictBool, int: StrictInt, float: Number, str: str}


@dataclass(frozen=True, config={"extra": "forbid"})
class Option:
    """What a loss or a model says of one of its options; its values are of the default's type.

    Args:
        default: its value where a configuration gives none.
        ge: what a number is at least; `gt` what it is above, `le` and `lt` the other way round.
        choices: the words that it can be.
        divides: the whole number that it divides, another key of its section.
        description: one line for whoever sets it.
        tune: what the tuned protocol searches of it, of a loss: see `autoloss.domains`.
    """

    default: bool | int | float | str
    ge: Number | None = None
    gt: Number | None = None
    le: Number | None = None
    lt: Number | None = None
    choices: tuple[str, ...] | None = None
    divides: str | None = None
    description: str | None = None
    tune: tuple[Any, ...] | None = None

    @property
    def values(self) -> Any:
        """The type of its values, with their bounds, as pydantic reads it."""
        if self.choices is not None:
            return Literal[self.choices]
        return Annotated[KINDS[type(self.default)], Field(**self._bounds)]

    def problem_of(self, value: Any) -> str | None:
        """What is wrong with a value; None if it can have it."""
        try:
            TypeAdapter(self.values).validate_python(value)
        except ValidationError as error:
            return error.errors()[0]["msg"]
        return None

    @property
    def _bounds(self) -> dict[str, Any]:
        bounds = {"ge": self.ge, "gt": self.gt, "le": self.le, "lt": self.lt}
        return {key: bound for key, bound in bounds.items() if bound is not None}

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        kind = type(self.default)
        if self._bounds and kind not in (int, float):
            raise ValueError(f"{', '.join(self._bounds)}: a bound of what is no number")
        if self.divides and not (kind is int and (self.ge or 0) >= 1):
            raise ValueError("what divides is a whole number: give ge=1")
        checked = [("default", self.default)]
        if self.tune is not None:
            require_domain(self.tune, self.default)
            ends = domain_at(self.tune, self.default) or ()
            checked += [("tune", value) for value in ends[1:]]
        for what, value in checked:
            if problem := self.problem_of(value):
                raise ValueError(f"the {what}: {problem}")
        return self


Declared = Annotated[Any, GetPydanticSchema(lambda _, schema: schema(Option))]  # in literals


@dataclass(frozen=True, config={"extra": "forbid"})
class Info:
    """What a loss or a model says of itself.

    Args:
        label: what tables and figures call it.
        paper: the work it comes from, with venue and year.
        options: its constants and sizes, keys of the configuration's section, each an `Option`.
        fidelity: what its source says and what is done here, each an `autoloss.fidelity.Statement`.
        in_batch: a loss whose values are of pairs of examples of a batch, which needs two classes.
        control: a loss that is wrong on purpose: being right costs more.
    """

    label: str
    paper: str
    options: Mapping[str, Declared] = field(default_factory=dict)
    fidelity: Statements = ()
    in_batch: bool = False
    control: bool = False


def files_of(folder: Path) -> list[Path]:
    """The files that are entries, by name."""
    return [file for file in sorted(folder.glob("*.py")) if file.name[0] not in "._"]


@cache
def entries(room: str) -> dict[str, Info]:
    """The entries of `autoloss/<room>`, by name.

    Raises:
        MethodError: a file cannot be read, its `info` is missing, incomplete or, of a model, not
            in a class or with an option to tune; or its name is no word, or its label another's.
    """
    infos: dict[str, Info] = {}
    example = f"see the others in autoloss/{room}"
    folder = Path(__file__).with_name(room)
    for file in files_of(folder):
        if not is_word(file.stem):
            mend = f"rename the file: {WORD_MEND}; or start it with _"
            raise MethodError(str(file), f"'{file.stem}' cannot be named in a study", mend)
        owner, infos[file.stem] = read(file, Info, example)
        if room == "models" and owner is None:
            raise MethodError(str(file), "has its `info` outside of a class", example)
        for key, option in infos[file.stem].options.items():
            if room == "models" and option.tune is not None:
                problem = f"'{key}' has `tune`, and no search chooses sizes of a model"
                raise MethodError(str(file), problem, "leave `tune` out: methods share their model")
    require_apart({folder / f"{name}.py": info.label for name, info in infos.items()})
    return infos


def require_apart(labels: Mapping[Path, str]) -> None:
    """Refuse labels of files that a reader cannot tell apart.

    Raises:
        MethodError: at the file that was written last: beside those that came with the project,
            that is the reader's own.
    """
    if alike := two_alike({str(file): label for file, label in labels.items()}):
        first, last = sorted(map(Path, alike), key=lambda file: file.stat().st_mtime)
        problem = f"has the label '{labels[last]}', as {first.name} has"
        mend = "give it a label of its own: tables show them by labels"
        raise MethodError(str(last), problem, mend)


def member(module: str, name: str) -> Any:
    """What a module of the project calls `name`.

    Raises:
        MethodError: the module does not import, or has nothing of that name.
    """
    try:
        return getattr(import_module(module), name)
    except Exception as error:
        file = f"{module.replace('.', '/')}.py"
        raise MethodError(file, f"does not import: {error!r}", "correct the file") from error


def assigned(within: ast.Module | ast.ClassDef, name: str) -> ast.expr | None:
    """What a text says last that `name` is, with or without a type; None where it does not."""
    for node in reversed(within.body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if name in map(ast.unparse, targets):
                return node.value
    return None


def read(file: Path, kind: type[Kind], example: str) -> tuple[ast.ClassDef | None, Kind]:
    """The one `info = Info(...)` in a file, from its source text, and the class that it is in.

    Raises:
        MethodError: the file cannot be read, or there is not one `info` in literals; `example` says
            where to see how it is done.
    """
    try:
        return _read(file, file.read_bytes(), kind, example)  # type: ignore[arg-type] # has a hash
    except OSError as error:
        where, problem = str(file), f"cannot be read: {error.strerror}"
        raise MethodError(where, problem, f"make it a file that you may read; {example}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # ValueError: no text
        line = getattr(error, "lineno", None)
        problem = error.msg if isinstance(error, SyntaxError) else str(error)
        mend = "correct the syntax" if line else "save it as UTF-8 text that Python can read"
        where = f"{file}:{line}" if line else str(file)
        raise MethodError(where, problem, f"{mend}; {example}") from error


@cache  # every method that is built looks for all of them
def _read(
    file: Path, source: bytes, kind: type[Kind], example: str
) -> tuple[ast.ClassDef | None, Kind]:
    tree = ast.parse(decode_source(source), filename=str(file))
    owners: list[ast.ClassDef | None] = [None]
    owners += [node for node in tree.body if isinstance(node, ast.ClassDef)]
    calls = [
        (owner, statement.value)
        for owner in owners
        for statement in (owner or tree).body
        if isinstance(statement, ast.Assign)
        and [t.id for t in statement.targets if isinstance(t, ast.Name)] == ["info"]
        and isinstance(statement.value, ast.Call)
        and ast.unparse(statement.value.func).rpartition(".")[2] == "Info"
    ]
    if len(calls) != 1:
        problem = f"has {len(calls)} times `info = Info(...)`, expected once"
        raise MethodError(str(file), problem, f"have it once, as a line of its own; {example}")
    ((owner, call),) = calls
    if call.args or None in (keyword.arg for keyword in call.keywords):
        problem = "Info(...) has an argument without its name"
        mend = f"write all as name=value, in literals; {example}"
        raise MethodError(f"{file}:{call.lineno}", problem, mend)
    said = {str(k.arg): _literal(file, k) for k in call.keywords}
    try:
        return owner, kind(**said)
    except ValidationError as error:
        raise _explained(file, call, kind, error, example) from error


def _literal(file: Path, keyword: ast.keyword) -> Any:
    """The value of a keyword of `Info(...)`.

    Raises:
        MethodError: it is computed; at the line and with the text of what in it is no literal.
    """
    try:
        return ast.literal_eval(keyword.value)
    except (ValueError, TypeError) as error:
        parts = (node for node in ast.walk(keyword.value) if isinstance(node, ast.expr))
        computed = next((p for p in parts if not isinstance(p, LITERAL)), keyword.value)
        text = shorten(ast.unparse(computed), 60, placeholder=" …")
        mend = "write it in literals (text, numbers, True, None; tuples, lists and dicts of these):"
        raise MethodError(
            f"{file}:{computed.lineno}",
            f"Info({keyword.arg}) has `{text}`, which is no literal",
            f"{mend} an `info` is read from the text, without running the file",
        ) from error


def _explained(
    file: Path, call: ast.Call, kind: type[Any], error: ValidationError, example: str
) -> MethodError:
    """What is wrong with an `Info(...)`, at its line: a name that it has not, before all else."""
    unknown = "unexpected_keyword_argument"
    first = min(error.errors(), key=lambda problem: problem["type"] != unknown)
    what, place, text = first["type"], first["loc"], first["msg"]
    if what == unknown:
        mend = did_you_mean(str(place[-1]), [f.name for f in fields(Option if place[1:] else kind)])
    elif what == "missing":
        mend = f"add '{place[-1]}'"
    else:
        mend = "correct it there"
    problem = f"Info({'.'.join(map(str, place)) or '...'}): {text.removeprefix('Value error, ')}"
    return MethodError(f"{file}:{_line(call, place)}", problem, f"{mend}; {example}")


def _line(call: ast.Call, place: tuple[int | str, ...]) -> int:
    """The line of what a call says at `place`, or of as much of that as it says."""
    node: ast.expr = call
    for step in place:
        parts: dict[Any, ast.expr] = {}
        if isinstance(node, ast.Call):
            parts = {keyword.arg: keyword.value for keyword in node.keywords}
        elif isinstance(node, ast.Dict):
            keys = (getattr(key, "value", None) for key in node.keys)
            parts = dict(zip(keys, node.values, strict=True))
        elif isinstance(node, ast.Tuple | ast.List):
            parts = dict(enumerate(node.elts))
        node = parts.get(step, node)
    return node.lineno
