"""The design of where loss search pays: what it runs, what it costs, and what is wrong with it."""

from __future__ import annotations

import re
import shutil

import pytest
import yaml

from autoloss.errors import ConfigError
from autoloss.methods.discover import discover
from autoloss.plan.costs import COSTS, choose_device, load_costs, load_devices
from autoloss.plan.estimate import make_plan
from autoloss.plan.training import Resources, Training
from autoloss.significance import can_be_significant
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.planned import notes, plan_study
from autoloss.study.planned_regimes import check_regimes
from autoloss.study.regimes import CLEAN_PART, load_regimes
from autoloss.study.study import Study
from tests.tiny import ROOT

PLAN = Study.load({}, ROOT)
DESIGN = PLAN.regimes
FILE = "configs/regimes.yaml"


def test_no_cell_is_there_twice_and_every_change_fits():
    cells = PLAN.cells("regimes")
    assert len(cells) == len(set(cells)) > 150
    assert not PLAN.misfits
    assert not {*cells} & ({*PLAN.all_cells()} - {c for c in cells if "_at_" not in c.dataset})


def test_every_cell_can_be_identified_and_is_another_run_than_its_unchanged_method():
    keys = {cell: identity.run_key(PLAN, cell) for cell in PLAN.cells("regimes")}
    assert len({*keys.values()}) == len(keys)
    for cell in keys:
        plain = Cell(cell.dataset, cell.model, PLAN.base(cell.method))
        if plain != cell:
            changed, usual = (identity.run_config(PLAN, c) for c in (cell, plain))
            assert changed != usual, cell


def test_each_point_has_cross_entropy_and_its_clean_part_is_a_data_set_without_the_flips():
    for point in DESIGN.points:
        run = DESIGN.run_at(point)
        assert "ce" in run
        assert (CLEAN_PART in run) == (point.noise is not None)
        if point.noise:
            noisy = PLAN.dataset(point.dataset).derived
            clean = PLAN.dataset(DESIGN.cell_of(point, CLEAN_PART).dataset).derived
            assert clean.flips == noisy.flips.model_copy(update={"dropped": True})
            assert (clean.rows, clean.seed, clean.base) == (noisy.rows, noisy.seed, noisy.base)


def test_every_change_is_run_and_most_are_what_a_prediction_is_about():
    run = set(DESIGN.named())
    made = {name for change in DESIGN.changes for name in change.variants()}
    assert made <= run
    about = {name for p in DESIGN.predictions for e in p.expect for name in (e.of, e.over)}
    pairs = {*DESIGN.sets["pairs"], *DESIGN.sets["regional"], *DESIGN.sets["ranks"]}
    assert made - about <= pairs | {*DESIGN.sets["ranked"]}


def test_the_axes_are_those_that_were_asked_for():
    noise = {(p.noise.where, p.noise.share) for p in DESIGN.points if p.noise}
    assert {s for w, s in noise if w == "region"} >= {0.05, 0.1, 0.2, 0.3, 0.4}
    assert {s for w, s in noise if w == "everywhere"} >= {0.05, 0.1, 0.2, 0.3, 0.4}
    assert {p.positives for p in DESIGN.points} >= {0.5, 0.25, 0.1, 0.02}
    assert {p.rows for p in DESIGN.points} >= {10_000, 100_000, 300_000}
    assert {p.data for p in DESIGN.points} == {"clicks", "ml100k-ctr", "adult"}
    assert any(p.noise and "validation" in p.noise.parts for p in DESIGN.points)


def test_predictions_can_be_shown_at_all_with_the_seeds_that_there_are():
    assert can_be_significant(PLAN.config.study.seeds, len(DESIGN.predictions))
    points = len(DESIGN.points)  # a family of the map is one method's
    assert can_be_significant(PLAN.config.study.seeds, points)


def test_it_moves_no_key_of_what_was_there_and_all_does_without_it(monkeypatch, tmp_path):
    """A project without the file has the very same studies, and no regimes."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / FILE).unlink()
    without = Study.load({}, tmp_path)
    assert without.cells("regimes") == []
    assert without.all_cells() == PLAN.all_cells()
    for cell in PLAN.all_cells()[::7]:
        assert identity.run_key(without, cell) == identity.run_key(PLAN, cell)
    assert identity.preparation_key(without, "adult") == identity.preparation_key(PLAN, "adult")


def test_a_study_of_few_methods_has_the_points_cells_of_these_alone():
    few = Study.load({"study": {"methods": ["ce", "autoloss"]}}, ROOT)
    assert {few.base(cell.method) for cell in few.cells("regimes")} == {"ce", "autoloss"}
    # With grid named, five candidates would need more trials than there are: these are left out.
    named = {"methods": ["ce", "grid", "autoloss"]}
    grid = Study.load({"scale": "smoke", "study": named}, ROOT)
    assert "autoloss_under_small_ce" in grid.misfits
    assert "autoloss_under_small_ce" not in {cell.method for cell in grid.cells("regimes")}
    assert "autoloss_under_xi_10" in {cell.method for cell in grid.cells("regimes")}
    # Four weights are not those of three candidates.
    three = Study.load({"losses": {"candidates": ["focal", "hinge", "ce"]}}, ROOT)
    assert "methods.constant.weights is [" in three.misfits["constant_under_hinge_inside"]
    assert any("regimes does without constant_under" in note for note in notes(three))
    assert not any("regimes" in note for note in notes(PLAN))
    without = Study.load({"study": {"methods": ["kl", "autoloss"]}}, ROOT)
    assert "regimes has no gains: they are over ce, which study.methods has not." in notes(without)


def test_the_plan_counts_its_runs_and_hours_before_anything_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    devices = load_devices(ROOT)
    use = Resources(2, 0, 1, choose_device(devices, None, 0))
    training = Training(PLAN, devices, load_costs(ROOT / COSTS), use, groups=("regimes",))
    found = make_plan(training)
    assert found["wall_hours"].guess < 1.25  # real runs have taken 1.6 times the guess: two hours
    assert found["runs"] == len(PLAN.cells("regimes")) * 12
    assert found["target"] == "regimes"
    assert [group["runs_of"] for group in found["groups"]] == ["regimes"]
    searches = [c for c in PLAN.cells("regimes") if PLAN.searches(c)]
    stages = {stage["stage"]: stage["jobs"] for stage in found["stages"]}
    assert stages["search"] == len(searches)
    assert stages["train"] == len(PLAN.cells("regimes"))
    names = {cell.dataset for cell in PLAN.cells("regimes")}
    assert stages["prepare"] == len(names | {"clicks"})  # the base is in no cell of its own
    rows = {data["data_set"]: data["rows"] for data in found["data"]}
    assert rows["clicks_at_rows_10k"] == 10_000
    assert {*found["downloads"]} == {
        "adult",
        "movielens-100k",
    }  # clicks are made up, not downloaded


@pytest.fixture
def project(tmp_path):
    """A copy of the configuration; `spoil(change)` changes the design in it."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")

    def spoil(change):
        file = tmp_path / FILE
        content = yaml.safe_load(file.read_text())
        change(content)
        file.write_text(yaml.safe_dump(content, allow_unicode=True))
        return load_regimes(tmp_path, discover())

    return spoil


def first(content, part, name):
    return next(entry for entry in content[part] if entry["name"] == name)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda c: c.update(pionts=[]), ["'pionts'", "did you mean 'points'"]),
        (lambda c: c.update(model="deepfn"), ["key 'model'", "did you mean 'deepfm'"]),
        (lambda c: c["points"][0].update(rows=3), ["points.0.rows", "10"]),
        (
            lambda c: c["points"][1]["noise"].update(parts=["test"]),
            ["points.1.noise.parts.0", "known: train, validation"],
        ),
        (
            lambda c: c["points"].append(c["points"][0]),
            ["key 'points.28.name'", "points has clean twice", "another name"],
        ),
        (
            lambda c: c["points"].append({**c["points"][0], "name": "again", "methods": ["ce"]}),
            ["key 'points.28.name'", "does what clean does", "name its methods there"],
        ),
        (
            lambda c: c["changes"][1].update(label="ranking alone"),
            ["key 'changes.1.label'", "ranking and ce_ranking have one label", "another label"],
        ),
        (
            lambda c: c["points"][0].update(methods=["autoloss"]),
            ["points.clean.methods: lacks ce", "add ce"],
        ),
        (
            lambda c: c["points"][0].update(methods=["evry"]),
            ["points.clean.methods", "did you mean 'every'"],
        ),
        (
            lambda c: c["points"][22].update(positives=0.5),
            ["key 'points.22.positives'", "share among `rows`", "add rows"],
        ),
        (
            lambda c: c["points"][0].update(methods=["ce", "autolos"]),
            ["points.clean.methods", "did you mean 'autoloss'"],
        ),
        (
            lambda c: c["points"][0]["methods"].append("clean_part"),
            ["points.clean.methods", "flips no label", "take clean_part out"],
        ),
        (
            lambda c: c["regions"].pop("adult"),
            [
                "regions: has none of adult, which the point adult_region_40 needs",
                "add `adult: {field: ..., ids: [...]}`",
            ],
        ),
        (lambda c: c["sets"].update(ce=["ce"]), ["key 'sets'", "is a method"]),
        (lambda c: c["sets"]["meta"].append("l2rv"), ["sets.meta", "did you mean 'l2rw'"]),
        (
            lambda c: c["changes"][0].update(methods=["constnt"]),
            ["changes.ranking.methods", "did you mean 'constant'"],
        ),
        (
            lambda c: first(c, "changes", "xi_10").update(name="xi_150"),
            ["autoloss_under_xi_150", "another name"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].update(below=0.9),
            ["key 'predictions.0.expect.0.below'", "one can be tested", "leave one out"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].pop("above"),
            ["key 'predictions.0.expect.0'", "could not fail", "add one"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].update(over="ce"),
            ["key 'predictions.0.expect.0.over'", "candidate of a weight", "leave one out"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].pop("candidate"),
            ["key 'predictions.0.expect.0'", "does not say of what", "add over"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].update(metric="auc"),
            ["key 'predictions.0.expect.0.metric'", "weight has none", "leave it out"],
        ),
        (
            lambda c: first(c, "predictions", "headroom")["expect"][0].update(of="ce"),
            ["expect.0.over'", "compared with itself"],
        ),
        (
            lambda c: first(c, "predictions", "headroom")["expect"][0].update(than="region_20"),
            ["expect.0.than'", "compared with itself"],
        ),
        (
            lambda c: first(c, "predictions", "headroom")["expect"][0].update(than="region_15"),
            ["predictions.headroom, key 'than'", "did you mean 'region_10'"],
        ),
        (
            lambda c: first(c, "predictions", "headroom")["expect"][0].update(over="cee"),
            ["predictions.headroom, key 'over'", "did you mean 'ce'"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].update(at=["claen"]),
            ["predictions.smallest_value", "did you mean 'clean'"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].update(candidate="focl"),
            ["candidate", "did you mean 'focal'"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].update(of="bohb"),
            ["key 'of'", "bohb, which is not run at clean", "add it to the methods of clean"],
        ),
    ],
)
def test_a_mistake_names_file_key_and_mend(project, change, parts):
    with pytest.raises(ConfigError) as caught:
        project(change)
    for part in ["regimes.yaml", *parts]:
        assert part in str(caught.value)


def setting(name, over):
    return lambda content: first(content, "changes", name).update(set=over)


CONSTANT = {"weights": [0.0, 0.0, 0.0, 1.0], "inside": [0.0, 0.0, 1.0, 0.0]}
SEGMENT, DIRECT = {"field": "segment"}, {"hypergradient": "direct"}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        # A change sets what there is not.
        (
            setting("xi_10", {"methods": {"autoloss": {"xi_over_lrr": 10.0}}}),
            ["changes.xi_10.set: methods.autoloss.xi_over_lrr", "did you mean 'xi_over_lr'"],
        ),
        (
            setting("xi_10", {"methods": {"autolos": {"xi_over_lr": 10.0}}}),
            ["changes.xi_10.set", "there is no method 'autolos'", "did you mean 'autoloss'"],
        ),
        (
            setting("by_chance", {"losses": {"normalize": "chance"}}),
            ["changes.by_chance.set", "losses.normalize", "did you mean 'normalise'"],
        ),
        (
            setting("ranking", {"methods": {"constant": {"weights": [0.5, 0.5]}}}),
            ["changes.ranking.set: methods.constant.weights", "give 4 weights"],
        ),
        # It changes nothing: another method's option, or one without effect.
        (
            setting("each_step", {"methods": {"autoloss": {"every": 1}}}),
            ["changes.each_step.set: changes nothing of autoloss_ce", "autoloss_ce out of"],
        ),
        (
            setting(
                "xi_10", {"methods": {"autoloss": {"hypergradient": "direct", "xi_over_lr": 9.0}}}
            ),
            ["changes.xi_10.set: xi_over_lr of autoloss has no effect", "leave xi_over_lr out"],
        ),
        # A region, or a field, is none of the data set.
        (
            lambda c: c["regions"]["adult"].update(field="sexx"),
            ["regions: there is no field of adult 'sexx'", "did you mean 'sex'"],
        ),
        (
            lambda c: c["regions"]["clicks"].update(ids=[4]),
            ["regions: names the ids [4] of segment of clicks", "to 3"],
        ),
        (
            lambda c: c["regions"].update(clickz=c["regions"]["clicks"]),
            ["regions: there is no data set 'clickz'", "did you mean 'clicks'"],
        ),
        (
            lambda c: first(c, "points", "ml_region_40")["methods"].append("regional"),
            [
                "points.ml_region_40.methods, constant_under_hinge_inside",
                "there is no field of ml100k-ctr 'segment'",
            ],
        ),
        (
            setting(
                "half_inside",
                {"methods": {"constant": CONSTANT | {"field": "segment", "ids": [7]}}},
            ),
            ["constant_under_half_inside: names the ids [7] of segment of clicks", "to 3"],
        ),
        (
            setting("half_inside", {"methods": {"constant": CONSTANT | SEGMENT}}),
            ["constant_under_half_inside: names the ids [] of segment of clicks", "one or more"],
        ),
        # What a point asks cannot be made of its data set.
        (
            lambda c: c["points"].append(NOISY | {"name": "five", "data": "ml100k"}),
            ["points.five.data: ml100k has 5 classes", "two classes"],
        ),
        # A prediction about a weight that is given, or that there is not.
        (
            lambda c: c["predictions"][0]["expect"][0].update(of="ce"),
            ["predictions.smallest_value.expect.0.of", "cannot fail", "learns or searches"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].update(of="clean_part", at=["region_20"]),
            ["predictions.smallest_value.expect.0.of", "weights of clean_part are given"],
        ),
        (
            lambda c: c["predictions"][0]["expect"][0].update(candidate="ranking"),
            [
                "predictions.smallest_value.expect.0.candidate",
                "there is no candidate of autoloss 'ranking'",
                "known: ce, focal, hinge, kl",
            ],
        ),
    ],
)
def test_what_no_run_of_the_design_could_do_is_refused_when_it_is_planned(
    project, tmp_path, change, parts
):
    project(change)
    with pytest.raises(ConfigError) as caught:
        plan_study([], [], tmp_path)
    for part in ["regimes.yaml", *parts]:
        assert part in str(caught.value)


def test_what_a_users_own_candidates_do_not_allow_of_the_design_is_no_mistake():
    study = plan_study([], ["losses={'candidates': ['hinge', 'kl', 'ce']}"], ROOT)
    assert "constant_under_hinge_inside" in study.misfits
    assert "autoloss_under_small_ce" not in study.misfits


NOISY = {"data": "clicks", "noise": {"share": 0.2, "where": "everywhere"}, "methods": ["ce"]}


@pytest.mark.parametrize(
    ("added", "parts"),
    [
        # The clean part of one, and a point by that name.
        (
            [
                NOISY | {"name": "a", "methods": ["ce", "clean_part"]},
                NOISY | {"name": "a_clean", "rows": 9000},
            ],
            ["points.a_clean.name", "clicks_at_a_clean", "the point a makes", "another name"],
        ),
        (
            [
                NOISY | {"name": "a_clean", "rows": 9000},
                NOISY | {"name": "a", "methods": ["ce", "clean_part"]},
            ],
            ["points.a.name", "clicks_at_a_clean", "the point a_clean makes", "another name"],
        ),
        # A data set with a file of its own.
        (
            [NOISY | {"name": "own"}],
            ["points.own.name", "clicks_at_own, which is described by itself", "another name"],
        ),
        ([NOISY | {"name": "b", "data": "clickz"}], ["points.b.data", "did you mean 'clicks'"]),
        (
            [NOISY | {"name": "b", "data": "clickz", "noise": {"share": 0.2, "where": "region"}}],
            ["points.b.data", "did you mean 'clicks'"],
        ),
    ],
)
def test_no_point_takes_the_place_of_another_data_set(project, tmp_path, added, parts):
    text = (tmp_path / "configs" / "datasets" / "clicks.yaml").read_text()
    own = text.replace("name: clicks", "name: clicks_at_own", 1)
    (tmp_path / "configs" / "datasets" / "clicks_at_own.yaml").write_text(own)
    with pytest.raises(ConfigError) as caught:
        project(lambda content: content["points"].extend(added))
    for part in ["regimes.yaml", *parts]:
        assert part in str(caught.value)


def test_a_point_may_end_like_a_clean_part_where_there_is_none(project):
    both = [NOISY | {"name": "a"}, NOISY | {"name": "a_clean", "rows": 9000}]
    design = project(lambda content: content["points"].extend(both))
    a, clean = design.point("a"), design.point("a_clean")
    assert design.cell_of(clean, "ce").dataset == "clicks_at_a_clean"
    assert not design.datasets["clicks_at_a_clean"].flips.dropped
    assert design.cell_of(a, "ce") != design.cell_of(clean, "ce")


def test_an_entry_is_all_that_a_point_takes(project, tmp_path):
    entry = {"name": "more", "data": "adult", "methods": ["ce", "autoloss"], "rows": 5000}
    entry["noise"] = {"share": 0.4, "where": "everywhere"}
    project(lambda content: content["points"].append(entry))
    study = Study.load({}, tmp_path)
    cells = [cell for cell in study.cells("regimes") if cell.dataset == "adult_at_more"]
    assert [cell.method for cell in cells] == ["ce", "autoloss"]
    assert study.dataset("adult_at_more").derived.flips.share == 0.4
    assert "adult_at_more" in study.known_datasets


def test_what_the_recipe_shows_is_an_entry_of_this_design_as_it_is(project, tmp_path):
    text = (ROOT / "docs" / "extending.md").read_text().split("## A point of the map")[1]
    blocks = re.findall(r"^```yaml\n(.*?)^```", text.split("\n## ")[0], re.M | re.S)
    (point, change), (prediction,) = map(yaml.safe_load, blocks)
    point["methods"].append("autoloss_ce_under_slow")

    def add(content):
        for part, entry in (("points", point), ("changes", change), ("predictions", prediction)):
            content[part].append(entry)

    project(add)
    study = plan_study([], [], tmp_path)
    assert Cell("adult_at_adult_everywhere_20", "deepfm", "autoloss_ce_under_slow") in (
        study.cells("regimes")
    )
    assert not study.misfits
    # "Does not gain" is of what this many seeds can show, as in all predictions of the design.
    bounds = {e.below for p in DESIGN.predictions for e in p.expect if e.over and e.below}
    assert {entry["below"] for entry in prediction["expect"]} == bounds == {0.005}


def test_losses_of_pairs_are_refused_where_a_data_set_has_more_classes():
    over = {"losses": {"candidates": ["focal", "kl", "hinge", "ce", "ranking"]}}
    for datasets, refused in ((["ml100k-ctr"], False), (["ml100k"], True)):
        arguments = [f"losses={over['losses']}", f"study={{'datasets': {datasets}}}"]
        if refused:
            with pytest.raises(ConfigError, match=r"ranking, which is for two classes; ml100k"):
                plan_study([], arguments, ROOT)
        else:
            plan_study([], arguments, ROOT)


def test_what_else_the_configuration_says_makes_no_change_a_mistake(project, tmp_path):
    """A search too short for five candidates: such changes are left out, with a note."""
    file = tmp_path / "configs" / "default.yaml"
    file.write_text(file.read_text().replace("trials: 11", "trials: 5"))
    study = Study.load({}, tmp_path)
    assert study.config.tuning.trials == 5
    check_regimes(study)
