"""From claims and records to verdicts: planted records, plain SciPy, and files with mistakes."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from autoloss.claims import rules
from autoloss.claims.files import write_verdicts
from autoloss.claims.judge import judge
from autoloss.claims.layout import claim_table, claims_table, gains_table
from autoloss.claims.power import Design
from autoloss.claims.rules import FAILS, HOLDS, MISSING, MIXED, OPEN, WORDS, decide
from autoloss.claims.schema import claimed_groups, claims_of, load_claims, require_claims
from autoloss.claims.verdict import read_verdicts
from autoloss.cli import app
from autoloss.config import overlay
from autoloss.errors import ConfigError, DataError, RecordError
from autoloss.report.page.page import write_report
from autoloss.stats import compare
from autoloss.stats.rows import Predicted, auc_parts
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from tests.studied import CE, tiny_study, working_in
from tests.tiny import ROOT

SIZE = 0.001  # the minimum effect of the examples
CLAIM = {
    **{"id": "beats", "sentence": "AutoLoss beats CE and SLF", "origin": "paper"},
    **{"family": "all", "groups": ["table_2"], "data": ["Criteo"], "models": ["deepfm"]},
    **{"methods": ["autoloss"], "others": ["ce", "slf"], "metrics": ["auc"]},
    "minimum": {"effects": {"auc": SIZE, "logloss": SIZE, "seconds": 0.1}, "why": "ours"},
    "beside": [],
}

# --- from records to verdicts -----------------------------------------------------------------


def registry(tmp_path, *claims, **more):
    """The registry of a project with these claims."""
    folder = tmp_path / "configs"
    folder.mkdir(exist_ok=True)
    content = {"families": {"all": ""}, "claims": list(claims), **more}
    (folder / "claims.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(ROOT / "configs" / "published.yaml", folder)
    shutil.copytree(ROOT / "configs" / "datasets", folder / "datasets", dirs_exist_ok=True)
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


def alike(cell, seed):
    """Predictions that every run shares: no test row says anything of a difference."""
    return Predicted(np.array([0, 1] * 2), np.arange(4.0), np.arange(4.0), None)


def judged(tmp_path, index, claim=CLAIM, kept=alike, **more):
    groups, listed = {"table_2": index}, registry(tmp_path, claim, **more)
    (found,) = judge(tiny_study(), listed, groups, kept).claims
    return found


@pytest.mark.parametrize(
    ("gains", "outcome", "decider"),
    [
        ({"ce": 4, "slf": 6}, HOLDS, "ce"),
        ({"ce": 6, "slf": -4}, MIXED, "slf"),
        ({"ce": -6, "slf": -3}, FAILS, "slf"),  # both p are the smallest: the one nearest to 1
    ],
)
def test_planted_records_get_the_right_verdict_and_its_decider(tmp_path, gains, outcome, decider):
    for seed in range(3):
        index = planted(gains, seed=seed, noise=SIZE / 2)
        found = judged(tmp_path, index)
        assert (found.outcome, found.verdict) == (outcome, WORDS[outcome][False])
        assert found.rows[found.decider].other == decider
        assert sum(found.counts.values()) == 2


def test_a_row_is_plain_scipy(tmp_path):
    index = planted({"ce": 0.5, "slf": 4})
    found = judged(tmp_path, index)
    values = index.pivot(index="seed", columns="method", values="auc")
    exact, student = [], []
    for row in found.rows:
        d = (values["autoloss"] - values[row.other]).to_numpy()
        assert (row.n, row.gain, row.sd) == (
            12,
            pytest.approx(d.mean()),
            pytest.approx(d.std(ddof=1)),
        )
        exact.append(exact_p(d))
        student.append(stats.ttest_1samp(d, 0).pvalue)
        assert (row.p_permutation, row.p_t) == pytest.approx((exact[-1], student[-1]))
    corrected = np.maximum(*(multipletests(p, method="holm")[1] for p in (exact, student)))
    assert [row.p_holds for row in found.rows] == pytest.approx(list(corrected))
    assert found.summaries[0].median == pytest.approx(np.mean([r.gain for r in found.rows]))


@pytest.mark.parametrize(("splits", "n"), [(1, 12), (12, 12), (6, 6)])
def test_over_splits_a_row_is_plain_scipy_corrected_for_their_overlap(tmp_path, splits, n):
    """With two seeds to a split, by the mean of the two."""
    index = planted({"ce": 3, "slf": 4})
    index = index.assign(split=index["seed"] % splits, test_to_train=0.125)
    row = judged(tmp_path, index, CLAIM | {"others": ["ce"]}).rows[0]
    values = index.pivot(index="seed", columns="method", values="auc")
    seeds = values["autoloss"] - values["ce"]
    d = (seeds.groupby(seeds.index % splits).mean() if splits > 1 else seeds).to_numpy()
    rho = 0.125 if splits > 1 else 0.0
    error = d.std(ddof=1) * np.sqrt(1 / n + rho)
    low, high = stats.t.interval(0.95, n - 1, d.mean(), error)
    assert (row.n, row.test_to_train) == (n, rho)
    assert (row.gain, row.low, row.high) == pytest.approx((d.mean(), low, high))
    p_t = 2 * stats.t.sf(d.mean() / error, n - 1)
    assert (row.p_permutation, row.p_t) == pytest.approx((exact_p(d), p_t))
    assert row.p_holds == pytest.approx(max(exact_p(d), p_t))
    less = 2 * stats.t.sf(abs(d.mean() - SIZE) / error, n - 1)
    assert row.p_fails == (1 if d.mean() > SIZE else pytest.approx(max(exact_p(d - SIZE), less)))
    assert row.resolved == Design(row.sd, SIZE, 1, 0.05, rho).resolved(n)


def test_gains_over_several_shares_of_test_rows_are_refused(tmp_path):
    index = planted({"ce": 3, "slf": 4})
    index = index.assign(split=index["seed"], test_to_train=0.1 + 0.1 * (index["seed"] == 3))
    with pytest.raises(RecordError, match=r"one test_to_train above 0, found 0\.1, 0\.2"):
        judged(tmp_path, index)


def exact_p(d):
    """Of the mean, by SciPy's enumeration."""
    kinds = {"permutation_type": "samples", "n_resamples": np.inf}
    return stats.permutation_test((d,), np.mean, **kinds).pvalue


def test_failed_runs_leave_a_comparison_open_and_holes_are_errors(tmp_path):
    index = planted({"ce": 4, "slf": 4})
    failed = (index["method"] == "slf") & (index["seed"] == 3)
    index.loc[failed, ["status", "auc"]] = ["failed", np.nan]
    found = judged(tmp_path, index)
    assert (found.outcome, found.counts) == (OPEN, {HOLDS: 1, OPEN: 1})
    row = found.rows[1]
    assert (row.other, row.n, row.detail, row.gain, row.p) == ("slf", 11, "failed runs", None, None)
    assert found.rows[0].comparisons == 1  # no test was made of the other
    with pytest.raises(RecordError, match=r"unpaired seeds \[3\]"):
        judged(tmp_path, index[~failed])


def test_what_was_not_attempted_is_said(tmp_path):
    index = planted({"ce": 4, "slf": 4})
    for claim, reason in (
        ({"data": ["Avazu"]}, "no data set here stands for Avazu"),
        ({"data": ["adult"]}, "no runs of table_2 on adult"),  # a data set of ours
        ({"needs": ["Criteo"]}, "it needs Criteo; here stand ml100k-ctr for Criteo"),
        ({"others": ["al1"]}, "no runs of al1 on ml100k-ctr/deepfm"),
        ({"models": ["nfm"]}, "no runs of autoloss and ce on ml100k-ctr/nfm"),
        ({"groups": ["figure_3"]}, "nothing of figure_3 has been run"),
        ({"protocol": "tuned"}, "the tuned protocol"),
    ):
        found = judged(tmp_path, index, CLAIM | claim)
        assert (found.outcome, found.verdict) == (MISSING, "not attempted here")
        assert found.rows[0].detail == f"missing: {reason}"


def test_what_is_lacking_leaves_a_claim_open_however_well_the_rest_holds(tmp_path):
    found = judged(tmp_path, planted({"ce": 4}))
    assert (found.verdict, found.counts) == ("cannot be told here", {HOLDS: 1, MISSING: 1})
    assert found.rows[found.decider].other == "slf"
    table = claims_table(tiny_study(), verdicts_of(tmp_path, planted({"ce": 4})))
    assert table.grids[0].rows[0][1].text == "cannot be told here (1 of 2 not attempted)"


@pytest.mark.parametrize(("gain", "verdict"), [(4, OPEN), (-4, FAILS)])
def test_a_verdict_says_how_many_of_its_comparisons_were_not_attempted(tmp_path, gain, verdict):
    found = judged(tmp_path, planted({"ce": gain}), CLAIM | {"others": ["ce", "slf", "al1"]})
    assert (found.outcome, found.lacking) == (verdict, "2 of 3 not attempted")
    assert claim_table(tiny_study(), found).title.endswith(" (2 of 3 not attempted)")
    alone = judged(tmp_path, planted({"ce": gain}), CLAIM | {"others": ["al1"]})
    assert (alone.outcome, alone.lacking) == (MISSING, "")  # it says so itself


def test_each_reading_has_a_verdict_in_one_family(tmp_path):
    index = planted({"ce": 6, "slf": 12})
    renamed = index.replace({"method": {"slf": "autoloss_ce"}})  # so AutoLoss beats it
    claim = {k: v for k, v in CLAIM.items() if k != "methods"} | {"others": ["ce"]}
    claim["readings"] = ["autoloss", "autoloss_ce"]
    words = {"autoloss": "as written", "autoloss_ce": "judged by CE"}
    listed = registry(tmp_path, claim, readings=words)
    first, second = judge(tiny_study(), listed, {"table_2": renamed}, alike).claims
    assert (first.outcome, second.outcome) == (HOLDS, FAILS)
    assert (first.title, second.anchor) == (
        "AutoLoss beats CE and SLF (as written)",
        "claim-beats-autoloss_ce",
    )
    assert {row.comparisons for one in (first, second) for row in one.rows} == {2}


def with_costs(index):
    """AutoLoss takes 200 passes, the others 400 with their search; each second is a pass."""
    ours, noise = index["method"] == "autoloss", np.linspace(1, 1.1, len(index))
    for column in ("forward_examples", "backward_examples"):
        index[column] = np.where(ours, 100, 150)
        index[f"search_{column}"] = np.where(ours, 0, 50)
    return index.assign(seconds=np.where(ours, 200, 300) * noise, search_seconds=~ours * 100.0)


@pytest.mark.parametrize(
    ("least", "outcome"), [(0.5, HOLDS), (math.log(2) - 1e-9, HOLDS), (0.7, FAILS)]
)
def test_passes_are_counted_and_decide_without_a_test(tmp_path, least, outcome):
    """Half of the others' passes: ln 2 = 0.693. Seconds, three quarters of theirs, stand beside."""
    index = with_costs(planted({"ce": 4, "slf": 4}))
    minimum = {"effects": {"passes": least}, "why": "ours"}
    cost = CLAIM | {"metrics": ["passes"], "beside": ["seconds"], "minimum": minimum}
    found = judged(tmp_path, index, cost)
    assert (found.outcome, found.counts) == (outcome, {outcome: 2})
    passes, seconds = found.rows[0], found.rows[2]
    assert passes.gain == pytest.approx(np.log(400 / 200))
    assert (passes.n, passes.p, passes.p_permutation, passes.low, passes.comparisons) == (
        *(12, None, None, None, None),
    )
    assert (seconds.outcome, seconds.p) == ("", None)
    assert seconds.low < seconds.gain < seconds.high
    table = claims_table(tiny_study(), verdicts_of(tmp_path, index, cost))
    names = ["gain", "95 % interval", "p", "over", "smallest gain found"]
    assert [name for _, name in table.grids[0].columns][-5:] == names
    assert [item.text for item in table.grids[0].rows[0][-5:]] == ["×0.50", "", "", "", "–"]
    assert "×0.80 is a fifth less" in " ".join(table.notes)


def test_of_passes_that_fail_the_nearest_to_what_is_asked_decides(tmp_path):
    """2, 1.25 and 1 times ours, where 1.5 times are asked: one holds, two fail."""
    index = with_costs(planted({"ce": 4, "slf": 4, "darts": 4}))
    for method, passes in (("slf", 75), ("darts", 50)):
        for column in ("forward_examples", "backward_examples"):
            index.loc[index["method"] == method, column] = passes
    claim = CLAIM | {"metrics": ["passes"], "others": ["darts", "ce", "slf"]}
    minimum = {"effects": {"passes": math.log(1.5)}, "why": "ours"}
    found = judged(tmp_path, index, claim | {"minimum": minimum})
    assert (found.outcome, found.counts) == (MIXED, {HOLDS: 1, FAILS: 2})
    assert found.rows[found.decider].other == "slf"


def test_what_the_design_resolves_and_the_papers_gain_are_said(tmp_path):
    claim = CLAIM | {"published": ["table_2"], "minimum": {"half_of": "smallest"}}
    (row, _) = judged(tmp_path, planted({"ce": 3, "slf": 3}), claim).rows
    assert row.published == pytest.approx(0.8092 - 0.8056)
    design = Design(row.sd, row.minimum, 2, 0.05)
    assert row.chance == design.chance(row.published, 12)
    assert row.resolved == design.resolved(12)
    assert row.seeds_needed == design.seeds_for(row.published)


def verdicts_of(tmp_path, index, claim=CLAIM, kept=alike):
    return judge(tiny_study(), registry(tmp_path, claim), {"table_2": index}, kept)


@pytest.mark.parametrize(("k", "outcome"), [(40_000, OPEN), (80_000, HOLDS)])
def test_a_gain_that_holds_is_two_of_its_standard_errors_over_the_test_rows(tmp_path, k, outcome):
    """Of 2k rows of class 1 AutoLoss ranks half above all others and half below; the others tie.

    So DeLong's components of the difference are 1/2 and -1/2 there and 0 in class 0, and its
    variance is (1/4) (2k / (2k - 1)) / 2k = 1 / (8k - 4): two errors are 0.0035 or 0.0025.
    """

    def kept(cell, seed):
        scores = [2.0, 0, 1, 1] if cell.method == "autoloss" else [1.0] * 4
        return Predicted(np.repeat([1, 1, 0, 0], k), np.repeat(scores, k), None, None)

    index = planted({"ce": 3, "slf": 30}, noise=SIZE / 4)  # gains of 0.003 and 0.03
    (row, far) = judged(tmp_path, index, kept=kept).rows
    assert row.test_rows_error == pytest.approx(np.sqrt(1 / (8 * k - 4)), rel=1e-9)
    assert (row.outcome, row.minimum, far.outcome) == (outcome, SIZE, HOLDS)
    design = Design(row.sd, 2 * row.test_rows_error, 2, 0.05)
    assert row.resolved == design.resolved(12) > 2 * row.test_rows_error


@settings(max_examples=50, deadline=None)
@given(gain=st.floats(-3, 6), error=st.floats(0.01, 3), more=st.floats(1, 50))
def test_noisier_test_rows_leave_more_open_and_make_nothing_hold_or_fail(gain, error, more):
    d = gain + np.random.default_rng(0).normal(0, 1, 8)
    zero, least = (compare(d, np.full(8, x), higher_is_better=True) for x in (0.0, 1.0))
    fine, coarse = (
        decide([rules.Tested("this", "all", 1.0, zero, least, 2 * e)], 0.05)[0].outcome
        for e in (error, more * error)
    )
    assert coarse in (fine, OPEN)
    assert (coarse == FAILS) == (fine == FAILS)


def test_rows_of_one_user_alone_show_no_gain(tmp_path):
    """Their error is not known: nothing holds by them."""

    def kept(cell, seed):
        return replace(alike(cell, seed), clusters=np.zeros(4, dtype=int))

    found = judged(tmp_path, planted({"ce": 4, "slf": -4}), kept=kept)
    assert [(row.outcome, row.test_rows_error, row.resolved) for row in found.rows] == [
        (OPEN, None, None),
        (FAILS, None, None),
    ]


def test_metrics_beside_are_shown_and_not_judged(tmp_path):
    found = judged(tmp_path, planted({"ce": 4, "slf": -4}), CLAIM | {"beside": ["logloss"]})
    beside = found.rows[2:]
    assert [row.metric for row in beside] == ["logloss", "logloss"]
    assert all(row.p_permutation == 2**-11 and not row.outcome for row in beside)
    assert sum(found.counts.values()) == 2
    assert [summary.metric for summary in found.summaries] == ["auc"]


def predictions(cell, seed):
    """Those of a run: better with AutoLoss, users' rows alike, other rows for odd seeds."""
    rows = np.random.default_rng(seed % 2)
    labels, users = rows.integers(0, 2, 400), np.arange(400) // 8
    noise = np.random.default_rng([seed, len(cell.method)])
    scores = noise.normal(size=50)[users] + noise.normal(size=400)
    scores += labels * (1.2 if cell.method == "autoloss" else 1.0)
    return Predicted(labels, scores, None, users)


def test_every_comparison_has_its_standard_error_over_kept_test_rows(tmp_path):
    """Of two splits with six seeds each: sqrt(1/2 + 1/8) of the mean of their squares."""
    index = planted({"ce": 6, "slf": 40})
    index = index.assign(split=index["seed"] % 2, test_to_train=0.125)
    claim = CLAIM | {"beside": ["logloss"]}
    (found,) = verdicts_of(tmp_path, index, claim, predictions).claims
    expected = {}
    for method in ("ce", "slf"):
        ours, other = (Cell("ml100k-ctr", "deepfm", name) for name in ("autoloss", method))
        squares = []
        for split in (0, 1):
            runs = [(predictions(ours, s), predictions(other, s)) for s in range(split, 12, 2)]
            parts = np.mean([auc_parts(a) - auc_parts(b) for a, b in runs], axis=0)
            squares.append(np.square(np.add.reduceat(parts, range(0, 400, 8))).sum())
        expected[method, "auc"] = pytest.approx(np.sqrt(np.mean(squares) * (1 / 2 + 1 / 8)))
        expected[method, "logloss"] = None
    assert {(row.other, row.metric): row.test_rows_error for row in found.rows} == expected
    error = found.rows[found.decider].test_rows_error
    table = claim_table(tiny_study(), found)
    for grid, row in zip(table.grids, (0, found.decider), strict=True):
        column = [name for _, name in grid.columns].index("standard error over test rows") + 1
        assert grid.rows[row][column].text == f"{error:.4f}"
    assert f"with a standard error of {error:.4f} over test rows" in " ".join(table.notes)


def test_each_run_is_read_once_whatever_asks_for_it(tmp_path):
    read = []

    def kept(cell, seed):
        read.append((str(cell), seed))
        return alike(cell, seed)

    again = CLAIM | {"id": "again", "methods": ["ce"], "others": ["slf", "autoloss"]}
    index = planted({"ce": 4, "slf": 4})
    judge(tiny_study(), registry(tmp_path, CLAIM, again), {"table_2": index}, kept)
    assert len(read) == len(set(read)) == 3 * 12


# --- the registry -----------------------------------------------------------------------------


def test_the_projects_claims_are_what_the_paper_states():
    found = load_claims(ROOT)
    claims = {claim.id: claim for claim in found.listed.claims}
    sizes = {
        ("beats_single_losses", "auc"): 0.0023 / 2,  # against CE, IPNN on Criteo
        ("beats_global_weights", "logloss_calibrated"): 0.0013 / 2,  # BOHB, IPNN on Criteo
        ("beats_slf", "auc"): 0.0010 / 2,
        ("global_beats_ce", "auc"): 0.0002625,  # the mean of twelve, not rounded
        ("transfers_to_data", "auc"): 0.0030 / 2,
        ("gumbel_helps", "auc"): 0.0006 / 2,
        ("seventh_steps_are_best", "logloss_calibrated"): 0.0009 / 2,
        ("fastest", "passes"): np.log(9 / 8) / 2,
        ("seventh_steps_save_time", "passes"): round(np.log(1 / 0.4) / 2, 6),
    }
    for (name, metric), size in sizes.items():
        assert found.minimum(claims[name], metric).size == pytest.approx(size, abs=1e-12)
    assert {claim.section for claim in found.listed.claims if claim.origin == "paper"} == {
        *("3.4", "3.5", "3.6", "3.7")
    }
    for claim in found.listed.claims:
        assert not {"logloss", "seconds"} & {*claim.metrics}  # they never decide
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
    assert judge(tiny_study(), second, {"table_2": index}, alike).claims_sha256 == second.sha256


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
        ({"needs": ["Critio"]}, "no 'Critio'(.|\n)*'Criteo'"),
        ({"readings": ["autoloss"]}, "one of it and `readings`"),
        ({"methods": []}, "one of it and `readings`"),
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


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"readings": {"autolos": ""}}, "key 'readings'(.|\n)*'autoloss'"),
        ({"resolvable": {"adult": {}}}, "unknown key 'resolvable'"),
    ],
)
def test_a_misspelt_part_of_the_file_is_refused(tmp_path, more, message):
    with pytest.raises(ConfigError, match=message):
        registry(tmp_path, CLAIM, **more)


# --- claims of one's own ----------------------------------------------------------------------

OWN = {k: v for k, v in CLAIM.items() if k != "family"} | {
    **{"id": "mine", "sentence": "SLF beats CE", "origin": "own"},
    **{"methods": ["slf"], "others": ["ce"], "data": ["ml100k-ctr"]},
}


def about(method):
    """The tiny study, about another method than AutoLoss."""
    over = {"statistics": {"ours": [method]}}
    return Study(overlay(tiny_study().config, over, "test"), ROOT)


def test_a_claim_of_ones_own_is_a_family_of_its_own(tmp_path):
    """Beside the paper's it takes nothing from their power; it may name our data set."""
    index = planted({"ce": 9, "slf": 3}, noise=SIZE / 4)
    paper, own = judge(
        tiny_study(), registry(tmp_path, CLAIM, OWN), {"table_2": index}, alike
    ).claims
    assert (own.origin, own.family) == ("own", "own")
    assert own.rows[0].p_holds < 0.05
    assert {row.comparisons for row in own.rows} == {1}
    assert {row.comparisons for row in paper.rows} == {2}
    assert {row.dataset for row in own.rows} == {"ml100k-ctr"}
    found = judge(tiny_study(), registry(tmp_path, OWN, CLAIM), {"table_2": index}, alike)
    table = claims_table(tiny_study(), found)
    assert [grid.caption for grid in table.grids] == ["Our own claims", "The paper's claims"]
    gains = gains_table(found)
    assert gains.title == "The gains of interest"
    own_gains, papers = gains.grids
    assert (own_gains.caption, papers.caption) == ("Our own claims", "The paper's gains")
    assert not [name for _, name in own_gains.columns if name in ("paper's data", "smallest")]
    assert [row[0].text for row in own_gains.rows] == ["SLF beats CE"]
    assert [row[0].text for row in papers.rows] == ["AutoLoss beats CE and SLF"]
    assert "Of 1 comparison: 1 holds." in claim_table(tiny_study(), found.claims[0]).notes
    assert "Of 1 verdict on the paper's claims" in table.lead


def test_a_study_about_another_method_judges_its_own_claims_alone(tmp_path):
    index = planted({"ce": 9, "slf": 3}, noise=SIZE / 4)
    listed = registry(tmp_path, CLAIM, CLAIM | {"id": "asked", "origin": "reviewers"}, OWN)
    found = judge(about("slf"), listed, {"table_2": index}, alike)
    assert [claim.id for claim in found.claims] == ["mine"]
    assert "Of 1 verdict on our own claims" in claims_table(about("slf"), found).lead
    assert [c.id for c in claims_of(about("autoloss_ce"), listed)] == ["beats", "asked", "mine"]


def test_without_a_claim_on_its_method_a_study_has_no_verdicts(tmp_path):
    registry(tmp_path, CLAIM)
    shutil.copy(ROOT / "configs" / "sensitivity.yaml", tmp_path / "configs")
    with pytest.raises(ConfigError, match=r"no claim for a study about SLF(.|\n)*origin: own"):
        require_claims(replace(about("slf"), root=tmp_path))
    require_claims(replace(tiny_study(), root=tmp_path))
    assert claimed_groups(replace(about("slf"), root=tmp_path)) == []
    registry(tmp_path, CLAIM, OWN)
    require_claims(replace(about("slf"), root=tmp_path))
    assert claimed_groups(replace(about("slf"), root=tmp_path)) == ["table_2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["slff_every_3"]}, "no 'slff'(.|\n)*'slf'"),
        ({"data": ["ml100k-crt"]}, "no 'ml100k-crt'(.|\n)*'ml100k-ctr'"),
        ({"needs": ["ml100k-ctr"]}, "no 'ml100k-ctr'"),
        ({"family": "al"}, "no 'al'(.|\n)*'all'"),
        ({"origin": "paper"}, "no 'own'"),  # the paper's say of which family they are
    ],
)
def test_a_misspelt_claim_of_ones_own_is_refused(tmp_path, change, message):
    registry(tmp_path, OWN | {"methods": ["slf_every_3"]})
    with pytest.raises(ConfigError, match=message):
        registry(tmp_path, OWN | change)


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


@pytest.mark.parametrize(
    ("claim", "metric"),
    [("transfers_to_models", "auc"), ("beats_slf", "logloss_calibrated"), ("fastest", "passes")],
)
def test_verdicts_recomputed_from_records(folder, claim, metric):
    found = read_verdicts(folder / "results/smoke/verdicts.json")
    about = next(one for one in found.claims if one.id == claim)
    assert metric == "passes" or about.outcome in (OPEN, MISSING)  # two seeds show nothing
    rows = [row for row in about.rows if row.metric == metric and row.gain is not None]
    assert rows
    for row in rows:
        a, b = (
            from_records(folder, f"{row.dataset}/{row.model}/{m}", metric)
            for m in (row.ours, row.other)
        )
        d = a - b if metric == "auc" else b - a
        d = np.log(b / a) if metric == "passes" else d
        assert (row.n, row.gain) == (2, pytest.approx(d.mean()))
        assert row.p_permutation == (None if metric == "passes" else pytest.approx(exact_p(d)))
        counted = HOLDS if d.mean() >= row.minimum else FAILS
        assert (row.outcome, row.resolved) == (counted if metric == "passes" else OPEN, None)


def test_the_files_agree_and_name_what_the_study_lacks(folder):
    results = folder / "results/smoke"
    found = read_verdicts(results / "verdicts.json")
    assert (found.seeds, found.papers_own) == ([0, 1], False)
    assert found.stand_ins == {"ml100k-ctr": "Criteo", "ml100k": "ML-20m", "adult": "Avazu"}
    table = pd.read_csv(results / "verdicts.csv")
    assert len(table) == sum(len(claim.rows) for claim in found.claims)
    assert set(table["claim"]) == {claim.id for claim in load_claims(ROOT).listed.claims}
    lacking = table[table["claim"] == "gumbel_helps"]["detail"]
    assert lacking.str.startswith("missing: no runs of al2").any()
    text = (results / "verdicts.md").read_text()
    assert "AutoLoss beats SLF" in text
    assert "(judged by cross-entropy)" in text
    assert found.history in text
    assert "tab:verdicts-1" in (results / "verdicts.tex").read_text()
    short = pd.read_csv(results / "verdicts_summary.csv")
    assert short[[HOLDS, FAILS, OPEN, MISSING]].to_numpy().sum() == table["decides"].sum()


@pytest.mark.parametrize("origin", ["paper", "reviewers"])
def test_claims_of_one_origin_are_one_whole_table_sorted_by_what_is_said(folder, origin):
    found = read_verdicts(folder / "results/smoke/verdicts.json")
    kept = [claim for claim in found.claims if claim.origin == origin]
    said = list(WORDS)
    claims = [
        claim.model_copy(update={"outcome": said[-1 - k % 5], "verdict": said[-1 - k % 5]})
        for k, claim in enumerate(kept)
    ]
    table = claims_table(tiny_study(), found.model_copy(update={"claims": claims}))
    (grid,) = table.grids
    assert len(grid.rows) == len(kept) > 0
    assert {len(row) for row in grid.rows} == {1 + len(grid.columns)}
    order = [said.index(row[1].text.partition(" (")[0]) for row in grid.rows]
    assert order == sorted(order)
    headers = " ".join(name for _, name in grid.columns)
    assert not re.search(r"half|twice|ln |\bM\d|\bD\d", headers + " ".join(table.notes))


def test_the_tuned_studys_verdict_stands_first_where_it_was_made_of_the_same_claims(folder):
    found = read_verdicts(folder / "results/smoke/verdicts.json")
    usual = [name for _, name in claims_table(tiny_study(), found).grids[0].columns]
    file = folder / "results/smoke-tuned/verdicts.json"
    file.parent.mkdir()
    claims = [claim.model_copy(update={"verdict": f"tuned {claim.id}"}) for claim in found.claims]
    tuned = found.model_copy(update={"protocol": "tuned", "claims": claims})
    del (fewer := dict(found.stand_ins))["adult"]  # it is judged on Table 2, which has no transfer
    tuned = tuned.model_copy(update={"stand_ins": fewer})
    file.write_text(tuned.model_dump_json())
    table = claims_table(tiny_study(), found)
    for grid in table.grids:
        names = [name for _, name in grid.columns]
        assert names[:2] == ["all tuned", "published values"]
        assert names[2:] == usual[1:]
        for row in grid.rows:
            (claim,) = (one for one in found.claims if one.title == row[0].text)
            lacking = f" ({claim.lacking})" if claim.lacking else ""
            both = f"tuned {claim.id}{lacking}", claim.verdict + lacking
            assert (row[1].text, row[2].text) == both
    others = {"claims_sha256": "0" * 64, "seeds": [7, 8], "splits": 3, "max_rows": 10}
    others["stand_ins"] = fewer | {"ml100k": "Avazu"}
    for name, value in {**others, "protocol": "published"}.items():
        file.write_text(tuned.model_copy(update={name: value}).model_dump_json())
        with pytest.raises(RecordError, match=f"another {name} than"):
            claims_table(tiny_study(), found)
    shutil.rmtree(file.parent)


def test_the_command_writes_the_same(folder):
    file = folder / "results/smoke/verdicts.json"
    before = read_verdicts(file).model_copy(update={"claims_commit": None})  # no checkout here
    shutil.copytree(ROOT / "configs", folder / "configs")
    config = tiny_study().config.model_dump_json()
    (folder / "results/smoke/config.json").write_text(config)
    done = CliRunner().invoke(app, ["claims", "--config", "results/smoke/config.json"])
    assert done.exit_code == 0, done.output
    assert "results/smoke/verdicts.json" in done.output
    assert read_verdicts(file) == before


def test_runs_whose_predictions_or_split_are_gone_are_refused_with_the_mend(folder, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(folder, copy)
    study = tiny_study()
    with working_in(copy):
        file = study.predictions_file(CE, 1)
        before = file.read_bytes()
        file.unlink()
        with pytest.raises(RecordError, match=r"seed_1\.predictions\.npz(.|\n)*check --rerun"):
            list(write_verdicts(study))
        file.write_bytes(before)
        shutil.rmtree(study.prepared_folder("ml100k-ctr", study.split_of(1)))
        with pytest.raises(DataError, match=r"ml100k-ctr/split_(.|\n)*autoloss prepare ml100k"):
            list(write_verdicts(study))


def test_the_report_shows_them_linked_and_says_when_they_are_old(folder):
    file = folder / "results/smoke/verdicts.json"
    text = write_report(tiny_study()).read_text()
    ids = set(re.findall(r' id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= ids
    assert {claim.anchor for claim in read_verdicts(file).claims} <= ids
    assert "verdicts on the paper's claims" in unescape(text)
    assert "has changed since" not in text
    old = json.loads(file.read_text()) | {"claims_sha256": "0" * 64}
    old["groups"]["table_2"] = "1" * 64
    file.write_text(json.dumps(old))
    text = write_report(tiny_study()).read_text()
    assert "configs/claims.yaml has changed since the verdicts were made" in text
    assert "rest on other runs of table_2" in text


def test_a_method_without_recalibration_gets_no_verdict_by_it(tmp_path):
    index = planted({"ce": 4, "slf": 4})
    index["logloss_calibrated"] = index["logloss"].where(index["method"] != "slf")
    minimum = {"effects": {"logloss_calibrated": SIZE}, "why": "ours"}
    claim = CLAIM | {"metrics": ["logloss_calibrated"], "minimum": minimum}
    rows = {row.other: row for row in judged(tmp_path, index, claim).rows}
    assert (rows["slf"].outcome, rows["slf"].p) == (MISSING, None)
    assert rows["slf"].detail == "missing: no logloss_calibrated of slf"
    assert rows["ce"].comparisons == 1


# --- the committed run, by pandas and SciPy alone ----------------------------------------------


@pytest.mark.parametrize("splits", [None, 1, 12, 6])
@pytest.mark.parametrize(
    ("ours", "others", "minimum"),
    [
        ("autoloss", ("ce",), {"auc": 0.0023 / 2}),
        ("slf", ("darts", "melu"), {"auc": 0.0005 / 2}),
        ("ce", ("focal", "hinge"), {"logloss_calibrated": 0.0004}),
    ],
)
def test_three_verdicts_recomputed_from_a_table_of_runs(tmp_path, ours, others, minimum, splits):
    """Holm, both tests and the rules, written anew here: on MovieLens clicks with DeepFM.

    Of the runs as they are, and as if they were of so many splits of 8 tenths to 1.
    """
    ((metric, size),) = minimum.items()
    runs = pd.read_csv(
        ROOT / "results/reference/laptop/runs.csv", keep_default_na=False, na_values=[""]
    )
    cell = runs[(runs["dataset"] == "ml100k-ctr") & (runs["model"] == "deepfm")]
    if splits:
        cell = cell.assign(split=cell["seed"] % splits, test_to_train=0.125)
    claim = CLAIM | {"methods": [ours], "others": list(others), "metrics": [metric]}
    claim["minimum"] = {"effects": minimum, "why": "a test"}
    found = judged(tmp_path, cell, claim)
    several = "split" in cell and cell["split"].nunique() > 1
    unit, rho = ("split", cell["test_to_train"].iloc[0]) if several else ("seed", 0.0)
    values = cell[cell["method"].isin((ours, *others))].astype({metric: float})
    values = values.groupby([unit, "method"])[metric].mean().unstack("method")
    sign = 1 if metric == "auc" else -1
    gains = [sign * (values[ours] - values[other]) for other in others]
    error = [d.std() * np.sqrt(1 / len(d) + rho) for d in gains]
    p = {}
    for name, shift in (("holds", 0.0), ("fails", size)):
        side = [1 if (name == "holds") == (d.mean() > shift) else 0 for d in gains]
        exact = [exact_p(d - shift) if s else 1.0 for d, s in zip(gains, side, strict=True)]
        t = [
            2 * stats.t.sf(abs(d.mean() - shift) / e, len(d) - 1) if s else 1.0
            for d, e, s in zip(gains, error, side, strict=True)
        ]
        p[name] = np.maximum(*(multipletests(one, method="holm")[1] for one in (exact, t)))
    words = [
        FAILS if q < 0.05 else HOLDS if h < 0.05 and d.mean() >= size else OPEN
        for h, q, d in zip(p["holds"], p["fails"], gains, strict=True)
    ]
    assert [row.outcome for row in found.rows] == words
    assert [row.p_holds for row in found.rows] == pytest.approx(list(p["holds"]))
    assert [row.p_fails for row in found.rows] == pytest.approx(list(p["fails"]))
    half = [stats.t.ppf(0.975, len(d) - 1) * e for d, e in zip(gains, error, strict=True)]
    assert [(row.high - row.low) / 2 for row in found.rows] == pytest.approx(half)
    together = FAILS if FAILS in words else HOLDS if OPEN not in words else OPEN
    assert found.outcome == (MIXED if {HOLDS, FAILS} <= set(words) else together)
