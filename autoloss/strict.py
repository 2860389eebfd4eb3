"""Strict models read from files: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from autoloss.errors import ConfigError, did_you_mean

# A number is no text, and neither true nor false.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and says which key was probably meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise mistake(
                        f"unknown key '{key}'", did_you_mean(str(key), cls.model_fields), str(key)
                    )
        return data


def mistake(problem: str, mend: str, key: str = "") -> PydanticCustomError:
    """For a validator to raise: what is wrong, at which key below its own, and how to mend it."""
    context = {"problem": problem, "mend": mend, "key": key}
    return PydanticCustomError("mistake", "{problem}", context)


Model = TypeVar("Model", bound=BaseModel)


MAX_NODES = 100_000  # values in a file, each counted as often as it is referred to


class PlainLoader(yaml.SafeLoader):
    """Plain data only: no objects; no key twice, of which the last would win unseen; no aliases of
    which a few lines unfold to gigabytes; no number that YAML takes for another one than it says.
    """

    def get_single_node(self) -> yaml.Node | None:
        """As it is, but for its size when unfolded."""
        node = super().get_single_node()
        if node is not None and _unfolded(node, {}) > MAX_NODES:
            raise yaml.YAMLError(f"its aliases unfold to more than {MAX_NODES:,} values")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As it is, but for keys that are there twice."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"the key '{key.value}' is there twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """As it is, but for a leading zero (base 8) and a colon (base 60): 010 is not 8."""
        text = self.construct_scalar(node)
        if ":" in text or re.match(r"[-+]?0[0-9_]", text):
            problem = (
                f"'{text}' is not the number that it looks like: write it in decimal, or quote it"
            )
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        if node.tag.endswith(":int"):
            return self.construct_yaml_int(node)
        return self.construct_yaml_float(node)


for _kind in ("int", "float"):
    PlainLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", PlainLoader.construct_number)
# 1e-3, which YAML 1.1 takes for text.
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def _unfolded(node: yaml.Node, known: dict[int, float]) -> float:
    """Values under a node, itself one; infinite where it holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf  # while it is being counted
        pairs = isinstance(node, yaml.MappingNode)
        inner = [part for pair in node.value for part in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_unfolded(part, known) for part in inner)
    return known[id(node)]


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of the YAML file `path`, none of an empty one.

    Raises:
        ConfigError: naming the file, and the line of bad syntax: it is missing, or holds no keys.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise ConfigError(str(path), problem, "create it, or correct the name") from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"not UTF-8: {error}", "save it as UTF-8") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        problem = f"expected keys with values, found a {type(content).__name__}"
        raise ConfigError(str(path), problem, "write `key: value`, as in configs/default.yaml")
    return content


def parse_yaml(text: str, where: str) -> Any:
    """What a YAML `text` holds; a ConfigError names `where` it is from, and the line."""
    try:
        return copy.deepcopy(_loaded(text))
    # ValueError: a date that there is not; RecursionError: nested without end
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(where, f"not valid YAML: {error}", "correct the syntax") from None


@lru_cache(maxsize=256)  # the files of configs/ are read for every configuration that is checked
def _loaded(text: str) -> Any:
    return yaml.load(text, PlainLoader)


Keys = list[str | int]  # on the way from the top of a file to a value


def check(model: type[Model], content: Any, where: str | Callable[[Keys], str]) -> Model:
    """`content` as a `model`; a ConfigError names the first wrong key and the mend.

    Args:
        where: `content` is from; of several places, the one that has these keys.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _explain(where, error, content) from None


def load_yaml(path: Path, model: type[Model]) -> Model:
    """The `model` written in the YAML file `path`; a ConfigError names file, key and mend."""
    return check(model, read_yaml(path), str(path))


def _explain(
    where: str | Callable[[Keys], str], error: ValidationError, content: Any
) -> ConfigError:
    """The first problem of a pydantic `error` about `content`."""
    first = error.errors()[0]
    context, missing = first.get("ctx", {}), first["type"] == "missing"
    keys = _written(first["loc"], content)
    keys += [first["loc"][-1]] if missing else [context["key"]] if context.get("key") else []
    file = where if isinstance(where, str) else where(keys)
    place = f"{file}, key '{'.'.join(map(str, keys))}'" if keys else file
    if missing:
        return ConfigError(place, "the key is missing", f"add '{keys[-1]}:'")
    if first["type"] == "mistake":
        return ConfigError(place, context["problem"], context["mend"])
    found = repr(first["input"])
    found = f"found {found if len(found) <= 80 else found[:77] + '...'}"
    wanted = first["msg"].removeprefix("Input should be ")
    if wanted == first["msg"]:
        problem = wanted.removeprefix("Value error, ")
        return ConfigError(place, f"{problem}; {found}", "correct the value")
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        words = re.findall("'([^']*)'", context["expected"])
        return ConfigError(place, found, did_you_mean(first["input"], words))
    kind = "a number " if {"gt", "ge", "lt", "le"} & context.keys() else ""
    return ConfigError(place, found, f"write {kind}{wanted}")


def _written(location: Sequence[str | int], content: Any) -> Keys:
    """Of a pydantic location what is in `content`: the names of a union's members are not."""
    if not location:
        return []
    first, *rest = location
    without = _written(rest, content)
    if isinstance(content, (list, tuple)):
        there = isinstance(first, int) and first < len(content)
    else:
        there = isinstance(content, dict) and first in content
    return max([first, *_written(rest, content[first])], without, key=len) if there else without
