"""The plan: cells, shards, identities; and what may change them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import yaml

from autoloss.data.manifest import write_manifest
from autoloss.errors import ClashError, ConfigError
from autoloss.methods.discover import discover
from autoloss.methods.options import inherited
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.groups import GROUPS
from autoloss.study.planned import notes
from autoloss.study.study import Study
from tests.interpreter import printed_by
from tests.tiny import ROOT, project_methods, tiny_manifest


def study(**overrides):
    return Study.load(overrides, ROOT)


def test_table_2_is_the_grid_of_all_its_methods():
    plan = study()
    methods = plan.table_methods("table_2")
    assert methods[:4] == ["focal", "kl", "hinge", "ce"]
    assert methods[-2:] == ["autoloss", "autoloss_ce"]  # both readings
    assert len(plan.cells("table_2")) == 2 * 2 * len(methods)


def test_ours_are_compared_with_every_other_method_and_once_with_each_other():
    plan = study()
    others = len(plan.table_methods("table_2")) - 2
    assert plan.ours("table_2") == plan.ours("table_3") == ["autoloss", "autoloss_ce"]
    assert plan.comparisons("table_2") == 4 * (2 * others + 1)
    assert plan.ours("figure_4") == ["autoloss", "autoloss_ce"]
    assert plan.comparisons("figure_3") == 3 * 2
    alone = study(statistics={"ours": ["autoloss"]})
    assert "autoloss_ce" not in alone.table_methods("table_2")
    assert alone.comparisons("table_2") == 4 * others


def test_a_study_may_be_about_another_method():
    """It stands last in every table, compared with the rest; AutoLoss is a method as any."""
    plan = study(statistics={"ours": ["l2rw"]})
    assert "l2rw" not in study().table_methods("table_2")
    assert "autoloss" in plan.table_methods("table_2")
    for table in ("table_2", "table_3", "controls", "table_2_full"):
        assert plan.ours(table) == ["l2rw"]
        assert plan.table_methods(table)[-1] == "l2rw"
        places = {(cell.dataset, cell.model) for cell in plan.cells(table)}
        assert plan.comparisons(table) == len(plan.cells(table)) - len(places)
    assert plan.table_methods("table_3") == ["al1", "l2rw"]  # no components of AutoLoss
    assert plan.frequencies() == {}
    assert {*plan.undrawn()} == {"figure_3", "figure_4"}  # it has no frozen controller, no `every`


def test_a_study_needs_autoloss_only_if_it_is_about_it():
    plan = study(study={"methods": ["ce", "al1", "darts"]}, statistics={"ours": ["darts"]})
    assert plan.table_methods("table_2") == ["ce", "darts"]
    assert plan.table_methods("table_3") == ["al1", "darts"]
    assert {cell.method for cell in plan.all_cells()} == {
        *("ce", "al1", "darts"),
        *(f"darts_every_{k}" for k in (1, 3, 10, 13)),  # 7 is its own
    }
    assert plan.frequencies() == {"darts": 7} | {f"darts_every_{k}": k for k in (1, 3, 10, 13)}
    assert plan.variants["darts_every_3"].over == {"methods": {"darts": {"every": 3}}}
    assert plan.settings("darts_every_3")["method"]["every"] == 3
    with pytest.raises(ConfigError, match=r"a frozen controller of DARTS(.|\n)*frozen='darts'"):
        plan.require("figure_3")
    with pytest.raises(
        ConfigError, match=r"is about AutoLoss(.|\n)*add autoloss to study\.methods"
    ):
        plan.require("sensitivity")


def test_a_frozen_controller_of_ours_is_what_figure_3_is_about():
    plan = study(statistics={"ours": ["slf"]})
    assert plan.ours("figure_3") == ["slf_frozen"]
    assert plan.comparisons("figure_3") == 3 * 2


def test_a_reading_claimed_alone_has_the_components_of_its_base():
    plan = study(statistics={"ours": ["autoloss_ce"]})
    assert plan.table_methods("table_3") == study().table_methods("table_3")
    assert plan.ours("table_3") == ["autoloss_ce"]


def test_table_3_is_on_the_component_data_sets():
    cells = study().cells("table_3")
    assert {cell.dataset for cell in cells} == {"ml100k-ctr"}
    assert {"al1", "al2", "autoloss"} <= {cell.method for cell in cells}


def test_figure_3_has_every_target_and_its_controllers_are_of_one_source():
    plan = study()
    cells = plan.cells("figure_3")
    assert [cell.method for cell in cells[:3]] == ["ce", "slf_frozen", "autoloss_frozen"]
    assert len(cells) == 3 * 3
    for name in ("slf", "autoloss"):
        sources = {plan.controller_of(cell) for cell in cells if cell.method == f"{name}_frozen"}
        assert sources == {Cell("ml100k-ctr", "deepfm", name)} <= {*plan.all_cells()}
    assert plan.controller_of(cells[0]) is None
    assert plan.ours("figure_3") == ["autoloss_frozen"]


def test_without_slf_figure_3_is_without_its_frozen_network():
    plan = study(study={"methods": ["ce", "autoloss"]})
    assert [cell.method for cell in plan.cells("figure_3")[:2]] == ["ce", "autoloss_frozen"]
    assert not plan.takes("slf_frozen")
    with pytest.raises(ConfigError, match=r"lacks 'slf'(.|\n)*add slf"):
        study(study={"methods": ["ce", "slf_frozen", "autoloss"]})


@pytest.mark.parametrize(
    ("scale", "unit"), [("smoke", "epoch"), ("laptop", "epoch"), ("paper", "step")]
)
def test_tau_falls_by_the_step_as_published_but_where_runs_are_short(scale, unit):
    plan = study(scale=scale)
    slope = {"step": 0.00005, "epoch": 0.91685}[unit]
    options = {name: plan.settings(name)["method"] for name in project_methods()}
    scheduled = {name: o for name, o in options.items() if "tau_slope" in o}
    assert {"autoloss", "al2", "autoloss_ce", "autoloss_frozen", "slf_frozen"} <= {*scheduled}
    for name, o in scheduled.items():
        assert (name, o["tau_unit"], o["tau_slope"]) == (name, unit, slope)
    assert plan.settings("autoloss_every_3")["method"]["tau_unit"] == unit


def test_it_holds_at_two_removes_too_whichever_of_the_bases_the_study_names():
    methods = discover()
    info = replace(methods["al2"].info, name="mine", base="al2", untuned={})
    methods = {**methods, "mine": replace(methods["al2"], info=info)}
    for chosen in (None, ["autoloss", "mine"], ["autoloss", "al2", "mine"]):
        assert inherited({"autoloss": {"every": 3}}, methods, chosen)["mine"] == {"every": 3}
    assert "mine" not in inherited({"autoloss": {"every": 3}}, methods, ["autoloss"])


def test_a_reading_that_changes_nothing_of_a_study_is_left_out():
    """At the paper scale tau falls by the step and batches are of 2000 anyway."""
    assert {*study(scale="paper").unread} == {"τ literal, by step", "batches of 2000"}
    assert not study().unread


def test_what_a_configuration_says_of_a_base_holds_for_what_is_based_on_it():
    """Defaults, the base's overrides, then the method's own options and its own overrides."""
    over = {"autoloss": {"every": 3, "criterion": "ce", "tau_floor": 0.1}}
    over |= {"autoloss_direct": {"criterion": "mixture", "every": 5}}
    plan, usual = study(methods=over), study()
    assert plan.settings("al2")["method"]["every"] == 3
    assert plan.settings("autoloss_ce")["method"]["criterion"] == "ce"  # its own
    direct = plan.settings("autoloss_direct")["method"]
    assert [direct[key] for key in ("every", "criterion", "tau_floor")] == [5, "mixture", 0.1]
    assert direct["hypergradient"] == "direct"
    cells = [Cell("ml100k-ctr", "deepfm", name) for name in ("al2", "autoloss_every_1", "ce")]
    changed = [identity.run_key(plan, c) != identity.run_key(usual, c) for c in cells]
    assert changed == [True, True, False]
    assert study(methods=plan.config.methods).config == plan.config


def test_a_reading_and_a_trial_change_their_own_method_alone():
    """Judged by cross-entropy, a method without a look-ahead could not be trained."""
    plan = study()
    assert plan.varied("autoloss_under_criterion_ce").settings("al2") == plan.settings("al2")
    tried = plan.with_assignment("autoloss", {"method.criterion": "ce"}, "trial 0")
    assert tried.settings("autoloss")["method"]["criterion"] == "ce"
    assert tried.settings("autoloss_direct")["method"]["criterion"] == "mixture"


@pytest.mark.parametrize(
    ("over", "domain"),
    [
        ({"scale": "laptop"}, ("log", 0.091685, 9.1685)),
        ({"scale": "paper"}, ("log", 0.000005, 0.0005)),
        ({"methods": {"autoloss": {"tau_slope": 0.0}}}, None),  # no multiple of it is another
    ],
)
def test_taus_slope_is_tuned_around_the_configurations(over, domain):
    space = study(protocol="tuned", **over).search_space("autoloss")
    found = space.get("method.tau_slope")
    assert found == (domain and (domain[0], *map(pytest.approx, domain[1:])))


def test_figure_4_has_every_frequency_once_and_its_options_are_the_variants():
    plan = study(methods={"autoloss": {"every": 3}})
    every = [
        identity.run_config(plan, cell)["method"]["every"]
        for cell in plan.cells("figure_4")
        if plan.base(cell.method) == "autoloss"
    ]
    assert sorted(every) == [1, 3, 7, 10, 13]
    assert len(plan.cells("figure_4")) == 8 + 4  # the usual frequency is a method's own cell
    assert plan.label("autoloss_every_7") == "AutoLoss (every = 7)"
    assert plan.plain("autoloss_every_2") == "autoloss_every_2"  # claims name what a study lacks
    assert plan.label("autoloss") == "AutoLoss"


def test_what_a_source_is_trained_with_changes_who_takes_its_controller():
    cell = Cell("adult", "deepfm", "autoloss_frozen")
    assert identity.run_key(study(), cell) != identity.run_key(
        study(methods={"autoloss": {"every": 3}}), cell
    )
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
        assert covered == list(range(100, 100 + seeds))


def test_a_run_is_rerun_for_what_can_change_it_and_nothing_else():
    cell, plan = Cell("ml100k", "ipnn", "autoloss"), study()
    key = identity.run_key(plan, cell)
    same = [
        {"study": {"seeds": 3}},
        {"training": {"device": "cpu", "threads": 2}},
        {"statistics": {"alpha": 0.01}},
        {"methods": {"al2": {"every": 3}}},
        {"methods": {"darts": {"every": 3}}},
        {"model": {"attention_layers": 2}},  # another model's
    ]
    other = [
        {"training": {"lr": 0.002}},
        {"methods": {"autoloss": {"every": 3}}},
        {"losses": {"focal_gamma": 1.0}},
        {"model": {"embedding_dim": 8}},
    ]
    assert all(identity.run_key(study(**overrides), cell) == key for overrides in same)
    assert all(identity.run_key(study(**overrides), cell) != key for overrides in other)
    assert identity.run_id(plan, cell, 0, "a") != identity.run_id(plan, cell, 1, "a")
    assert identity.run_id(plan, cell, 0, "a") != identity.run_id(plan, cell, 0, "b")


def test_an_option_of_one_loss_or_model_leaves_the_runs_of_the_others():
    plan = study()
    for keys, methods, models in (
        ({"losses": {"focal_gamma": 1.0}}, {"focal", "al1", "autoloss"}, {"deepfm", "autoint"}),
        ({"losses": {"kl_smoothing": 0.2}}, {"kl", "al1", "autoloss"}, {"deepfm", "autoint"}),
        ({"losses": {"hinge_on": "logit"}}, {"hinge", "al1", "autoloss"}, {"deepfm", "autoint"}),
        ({"model": {"attention_layers": 2}}, set(), {"autoint"}),
    ):
        other = study(**keys)
        for method in ("ce", "focal", "kl", "hinge", "hinge_logit", "al1", "autoloss"):
            for model in ("deepfm", "autoint"):
                cell = Cell("ml100k", model, method)
                moved = identity.run_key(plan, cell) != identity.run_key(other, cell)
                named = method in methods or "model" in keys
                assert moved == (named and model in models), (keys, cell)


def test_a_search_is_another_where_its_space_is_drawn_from_in_another_order(monkeypatch):
    """The sampler draws dimension by dimension."""
    plan, cell = study(protocol="tuned"), Cell("ml100k", "deepfm", "autoloss")
    key, space = identity.search_key(plan, cell), plan.search_space("autoloss")
    assert len(space) > 2
    turned = dict(reversed(space.items()))
    monkeypatch.setattr(Study, "search_space", lambda *_: turned)
    assert identity.search_key(plan, cell) != key


def test_options_of_losses_that_a_method_sets_are_laid_over_the_configuration():
    cell, hinge = Cell("ml100k", "deepfm", "hinge_logit"), Cell("ml100k", "deepfm", "hinge")
    plan, other = study(), study(losses={"hinge_on": "logit"})
    assert plan.config.losses.hinge_on == "probability"
    for of in (plan, other):
        assert identity.run_config(of, cell)["losses"]["hinge_on"] == "logit"
        tried = {"training.lr": 0.1}
        for laid in (of.varied("hinge_logit"), of.with_assignment("hinge_logit", tried, "test")):
            assert laid.config.losses.hinge_on == "logit"
    assert identity.run_key(plan, cell) == identity.run_key(other, cell)
    assert identity.run_config(plan, hinge)["losses"]["hinge_on"] == "probability"


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
    plan.prepared_folder("criteo", 0).mkdir(parents=True)
    write_manifest(plan.prepared_folder("criteo", 0), manifest)
    assert plan.is_the_papers(["criteo"]) == is_theirs
    assert not plan.is_the_papers(["criteo", "ml100k"])


def test_planning_imports_neither_torch_nor_pandas():
    """The Snakefile is parsed again in every cluster job."""
    code = (
        "import sys; from pathlib import Path; from autoloss.study import identity;"
        "from autoloss.study.study import Study;"
        "s = Study.load({}, Path('.')); [identity.run_key(s, c) for c in s.all_cells()];"
        "print([m for m in ('torch', 'pandas', 'polars', 'numpy') if m in sys.modules])"
    )
    assert printed_by(code) == "[]"


@pytest.mark.parametrize(
    ("keys", "reading"),
    [
        ({"hypergradient": "direct"}, "criterion_ce"),
        ({"xi_over_lr": 0.0}, "criterion_ce"),
        ({"criterion": "ce"}, "xi_zero"),
    ],
)
@pytest.mark.parametrize("methods", [None, ["ce", "autoloss"]])
def test_what_clashes_with_an_option_of_our_method_is_left_out(keys, reading, methods):
    """Judged by cross-entropy, a weighting without a look-ahead would learn nothing."""
    plan = study(study={"methods": methods}, methods={"autoloss": keys})
    assert plan.settings("autoloss")["method"].items() >= keys.items()
    assert reading not in {kept.name for kept in plan.sensitivity.readings}
    assert len(plan.unread) >= 1
    assert len(plan.sensitivity.readings) > 10
    derived = {"criterion_ce": "autoloss_ce", "xi_zero": "autoloss_direct"}[reading]
    assert not plan.takes(derived)
    assert (derived in plan.left_out) == (methods is None)
    said = " ".join(notes(plan))
    assert all(label in said for label in plan.unread)
    for method in plan.variants:
        plan.varied(method)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_the_study_of_a_run_has_what_was_planned_for_it(scale):
    """A reading that a run has is not one that it lacks because it is what the run has anyway."""
    plan = study(scale=scale)
    cells = (cell for group in GROUPS for cell in plan.cells(group))
    for cell in {cell.method: cell for cell in cells}.values():
        of_run = plan.varied(cell.method).with_assignment(cell.method, {}, "nothing")
        assert of_run.variants == plan.variants
        assert of_run.label(cell.method) == plan.label(cell.method)
        assert identity.run_key(of_run, cell) == identity.run_key(plan, cell)


def test_a_reading_of_other_candidates_has_the_key_that_its_run_has(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "sensitivity.yaml"
    readings = yaml.safe_load(file.read_text())
    few = {"losses": {"candidates": ["kl", "ce"]}}
    readings["readings"].append({"name": "few", "choice": "M1", "label": "few", "set": few})
    file.write_text(yaml.safe_dump(readings))
    plan, cell = Study.load({}, tmp_path), Cell("ml100k-ctr", "deepfm", "autoloss_under_few")
    of_run = plan.varied(cell.method).with_assignment(cell.method, {}, "nothing")
    assert identity.run_key(of_run, cell) == identity.run_key(plan, cell)
    assert identity.losses_of(plan, cell) == {"kl", "ce"}


def test_a_clash_of_what_is_named_is_refused():
    with pytest.raises(ClashError, match="autoloss_ce"):
        study(
            study={"methods": ["ce", "autoloss", "autoloss_ce"]},
            methods={"autoloss": {"hypergradient": "direct"}},
        )
