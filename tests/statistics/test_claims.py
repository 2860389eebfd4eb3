"""From claims and records to verdicts: planted records, plain SciPy, and files with mistakes."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from autoloss.claims.judge import judge
from autoloss.claims.products import write_verdicts
from autoloss.claims.rules import DIRECTION, INCONCLUSIVE, NOT, REPRODUCED, UNASSESSABLE
from autoloss.claims.schema import claimed_groups, load_claims
from autoloss.claims.verdicts import read_verdicts
from autoloss.cli import app
from autoloss.errors import ConfigError, RecordError
from autoloss.report.html import write_report
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT

SIZE = 0.001  # the minimum effect of the examples
CLAIM = {
    **{"id": "beats", "sentence": "AutoLoss beats CE and SLF", "origin": "paper"},
    **{"family": "all", "groups": ["table_2"], "data": ["Criteo"], "models": ["deepfm"]},
    **{"methods": ["autoloss"], "others": ["ce", "slf"], "metrics": ["auc"]},
    "minimum": {"effects": {"auc": SIZE, "logloss": SIZE, "passes": 0.1}, "why": "ours"},
}

# --- from records to verdicts -----------------------------------------------------------------


def registry(tmp_path, *claims, families=("all",)):
    """The registry of a project with these claims."""
    folder = tmp_path / "configs"
    folder.mkdir(exist_ok=True)
    content = {"families": dict.fromkeys(families, ""), "claims": list(claims)}
    (folder / "claims.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(ROOT / "configs" / "published.yaml", folder)
    return load_claims(tmp_path)


def planted(gains, *, n=12, seed=0, noise=SIZE):
    """An index in which AutoLoss is better than each other method by so many minimum effects."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0.8, 0.01, n)
    methods = {"autoloss": 0.0, **{m: -gain * SIZE for m, gain in gains.items()}}
    rows = []
    for method, effect in methods.items():
        auc = level + effect + rng.normal(0, noise / np.sqrt(2), n)
        for s in range(n):
            rows.append(
                {"dataset": "ml100k-ctr", "model": "deepfm", "method": method, "seed": s}
                | {"status": "ok", "run_id": f"{method}-{s}", "auc": auc[s], "logloss": 1 - auc[s]}
            )
    return pd.DataFrame(rows)


def judged(tmp_path, index, claim=CLAIM):
    (found,) = judge(tiny_study(), registry(tmp_path, claim), {"table_2": index}).claims
    return found


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ({"ce": 4, "slf": 4}, REPRODUCED),
        ({"ce": 4, "slf": -4}, NOT),
        ({"ce": -4, "slf": -4}, NOT),
    ],
)
def test_planted_records_get_the_right_verdict_and_the_weakest_decides(tmp_path, gains, verdict):
    for seed in range(5):
        found = judged(tmp_path, planted(gains, seed=seed))
        assert found.verdict == verdict
        assert found.rows[found.decider].other == min(
            gains, key=lambda m: next(row.gain for row in found.rows if row.other == m)
        )


def test_a_row_is_plain_scipy(tmp_path):
    index = planted({"ce": 0.5, "slf": 4})
    rows = {row.other: row for row in judged(tmp_path, index).rows}
    values = index.pivot(index="seed", columns="method", values="auc")
    p = {}
    for other, row in rows.items():
        d = (values["autoloss"] - values[other]).to_numpy()
        p[other] = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        below = stats.permutation_test(
            (d - SIZE,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="less"
        ).pvalue
        above = stats.permutation_test(
            (d + SIZE,),
            np.mean,
            permutation_type="samples",
            n_resamples=np.inf,
            alternative="greater",
        ).pvalue
        assert (row.n, row.gain) == (12, pytest.approx(d.mean()))
        assert row.p == pytest.approx(p[other])
        assert row.p_below == pytest.approx(below)
        assert row.p_equivalence == pytest.approx(max(below, above))
        assert row.p_t == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    corrected = multipletests(list(p.values()), method="holm")[1]
    assert [row.p_holm for row in rows.values()] == pytest.approx(list(corrected))


def test_failed_runs_and_holes_are_not_assessable_and_never_dropped(tmp_path):
    index = planted({"ce": 4, "slf": 4})
    failed = (index["method"] == "slf") & (index["seed"] == 3)
    index.loc[failed, ["status", "auc"]] = ["failed", np.nan]
    found = judged(tmp_path, index)
    assert (found.verdict, found.counts) == (UNASSESSABLE, {REPRODUCED: 1, UNASSESSABLE: 1})
    row = found.rows[1]
    assert (row.other, row.n, row.detail, row.gain, row.p) == ("slf", 11, "failed runs", None, None)
    assert found.rows[0].comparisons == 1  # no test was made of the other
    with pytest.raises(RecordError, match=r"unpaired seeds \[3\]"):
        judged(tmp_path, index[~failed])


def test_what_is_missing_is_said(tmp_path):
    index = planted({"ce": 4, "slf": 4})
    for claim, reason in (
        ({"data": ["Avazu"]}, "missing: no data set here stands for Avazu"),
        ({"others": ["al1"]}, "missing: no runs of al1 on ml100k-ctr/deepfm"),
        ({"models": ["nfm"]}, "missing: no runs of autoloss and ce on ml100k-ctr/nfm"),
        ({"groups": ["figure_3"]}, "missing: nothing of figure_3 has been run"),
        ({"protocol": "tuned"}, "other protocol: asks for the tuned one"),
    ):
        found = judged(tmp_path, index, CLAIM | claim)
        assert found.verdict == UNASSESSABLE
        assert found.rows[0].detail == reason
        assert found.tolerance == ""


def test_costs_are_ratios_and_searches_count(tmp_path):
    index = planted({"ce": 4, "slf": 4})
    ours = index["method"] == "autoloss"
    for column in ("forward_examples", "backward_examples"):
        index[column] = np.where(ours, 100, 150)
        index[f"search_{column}"] = np.where(ours, 0, 50)
    (row, _) = judged(tmp_path, index, CLAIM | {"metrics": ["passes"]}).rows
    assert row.gain == pytest.approx(np.log(400 / 200))
    assert (row.low, row.high, row.sd, row.power) == (row.gain, row.gain, 0, 1)
    assert row.p == 2**-11


def test_tolerance_and_under_power_are_said(tmp_path):
    found = judged(tmp_path, planted({"ce": 3, "slf": 3}))
    assert (found.at_half, found.verdict, found.at_twice) == (REPRODUCED,) * 3
    assert found.tolerance == "the same at half and twice"
    moved = judged(tmp_path, planted({"ce": 1.2, "slf": 3}, noise=0.2 * SIZE))
    assert moved.tolerance == f"half: {REPRODUCED}; twice: {DIRECTION}"
    noisy = judged(tmp_path, planted({"ce": 0, "slf": 0}, noise=20 * SIZE, seed=1))
    assert (noisy.verdict, noisy.detail) == (INCONCLUSIVE, "under-powered")
    assert noisy.rows[0].power < 0.05
    assert noisy.rows[0].seeds_needed > 1000


def test_metrics_beside_are_shown_and_not_judged(tmp_path):
    found = judged(tmp_path, planted({"ce": 4, "slf": 4}), CLAIM | {"beside": ["logloss"]})
    beside = found.rows[2:]
    assert [row.metric for row in beside] == ["logloss", "logloss"]
    assert all(row.p == 2**-11 and row.p_holm is None and not row.verdict for row in beside)
    assert sum(found.counts.values()) == 2


def test_pooled_is_the_mean_over_cells_paired_by_seed(tmp_path):
    parts = [planted({"ce": 4, "slf": 1}, seed=1), planted({"ce": 2, "slf": -1}, seed=2)]
    parts[1] = parts[1].assign(model="ipnn", run_id=parts[1]["run_id"] + "-ipnn")
    found = judged(tmp_path, pd.concat(parts), CLAIM | {"models": ["deepfm", "ipnn"]})
    gains = [p.pivot(index="seed", columns="method", values="auc") for p in parts]
    cells = np.stack([g["autoloss"] - g["slf"] for g in gains])
    slf = found.pooled[1]
    assert (slf.other, slf.cells, slf.datasets, slf.n, slf.positive) == ("slf", 2, 1, 12, 1)
    assert slf.gain == pytest.approx(cells.mean())
    assert (slf.smallest, slf.largest) == pytest.approx(sorted(cells.mean(axis=1)))
    assert slf.spread == pytest.approx(cells.mean(axis=1).std(ddof=1))
    assert slf.low < slf.gain < slf.high
    assert slf.improvement == pytest.approx((cells > 0).mean())
    t = stats.t(11, cells.mean(), stats.sem(cells.mean(axis=0)))
    assert slf.posterior_above == pytest.approx(t.sf(SIZE))


# --- the registry -----------------------------------------------------------------------------


def test_the_projects_claims_are_what_the_paper_states():
    found = load_claims(ROOT)
    claims = {claim.id: claim for claim in found.claims}
    sizes = {
        ("beats_single_losses", "auc"): 0.0023 / 2,  # against CE, IPNN on Criteo
        ("beats_global_weights", "logloss"): 0.0013 / 2,  # BOHB, IPNN on Criteo
        ("beats_slf", "auc"): 0.0010 / 2,
        ("transfers_to_data", "auc"): 0.0030 / 2,
        ("gumbel_helps", "auc"): 0.0006 / 2,
        ("seventh_steps_are_best", "logloss"): 0.0009 / 2,
        ("fastest", "seconds"): round(np.log(9 / 8) / 2, 6),
        ("fastest", "passes"): round(np.log(9 / 8) / 2, 6),
        ("seventh_steps_save_time", "passes"): round(np.log(1 / 0.4) / 2, 6),
    }
    for (name, metric), size in sizes.items():
        assert found.minimum(claims[name], metric) == pytest.approx(size, abs=1e-9)
    assert {claim.section for claim in found.claims if claim.origin == "paper"} == {
        *("3.4", "3.5", "3.6", "3.7")
    }
    assert claimed_groups(tiny_study()) == [
        *("table_2", "table_3", "controls", "figure_3", "figure_4")
    ]


def test_every_seventh_step_is_autoloss_itself():
    study = tiny_study(frequencies=[1, 7])
    assert study.plain("autoloss_every_7") == "autoloss"
    assert study.plain("autoloss_every_1") == "autoloss_every_1"
    assert study.plain("autoloss_every_13") == "autoloss_every_13"  # no such runs here


def test_a_changed_file_changes_the_hash_that_verdicts_carry(tmp_path):
    first = registry(tmp_path, CLAIM)
    assert (
        first.sha256 == hashlib.sha256((tmp_path / "configs/claims.yaml").read_bytes()).hexdigest()
    )
    second = registry(tmp_path, CLAIM | {"sentence": "Another"})
    assert first.sha256 != second.sha256
    index = planted({"ce": 4, "slf": 4})
    assert judge(tiny_study(), second, {"table_2": index}).claims_sha256 == second.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": ["auc"]}, "unknown key 'metric'(.|\n)*'metrics'"),
        ({"methods": ["autolos"]}, "'beats', key 'methods'(.|\n)*'autoloss'"),
        ({"others": ["sfl"]}, "no 'sfl'(.|\n)*'slf'"),
        ({"metrics": ["acu"]}, "no 'acu'(.|\n)*'auc'"),
        ({"beside": ["loglos"]}, "no 'loglos'(.|\n)*'logloss'"),
        ({"models": ["deepfn"]}, "no 'deepfn'(.|\n)*'deepfm'"),
        ({"groups": ["table2"]}, "no 'table2'(.|\n)*'table_2'"),
        ({"data": ["Critio"]}, "no 'Critio'(.|\n)*'Criteo'"),
        ({"published": ["tabel_2"]}, "no 'tabel_2'(.|\n)*'table_2'"),
        ({"family": "al"}, "no 'al'(.|\n)*'all'"),
        ({"direction": "beter"}, "direction(.|\n)*'better' or 'differs'"),
        ({"minimum": {"effects": {}}}, "gives none for auc"),
        ({"minimum": {"half_of": "smallest"}}, "gives none for auc"),  # no published table
        ({"minimum": {"half": "smallest"}}, "unknown key 'half'(.|\n)*'half_of'"),
        ({"minimum": {"effects": {"auc": 0}}}, "greater than 0"),
        ({"id": "Beats"}, "pattern"),
    ],
)
def test_a_misspelt_claim_is_refused_with_the_nearest_name(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        registry(tmp_path, CLAIM | change)


def test_two_claims_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="there twice"):
        registry(tmp_path, CLAIM, CLAIM)


# --- a whole study ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(studied, tmp_path_factory):
    """A copy of the tiny study with its verdicts, as the current folder."""
    copy = tmp_path_factory.mktemp("claims") / "study"
    shutil.copytree(studied, copy)
    with working_in(copy):
        list(write_verdicts(tiny_study()))
        yield copy


def from_records(folder, cell, metric):
    """A cell's values, by seed, from its records."""
    files = sorted((folder / "results/smoke/runs" / cell).glob("seed_*.json"))
    records = [json.loads(file.read_text()) for file in files if "controller" not in file.name]
    if metric != "passes":
        return np.array([record["metrics"]["test"][metric] for record in records])
    names = [f"{a}{b}ward_examples" for a in ("", "search_") for b in ("for", "back")]
    return np.array([sum(record["budget"][name] for name in names) for record in records])


@pytest.mark.xdist_group("studied")
@pytest.mark.parametrize(
    ("claim", "metric"),
    [("transfers_to_data", "auc"), ("beats_slf", "logloss"), ("fastest", "passes")],
)
def test_verdicts_recomputed_from_records(folder, claim, metric):
    found = read_verdicts(folder / "results/smoke/verdicts.json")
    (about,) = [one for one in found.claims if one.id == claim]
    assert about.verdict in (INCONCLUSIVE, UNASSESSABLE)  # two seeds show nothing
    rows = [row for row in about.rows if row.metric == metric and row.gain is not None]
    assert rows
    for row in rows:
        a, b = (
            from_records(folder, f"{row.dataset}/{row.model}/{m}", metric)
            for m in (row.ours, row.other)
        )
        d = a - b if metric == "auc" else b - a
        d = np.log(b / a) if metric == "passes" else d
        p = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert (row.n, row.gain, row.p) == (2, pytest.approx(d.mean()), pytest.approx(p.pvalue))
        assert row.verdict == INCONCLUSIVE
        assert row.power == 0


@pytest.mark.xdist_group("studied")
def test_the_files_agree_and_name_what_the_study_lacks(folder):
    results = folder / "results/smoke"
    found = read_verdicts(results / "verdicts.json")
    table = pd.read_csv(results / "verdicts.csv")
    assert len(table) == sum(len(claim.rows) for claim in found.claims)
    assert set(table["claim"]) == {claim.id for claim in load_claims(ROOT).claims}
    lacking = table[table["claim"] == "gumbel_helps"]["detail"]
    assert lacking.str.startswith("missing: no runs of al2").any()
    assert (results / "verdicts.md").read_text().count("####") == 0
    assert "tab:verdicts-1" in (results / "verdicts.tex").read_text()
    assert set(pd.read_csv(results / "verdicts_summary.csv")["cells"]) <= {2, 3, 4}


@pytest.mark.xdist_group("studied")
def test_the_command_writes_the_same(folder):
    before = (folder / "results/smoke/verdicts.json").read_text()
    shutil.copytree(ROOT / "configs", folder / "configs")
    config = tiny_study().config.model_dump_json()
    (folder / "results/smoke/config.json").write_text(config)
    done = CliRunner().invoke(app, ["claims", "--config", "results/smoke/config.json"])
    assert done.exit_code == 0, done.output
    assert "results/smoke/verdicts.json" in done.output
    assert (folder / "results/smoke/verdicts.json").read_text() == before


@pytest.mark.xdist_group("studied")
def test_the_report_shows_them_linked_and_says_when_they_are_old(folder):
    file = folder / "results/smoke/verdicts.json"
    text = write_report(tiny_study()).read_text()
    ids = set(re.findall(r' id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= ids
    assert {f"claim-{claim.id}" for claim in load_claims(ROOT).claims} <= ids
    assert "empirical claims of the paper" in text
    assert "has changed since" not in text
    old = json.loads(file.read_text()) | {"claims_sha256": "0" * 64}
    old["groups"]["table_2"] = "1" * 64
    file.write_text(json.dumps(old))
    text = write_report(tiny_study()).read_text()
    assert "configs/claims.yaml has changed since the verdicts were made" in text
    assert "rest on other runs of table_2" in text
