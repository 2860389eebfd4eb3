"""The tables' statistics on made-up indexes with known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import binom

from autoloss.errors import RecordError
from autoloss.stats import compare, compare_family, describe, holm

METRICS = ["auc", "logloss"]


def make_index(effects, *, seeds=12, cells=(("ml100k", "deepfm"),), noise=0.001, rng=0):
    """Runs whose AUC is 0.8 + effect + noise and whose log loss is 1 - AUC, the mirror image."""
    random = np.random.default_rng(rng)
    rows = []
    for dataset, model in cells:
        for seed in range(seeds):
            level = random.normal(0.8, 0.01)  # what the seed does to all methods alike
            for method, effect in effects.items():
                auc = level + effect + random.normal(0, noise)
                rows.append((dataset, model, method, seed, "ok", auc, 1 - auc))
    columns = ["dataset", "model", "method", "seed", "status", *METRICS]
    return pd.DataFrame(rows, columns=columns)


def family(index, metrics=METRICS, ours=("autoloss",), **options):
    return compare_family(index, ours, metrics, **options)


def over_splits(index, test_to_train, splits=None):
    """Runs whose seed s has split s mod `splits`, or a split of its own."""
    split = index["seed"] % splits if splits else index["seed"]
    return index.assign(split=split, test_to_train=test_to_train)


def fail(index, method, seed):
    failed = (index["method"] == method) & (index["seed"] == seed)
    assert failed.any()
    index.loc[failed, "status"] = "failed"
    index.loc[failed, METRICS] = np.nan
    return index


EFFECTS = {"focal": -0.03, "autoloss": 0.0, "ce": 0.0002, "kl": 0.02}


def test_a_known_winner_is_better_in_both_directions():
    table = family(make_index(EFFECTS)).set_index(["metric", "other"])
    for metric in METRICS:
        assert table.loc[(metric, "focal"), "verdict"] == "better"
        assert table.loc[(metric, "ce"), "verdict"] == "no difference shown"
        assert table.loc[(metric, "kl"), "verdict"] == "worse"
        assert table.loc[(metric, "focal"), "gain"] == pytest.approx(0.03, abs=0.002)
        assert table.loc[(metric, "kl"), "gain"] == pytest.approx(-0.02, abs=0.002)
        assert table.loc[metric].query("best_other").index.to_list() == ["kl"]
    assert (table["significant"] == table["verdict"].isin(["better", "worse"])).all()


def test_rows_columns_and_family():
    cells = [("ml100k", "nfm"), ("adult", "deepfm")]
    index = make_index(EFFECTS, cells=cells)
    table = family(index, ["logloss", "auc"])
    assert table["metric"].to_list() == ["logloss"] * 6 + ["auc"] * 6
    assert table["dataset"].to_list() == (["ml100k"] * 3 + ["adult"] * 3) * 2
    assert table["other"].to_list() == ["focal", "ce", "kl"] * 4
    assert (table["ours"] == "autoloss").all()
    assert (table["comparisons"] == 6).all()  # one metric, both cells
    assert table.groupby(["metric", "dataset"])["best_other"].sum().to_list() == [1] * 4
    for _, one_metric in table.groupby("metric"):
        for p, adjusted in (("p_permutation", "p_holm"), ("p_t", "p_t_holm")):
            assert one_metric[adjusted].to_numpy() == pytest.approx(holm(one_metric[p]))
    row = table.query("metric == 'auc' and dataset == 'adult' and other == 'kl'").iloc[0]
    cell = index.query("dataset == 'adult'").pivot(index="seed", columns="method", values="auc")
    alone = compare(cell["autoloss"], cell["kl"], higher_is_better=True)
    assert {name: row[name] for name in vars(alone)} == vars(alone)


# --- several methods of ours ----------------------------------------------------------------


def test_both_of_ours_are_compared_with_every_other_and_once_with_each_other():
    index = make_index(EFFECTS, cells=[("a", "nfm"), ("b", "nfm")])
    table = family(index, ["auc"], ours=["autoloss", "ce"])
    pairs = [("autoloss", "focal"), ("autoloss", "kl"), ("autoloss", "ce")]
    pairs += [("ce", "focal"), ("ce", "kl")]
    assert list(zip(table["ours"], table["other"], strict=True)) == pairs * 2
    assert (table["comparisons"] == 10).all()
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p_permutation"]))
    # The best other is the best of those that are not ours, for either.
    assert table.query("best_other")["other"].to_list() == ["kl"] * 4
    alone = family(index, ["auc"]).query("other == 'kl'")
    both = table.query("ours == 'autoloss' and other == 'kl'")
    columns = ["n", "gain", "sd", "low", "high", "p_permutation", "p_t"]
    pd.testing.assert_frame_equal(
        alone[columns].reset_index(drop=True), both[columns].reset_index(drop=True)
    )


def test_better_takes_both_tests():
    """Eleven small wins and a large loss: signs alone would do, t sees how little is known."""
    gains = np.array([0.001] * 7 + [0.0011, 0.0012, 0.0013, 0.0014, 0.0015])
    index = make_index({"autoloss": 0.0, "ce": 0.0}, noise=0)
    ours = index["method"] == "autoloss"
    index.loc[ours, "auc"] = index.loc[~ours, "auc"].to_numpy() + gains
    one_split = family(index, ["auc"]).iloc[0]
    assert (one_split["verdict"], one_split["p_holm"]) == ("better", 2**-11)
    assert one_split["p_t_holm"] < 1e-6
    # As if the splits overlapped so far that twelve of them are hardly more than one.
    many = family(over_splits(index, 20.0), ["auc"]).iloc[0]
    assert (many["verdict"], many["p_holm"]) == ("no difference shown", 2**-11)
    assert many["p_t_holm"] > 0.05
    assert many["low"] < 0 < many["high"]


# --- splits ---------------------------------------------------------------------------------


def test_one_split_is_as_none_whatever_share_it_tests_on():
    index = make_index(EFFECTS)
    pd.testing.assert_frame_equal(family(over_splits(index, 0.125, 1)), family(index))


def test_seeds_of_one_split_are_averaged_first_and_splits_are_the_pairs():
    """Six seeds on three splits, by hand: gains .001 to .006, means .0025, .0035, .0045."""
    index = make_index({"autoloss": 0.0, "ce": 0.0}, seeds=6, noise=0)
    ours = index["method"] == "autoloss"
    index.loc[ours, "auc"] += np.array([1, 2, 3, 4, 5, 6]) / 1000
    row = family(over_splits(index, 0.125, 3), ["auc"]).iloc[0]
    assert (row["n"], row["p_permutation"]) == (3, 2 / 2**3)
    assert (row["gain"], row["sd"]) == pytest.approx((0.0035, 0.001))
    half = 4.302653 * 0.001 * np.sqrt(1 / 3 + 1 / 8)  # t(.975, 2)
    assert (row["low"], row["high"]) == pytest.approx((0.0035 - half, 0.0035 + half), abs=1e-9)
    assert row["verdict"] == "cannot be significant with 3 splits: a family of 1 needs 6"


def test_pairs_of_several_splits_and_several_shares_are_refused():
    index = over_splits(make_index(EFFECTS), 0.125)
    odd = index.assign(split=index["split"].where(index["method"] != "kl", 3))
    with pytest.raises(RecordError, match=r"ml100k(.|\n)*seed 0 has runs of splits 0 and more"):
        family(odd)
    for share, found in ((0.0, "found 0"), (np.nan, "found none"), (None, "0.125, 0.25")):
        wrong = index["test_to_train"].where(index["seed"] > 0, 0.25) if share is None else share
        with pytest.raises(RecordError, match=f"need one test_to_train above 0(.|\n)*{found}"):
            family(index.assign(test_to_train=wrong))


def test_data_sets_have_each_their_own_share():
    index = make_index(EFFECTS, cells=[("a", "deepfm"), ("b", "deepfm")])
    share = index["dataset"].map({"a": 0.125, "b": 0.5})
    table = family(over_splits(index, share), ["auc"]).set_index(["dataset", "other"])
    for name, value in (("a", 0.125), ("b", 0.5)):
        row = table.loc[(name, "kl")]
        half = stats.t.isf(0.025, 11) * row["sd"] * np.sqrt(1 / 12 + value)
        assert row["high"] - row["gain"] == pytest.approx(half)


def test_pairing_is_by_seed_and_not_by_row():
    index = make_index(EFFECTS)
    shuffled = index.sample(frac=1, random_state=4).sort_values("method", key=lambda m: m != "kl")
    keys = ["metric", "other"]
    straight = family(index).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(straight, family(shuffled).sort_values(keys, ignore_index=True))
    wrong = index.copy()  # the same values on the wrong seeds: the seed's level no longer cancels
    ours = wrong["method"] == "autoloss"
    wrong.loc[ours, "seed"] = (wrong.loc[ours, "seed"] + 1) % 12
    assert family(wrong)["sd"].min() > 3 * straight["sd"].max()


# --- how often it errs ----------------------------------------------------------------------


def test_family_error_stays_below_alpha_under_the_null():
    cells = [("a", "deepfm"), ("b", "deepfm")]
    effects = dict.fromkeys(["autoloss", "focal", "kl", "ce"], 0.0)
    corrected = uncorrected = 0
    for simulation in range(150):
        index = make_index(effects, seeds=10, cells=cells, rng=simulation)
        table = family(index, ["auc"])
        corrected += table["significant"].any()
        uncorrected += (table["p_permutation"] < 0.05).any()
    assert corrected <= 13  # 5 % of 150 is 7.5; 14 or more has a probability of 2 %
    assert uncorrected >= 20  # six tests at 5 % each do err: Holm is doing the work


def test_no_effect_is_called_one_in_five_of_a_hundred_worlds_over_overlapping_splits():
    """Nadeau and Bengio's model: differences of all splits share a part, of correlation rho.

    Trained on 8 tenths of the rows, tested on 1: rho is 1/9, and rho / (1 - rho) = 1/8 = 1/10 over
    8/10. Sign flips, which take seeds for independent, err four times as often as they say.
    """
    worlds, rho, random = 150, 1 / 9, np.random.default_rng(7)
    wrong = flips = 0
    for world in range(worlds):
        index = make_index({"autoloss": 0.0, "ce": 0.0}, rng=world, noise=0)
        ours = index["method"] == "autoloss"
        shared, own = random.normal(size=1), random.normal(size=12)
        index.loc[ours, "auc"] += 0.001 * (np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)
        row = family(over_splits(index, 1 / 8), ["auc"]).iloc[0]
        wrong += row["verdict"] in ("better", "worse")
        flips += row["p_holm"] < 0.05
    assert wrong <= binom.isf(0.01, worlds, 0.05)
    assert flips > binom.isf(0.0001, worlds, 0.05)


def test_power_is_near_one_for_a_clear_win_and_near_zero_with_too_few_seeds():
    effects = {"autoloss": 0.003, "focal": 0.0, "kl": 0.0, "ce": 0.0}
    wins = [family(make_index(effects, rng=i), ["auc"])["significant"].all() for i in range(40)]
    assert sum(wins) >= 38
    few = [family(make_index(effects, seeds=6, rng=i), ["auc"]) for i in range(5)]
    assert not any(table["significant"].any() for table in few)


# --- what seeds can show --------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 2, 5, 10])
def test_thirty_comparisons_need_eleven_seeds(seeds):
    effects = {"autoloss": 0.05} | {f"other{i}": 0.0 for i in range(15)}
    cells = [("a", "deepfm"), ("b", "deepfm")]
    table = family(make_index(effects, seeds=seeds, cells=cells), ["auc"])
    assert (table["comparisons"] == 30).all()
    assert not table["significant"].any()
    text = f"cannot be significant with {seeds} seeds: a family of 30 needs 11"
    assert set(table["verdict"]) == {text}


def test_eleven_seeds_are_enough_for_thirty_comparisons():
    effects = {"autoloss": 0.05} | {f"other{i}": 0.0 for i in range(15)}
    cells = [("a", "deepfm"), ("b", "deepfm")]
    table = family(make_index(effects, seeds=11, cells=cells), ["auc"])
    assert set(table["verdict"]) == {"better"}
    assert table["p_holm"].to_numpy() == pytest.approx(30 / 2**10)


def test_one_seed_still_has_a_gain_in_the_good_direction():
    table = family(make_index({"autoloss": 0.05, "ce": 0.0}, seeds=1))
    assert table["gain"].to_numpy() == pytest.approx([0.05, 0.05], abs=0.01)
    assert table["p_permutation"].to_list() == [1, 1]


def test_nothing_to_compare_with_is_an_empty_table():
    alone = family(make_index({"autoloss": 0.0}))
    assert alone.empty
    assert list(alone) == list(family(make_index(EFFECTS)))


def test_one_comparison_needs_six_seeds():
    verdicts = [
        family(make_index({"autoloss": 0.05, "ce": 0.0}, seeds=n), ["auc"])["verdict"].item()
        for n in (5, 6)
    ]
    assert verdicts == ["cannot be significant with 5 seeds: a family of 1 needs 6", "better"]


# --- failed runs ----------------------------------------------------------------------------


def test_a_failed_run_makes_its_comparison_not_assessable_and_shrinks_the_family():
    table = family(fail(make_index(EFFECTS), "kl", 3)).set_index(["metric", "other"])
    for metric in METRICS:
        row = table.loc[(metric, "kl")]
        assert row["verdict"] == "not assessable: failed runs"
        assert row["n"] == 11
        assert row[["gain", "p_permutation", "p_t", "p_holm", "p_t_holm"]].isna().all()
        assert not row["significant"]
        assert row["best_other"]  # not passed over: a star against the second best would flatter
        assert table.loc[(metric, "focal"), "verdict"] == "better"
    assert (table["comparisons"] == 2).all()


def test_a_value_in_a_failed_run_is_not_used():
    index = make_index(EFFECTS)
    index.loc[(index["method"] == "kl") & (index["seed"] == 3), "status"] = "failed"
    table = family(index).set_index(["metric", "other"])
    assert table.loc[("auc", "kl"), "verdict"] == "not assessable: failed runs"
    assert describe(index, ["auc"]).set_index("method").loc["kl", "n"] == 11


def test_our_own_failed_run_leaves_nothing_assessable_in_the_cell():
    table = family(fail(make_index(EFFECTS), "autoloss", 0))
    assert set(table["verdict"]) == {"not assessable: failed runs"}
    assert (table["comparisons"] == 0).all()


def test_a_method_that_always_fails_is_kept_and_is_never_the_best():
    index = make_index(EFFECTS, seeds=3)
    for seed in range(3):
        fail(index, "kl", seed)
    table = family(index, ["auc"]).set_index("other")
    assert table.loc["kl", "verdict"] == "not assessable: failed runs"
    assert table.query("best_other").index.to_list() == ["ce"]
    assert describe(index, ["auc"]).set_index("method").loc["kl", ["n", "failed"]].to_list() == [
        0,
        3,
    ]


def test_describe():
    index = fail(make_index(EFFECTS, cells=[("b", "nfm"), ("a", "nfm")]), "ce", 5)
    table = describe(index, METRICS)
    assert len(table) == 2 * 2 * 4
    assert table["method"].to_list() == ["focal", "autoloss", "ce", "kl"] * 4
    assert table["dataset"].to_list() == (["b"] * 4 + ["a"] * 4) * 2
    row = table.query("dataset == 'a' and method == 'ce' and metric == 'logloss'").iloc[0]
    values = index.query("dataset == 'a' and method == 'ce'")["logloss"].dropna().to_numpy()
    assert (row["n"], row["failed"]) == (11, 1)
    assert row["mean"] == pytest.approx(values.sum() / 11)
    assert row["sd"] == pytest.approx(np.sqrt(((values - values.mean()) ** 2).sum() / 10))
    assert table.query("method != 'ce'")["failed"].sum() == 0


# --- an index that is not whole -------------------------------------------------------------


def without(index, method, *seeds):
    return index[~((index["method"] == method) & index["seed"].isin(seeds))]


def test_every_hole_is_named_with_its_mend():
    index = make_index(EFFECTS, cells=[("ml100k", "deepfm"), ("adult", "nfm")])
    holed = without(without(index, "kl", 3, 7), "ce", *range(12))
    holed = pd.concat([holed, index.query("dataset == 'adult' and method == 'ce'")])
    with pytest.raises(RecordError) as caught:
        family(holed)
    message = str(caught.value)
    assert "ml100k/deepfm/kl lacks seeds [3, 7]" in message
    assert "adult/nfm/kl lacks seeds [3, 7]" in message
    assert f"ml100k/deepfm/ce lacks seeds {list(range(12))}" in message  # no run at all there
    assert "adult/nfm/ce" not in message
    assert "snakemake --cores all" in message


def test_a_missing_seed_of_ours_is_a_hole_too():
    with pytest.raises(RecordError, match=r"ml100k/deepfm/autoloss lacks seeds \[11\]"):
        family(without(make_index(EFFECTS), "autoloss", 11))


@pytest.mark.parametrize("function", [family, describe])
def test_damaged_rows_are_refused(function):
    index = make_index(EFFECTS)
    with pytest.raises(
        RecordError, match=r"ml100k/deepfm/focal seed 0: more than one(.|\n)*--cores"
    ):
        function(pd.concat([index, index.iloc[:1]]), METRICS)
    with pytest.raises(RecordError, match="ml100k/deepfm/autoloss seed 0: ok, but logloss"):
        function(index.assign(logloss=index["logloss"].mask(index.index == 1)), METRICS)
    with pytest.raises(RecordError, match="must be ok or failed, found running"):
        function(index.assign(status="running"), METRICS)
    with pytest.raises(RecordError, match=r"no metric 'logloss_raw'(.|\n)*did you mean 'logloss'"):
        function(index, ["logloss_raw"])


def test_unknown_ours_names_the_nearest():
    with pytest.raises(RecordError, match=r"no run of 'autolos'(.|\n)*did you mean 'autoloss'"):
        family(make_index(EFFECTS), ours=["autoloss", "autolos"])


def recalibrated(index, without):
    """A third metric, which the runs of one method are without."""
    values = index["logloss"].where(index["method"] != without)
    return index.assign(logloss_calibrated=values)


def test_a_method_without_recalibration_is_in_no_comparison_by_it():
    index = recalibrated(make_index(EFFECTS), "kl")
    metrics = [*METRICS, "logloss_calibrated"]
    table = family(index, metrics).set_index(["metric", "other"])
    assert table.loc["logloss"].index.to_list() == ["focal", "ce", "kl"]
    assert table.loc["logloss_calibrated"].index.to_list() == ["focal", "ce"]
    others = family(make_index({k: EFFECTS[k] for k in ("focal", "autoloss", "ce")}), ["logloss"])
    assert set(table.loc["logloss_calibrated", "comparisons"]) == {2}
    p = table.loc["logloss_calibrated", "p_permutation"].to_numpy()
    assert table.loc["logloss_calibrated", "p_holm"].to_numpy() == pytest.approx(holm(p))
    assert table.loc["logloss_calibrated"].query("best_other").index.to_list() == ["ce"]
    assert len(others) == 2
    described = describe(index, metrics)
    assert len(described) == 4 * 3 - 1
    assert described.query("metric == 'logloss_calibrated'")["n"].to_list() == [12] * 3


def test_runs_of_which_some_lack_recalibration_are_refused():
    index = recalibrated(make_index(EFFECTS), "kl")
    index.loc[(index["method"] == "ce") & (index["seed"] == 3), "logloss_calibrated"] = np.nan
    with pytest.raises(RecordError, match="ce seed 3: ok, but logloss_calibrated is missing"):
        family(index, ["logloss_calibrated"])
    lost = make_index(EFFECTS).assign(auc=np.nan)
    with pytest.raises(RecordError, match="auc is missing"):
        family(lost, ["auc"])


def test_a_method_all_of_whose_runs_failed_is_not_one_without_recalibration():
    index = recalibrated(make_index(EFFECTS), "kl")
    index.loc[index["method"] == "kl", "status"] = "failed"
    table = family(index, ["logloss_calibrated"]).set_index("other")
    assert table.loc["kl", "verdict"] == "not assessable: failed runs"
