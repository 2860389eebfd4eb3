"""Whatever a name is, it is refused when it is planned, or every rule and file knows it."""

from __future__ import annotations

import re
import shutil

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoloss.errors import ConfigError, UserError
from autoloss.names import PATTERN
from autoloss.study.planned import plan_study
from autoloss.study.study import Study
from tests.tiny import ROOT

WORDS = st.one_of(
    st.sampled_from(["my", "KuaiRec", "ml", "1e5", "null", "nan", "true", "ÄÖ", "007", "3000"]),
    st.sampled_from(["reference", "fetch", "a b", "$HOME", "{x}", "..", "_", "-", "."]),
    st.sampled_from(list(" *'\"`#/\\~%\n")),
)
AWKWARD = st.lists(WORDS, min_size=1, max_size=4).map("".join)
RARELY = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    return tmp_path


def study_of(name, root, **keys):
    pair = {"dataset": name, "model": "deepfm"}
    own = {"datasets": [name], "component_datasets": [name], "source": pair, "targets": [pair]}
    (root / "mine.yaml").write_text(yaml.safe_dump({"scale": "smoke", "study": {**own, **keys}}))
    return plan_study([root / "mine.yaml"], [], root)


@given(name=AWKWARD)
@settings(max_examples=60, deadline=None, suppress_health_check=RARELY)
def test_a_data_set_is_refused_or_known_to_every_rule(root, name):
    folder = root / "configs" / "datasets"
    spec = yaml.safe_load((folder / "ml100k-ctr.yaml").read_text())
    for old in folder.glob("*.yaml"):
        if old.stem not in ("ml100k", "ml100k-ctr", "adult"):
            old.unlink()
    try:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**spec, "name": name}))
    except (OSError, ValueError):
        return  # no file is called that
    try:
        study = study_of(name, root, max_rows=3000)
    except ConfigError:
        return
    limited = str(study.prepared_folder(name, 0).parent)
    assert re.fullmatch(rf"data/prepared/({PATTERN})\.3000", limited)[1] == name
    unlimited = study_of(name, root, max_rows=None)
    assert re.fullmatch(
        rf"data/prepared/({PATTERN})", str(unlimited.prepared_folder(name, 0).parent)
    )
    # The folder of one data set's sample is no other data set's.
    assert not re.fullmatch(PATTERN, f"{name}.3000")
    shown = str(study.cell_folder(study.cells("table_2")[0]))
    assert re.fullmatch(rf"results/smoke/runs/({PATTERN})/[a-z0-9_]+/\w+", shown)[1] == name


@given(name=AWKWARD)
@settings(max_examples=60, deadline=None)
def test_a_study_is_refused_or_has_folders_of_its_own(name):
    try:
        study = Study.load({"study": {"name": name}}, ROOT)
    except ConfigError:
        return
    assert study.results.parts == ("results", name)
    assert name not in ("reference", "fetch", "prepare")


FILES = ["datasets/ml100k-ctr", "datasets/adult", "sources/adult", "sensitivity", "scale/smoke"]


@given(st.sampled_from(FILES), st.randoms(use_true_random=False), st.sampled_from("dmlxe"))
@settings(max_examples=40, deadline=None, suppress_health_check=RARELY)
def test_whatever_is_wrong_in_a_file_that_is_named_is_said_before_the_dag(root, file, draw, how):
    """A key that is dropped or misspelt, a list, broken syntax, or nothing: found when planned."""
    path = root / "configs" / f"{file}.yaml"
    text = path.read_text()
    content = yaml.safe_load(text)
    key = draw.choice(list(content))
    optional = ("expected", "inferred", "max_bad_rows", "must_accept")
    wrong = {
        "d": yaml.safe_dump({k: v for k, v in content.items() if k != key}),
        "m": yaml.safe_dump({f"{k}e" if k == key else k: v for k, v in content.items()}),
        "l": yaml.safe_dump([content]),
        "x": text + "\n  - : [",
        "e": "",
    }[how]
    path.write_text(wrong)
    try:
        harmless = how in "de" if file == "scale/smoke" else how == "d" and key in optional
        if harmless:
            plan_study([root / "configs/scale/smoke.yaml"], [], root)
            return
        with pytest.raises(UserError, match=r"configs/|config"):
            plan_study([], ["scale=smoke"], root)
    finally:
        path.write_text(text)
