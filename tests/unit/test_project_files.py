"""Every YAML file that the project reads: empty, or with something else than keys in it."""

from __future__ import annotations

import shutil
from itertools import cycle

import pytest

from autoloss.arguments import study_of
from autoloss.claims.schema import load_claims
from autoloss.config import load_config
from autoloss.data.specs import load_dataset, load_source
from autoloss.errors import ConfigError
from autoloss.plan.costs import COSTS, load_costs, load_devices
from autoloss.study.study import Study
from tests.tiny import ROOT

FILES = sorted(
    file.relative_to(ROOT).as_posix()
    for file in (ROOT / "configs").rglob("*.yaml")
    if "profiles" not in file.parts
)
NO_KEYS = ["- a\n", "words\n", "3\n", "true\n", "[]\n", "2026-11-29\n"]
EMPTY = ["", "# nothing but words\n", "---\n", "null\n"]


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    return tmp_path


def read_all(root, name):
    """What commands read, and the file `name`, which the default study may not need."""
    study = Study.load({"scale": "smoke"}, root)
    study.sensitivity, study.regimes, load_claims(root)
    load_devices(root), load_costs(root / COSTS)
    folder, stem = name.split("/")[-2], name.split("/")[-1].removesuffix(".yaml")
    if folder == "scale":
        load_config({"scale": stem}, root)
    if folder == "protocol":
        study_of(root / name, root=root)
    if folder in ("datasets", "sources"):
        (load_dataset if folder == "datasets" else load_source)(stem, root)


@pytest.mark.parametrize(("name", "text"), list(zip(FILES, cycle(NO_KEYS), strict=False)))
def test_one_that_holds_no_keys_is_a_configuration_error_that_names_it(root, name, text):
    (root / name).write_text(text)
    with pytest.raises(ConfigError, match=rf"{name}.*expected keys with values"):
        read_all(root, name)


@pytest.mark.parametrize(("name", "text"), list(zip(FILES, cycle(EMPTY), strict=False)))
def test_an_empty_one_means_the_defaults_or_is_a_configuration_error(root, name, text):
    (root / name).write_text(text)
    if name.split("/")[1] in ("scale", "protocol"):
        read_all(root, name)
    else:
        with pytest.raises(ConfigError, match="the key is missing"):
            read_all(root, name)
