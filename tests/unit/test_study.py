"""The plan: cells, shards, identities; and what may change them."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoloss.data.manifest import write_manifest
from autoloss.errors import ConfigError
from autoloss.records.fingerprint import SEARCH, TRAINING, code_hash
from autoloss.study import Cell, Study
from tests.interpreter import printed_by
from tests.tiny import ROOT, tiny_manifest


def study(**overrides):
    return Study.load(overrides, ROOT)


def test_table_2_is_the_grid_of_all_its_methods():
    plan = study()
    methods = plan.table_methods("table_2")
    assert methods[:4] == ["focal", "kl", "hinge", "ce"]
    assert methods[-1] == "autoloss"
    assert len(plan.cells("table_2")) == 2 * 2 * len(methods)


def test_table_3_is_on_the_component_data_sets():
    cells = study().cells("table_3")
    assert {cell.dataset for cell in cells} == {"ml100k-ctr"}
    assert {"al1", "al2", "autoloss"} <= {cell.method for cell in cells}


def test_figure_3_has_every_target_and_its_controllers_are_of_one_source():
    plan = study()
    cells = plan.cells("figure_3")
    assert [cell.method for cell in cells[:3]] == ["ce", "slf", "autoloss_frozen"]
    assert len(cells) == 3 * 3
    sources = {plan.controller_of(cell) for cell in cells if cell.method == "autoloss_frozen"}
    assert sources == {Cell("ml100k-ctr", "deepfm", "autoloss")}
    assert plan.controller_of(cells[0]) is None
    assert plan.ours("figure_3") == "autoloss_frozen"


def test_figure_4_has_every_frequency_once_and_its_options_are_the_variants():
    plan = study(methods={"autoloss": {"every": 3}})
    every = [
        plan.run_config(cell)["method"]["every"]
        for cell in plan.cells("figure_4")
        if plan.base(cell.method) == "autoloss"
    ]
    assert sorted(every) == [1, 3, 7, 10, 13]
    assert len(plan.cells("figure_4")) == 5 + 4  # the usual frequency is a method's own cell
    assert plan.label("autoloss_every_7") == "AutoLoss (every = 7)"
    assert plan.label("autoloss") == "AutoLoss"


def test_what_a_source_is_trained_with_changes_who_takes_its_controller():
    cell = Cell("adult", "deepfm", "autoloss_frozen")
    assert study().run_key(cell) != study(methods={"autoloss": {"every": 3}}).run_key(cell)
    assert "autoloss_frozen" not in study().table_methods("table_2_full")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"source": {"dataset": "ml100k-crt", "model": "deepfm"}}, "did you mean 'ml100k-ctr'"),
        ({"targets": [{"dataset": "adult", "model": "nfn"}]}, "did you mean 'nfm'"),
        ({"targets": [{"dataset": "adult"}]}, "model"),
        ({"frequencies": [0]}, "frequencies"),
    ],
)
def test_a_wrong_pair_or_frequency_is_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        study(study=keys)


def test_shards_cover_every_seed_once():
    for seeds, step in ((12, 12), (12, 5), (1, 3), (7, 1)):
        shards = study(study={"seeds": seeds, "seeds_per_job": step}).shards()
        covered = [seed for first, last in shards for seed in range(first, last + 1)]
        assert covered == list(range(seeds))


def test_a_run_is_rerun_for_what_can_change_it_and_nothing_else():
    cell, plan = Cell("ml100k", "ipnn", "autoloss"), study()
    key = plan.run_key(cell)
    same = [
        {"study": {"seeds": 3}},
        {"training": {"device": "cpu", "threads": 2}},
        {"statistics": {"alpha": 0.01}},
        {"methods": {"al2": {"every": 3}}},
    ]
    other = [
        {"training": {"lr": 0.002}},
        {"methods": {"autoloss": {"every": 3}}},
        {"losses": {"focal_gamma": 1.0}},
        {"model": {"embedding_dim": 8}},
    ]
    assert all(study(**overrides).run_key(cell) == key for overrides in same)
    assert all(study(**overrides).run_key(cell) != key for overrides in other)
    assert plan.run_id(cell, 0, "a") != plan.run_id(cell, 1, "a")
    assert plan.run_id(cell, 0, "a") != plan.run_id(cell, 0, "b")


@pytest.mark.parametrize(
    ("keys", "mirror", "is_theirs"),
    [
        ({}, "https://example.org/criteo.tar.gz", True),
        ({}, "generated, seed 0", False),
        ({"study": {"max_rows": 1000}}, "https://example.org/criteo.tar.gz", False),
        ({"scale": "laptop"}, "https://example.org/criteo.tar.gz", False),
    ],
)
def test_only_all_of_the_real_data_at_the_papers_scale_are_the_papers(
    tmp_path, monkeypatch, keys, mirror, is_theirs
):
    plan = Study.load({"scale": "paper", **keys}, ROOT)
    monkeypatch.chdir(tmp_path)
    assert not plan.is_the_papers(["criteo"])  # nothing is prepared
    manifest = tiny_manifest("criteo", 2, 460, {}).model_copy(update={"mirror": mirror})
    plan.prepared_folder("criteo").mkdir(parents=True)
    write_manifest(plan.prepared_folder("criteo"), manifest)
    assert plan.is_the_papers(["criteo"]) == is_theirs
    assert not plan.is_the_papers(["criteo", "ml100k"])


def test_comments_and_docstrings_do_not_change_the_code_hash(tmp_path):
    file = tmp_path / "code.py"

    def hashed(text):
        file.write_text(text)
        return code_hash([file])

    base = hashed('"""Doc."""\n\ndef f(x):\n    """Doc."""\n    return x + 1\n')
    assert (
        hashed('"""Other."""\n\n\ndef f(x):\n    """Word."""\n    # why\n    return x + 1\n')
        == base
    )
    assert hashed('"""Doc."""\n\ndef f(x):\n    """Doc."""\n    return x + 2\n') != base


# Modules that training imports and a run's identity leaves out, with what stands for them there.
ELSEWHERE = {
    "config.py": "its values",
    "registry.py": "the options by value, the method's file",
    "data/manifest.py": "the data's hash",
    "data/registry.py": "the data's hash",
    "data/atomic.py": "only writes files",
    "records/schema.py": "only keeps what it is given",
    "records/store.py": "only keeps what it is given",
    "errors.py": "only says what went wrong",
    "faults.py": "what stops a job",
    "strict.py": "only refuses",
    "autoloss.py": "a method, whose file is hashed with its runs",
}


def test_no_module_that_could_change_a_number_is_missing_from_a_runs_identity():
    code = (
        "import sys; import autoloss.training.loop; from autoloss.registry import discover, load;"
        "[load(name) for name in discover()];"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('autoloss.')))"
    )
    package = ROOT / "autoloss"
    imported = {Path(file).relative_to(package) for file in printed_by(code).split()}
    hashed = {file.relative_to(package) for p in TRAINING + SEARCH for file in package.glob(p)}
    left_out = {str(file) for file in imported - hashed if file.name != "__init__.py"}
    assert left_out == set(ELSEWHERE), (
        "list it in TRAINING (autoloss/records/fingerprint.py) or here"
    )
    assert Path("adam.py") in imported & hashed


def test_planning_imports_neither_torch_nor_pandas():
    """The Snakefile is parsed again in every cluster job."""
    code = (
        "import sys; from pathlib import Path; from autoloss.study import Study;"
        "s = Study.load({}, Path('.')); [s.run_key(c) for c in s.all_cells()];"
        "print([m for m in ('torch', 'pandas', 'polars', 'numpy') if m in sys.modules])"
    )
    assert printed_by(code) == "[]"
