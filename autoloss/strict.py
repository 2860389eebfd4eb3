"""Strict models read from files: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from autoloss.errors import ConfigError, did_you_mean


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and says which key was probably meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    hint = did_you_mean(str(key), cls.model_fields)
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key '{key}'; {hint}",
                        {"key": str(key), "hint": hint},
                    )
        return data


Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path) -> Any:
    """What the YAML file `path` holds; a ConfigError names the file, and the line of bad syntax."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(str(path), "no such file", "create it, or correct the name") from None
    except yaml.YAMLError as error:
        raise ConfigError(str(path), f"not valid YAML: {error}", "correct the syntax") from None


def check(model: type[Model], content: Any, where: str) -> Model:
    """`content` as a `model`; a ConfigError names `where`, the first wrong key and the mend."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise explain(where, error) from None


def load_yaml(path: Path, model: type[Model]) -> Model:
    """The `model` written in the YAML file `path`; a ConfigError names file, key and mend."""
    return check(model, read_yaml(path), str(path))


def explain(where: str, error: ValidationError) -> ConfigError:
    """The first problem of a pydantic `error` as a ConfigError about `where`."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    place = f"{where}, key '{key}'" if key else where
    if first["type"] == "unknown_key":
        context = first["ctx"]
        return ConfigError(place, f"unknown key '{context['key']}'", context["hint"])
    if first["type"] == "missing":
        return ConfigError(place, "the key is missing", f"add '{first['loc'][-1]}:'")
    found = repr(first["input"])
    found = found if len(found) <= 80 else found[:77] + "..."
    problem = first["msg"].removeprefix("Value error, ")
    return ConfigError(place, f"{problem}; found {found}", "correct the value")
