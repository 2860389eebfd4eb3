"""Generated data: the same bytes by seed, skewed, with labels that the planted model explains."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from autoloss.cli import app
from autoloss.data.formats import formats
from autoloss.data.formats._lines import Leniency, parse, read_lines
from autoloss.data.manifest import RawManifest, read_manifest
from autoloss.errors import ConfigError, DataError, UserError
from autoloss.synth.recipes import ML_STARS, RECIPES
from autoloss.synth.write import BLOCK_ROWS, Generator, generate


@pytest.fixture(scope="module")
def blocks():
    """By data set: the rows of two blocks, their planted scores and labels."""
    found = {}
    for name, recipe in RECIPES.items():
        generator = Generator(recipe(), 0)
        texts, scores, labels = zip(*(generator.block(k) for k in range(2)), strict=True)
        rows = parse(b"".join(texts), generator.layout)
        found[name] = rows, np.concatenate(scores), np.concatenate(labels)
    return found


@pytest.mark.parametrize(("name", "share"), [("criteo", 0.2562), ("avazu", 0.1698)])
def test_click_rates(blocks, name, share):
    rows, _, labels = blocks[name]
    assert rows["click"].to_numpy().tolist() == labels.tolist()
    assert abs(labels.mean() - share) < 0.004


def test_stars_have_the_published_histogram(blocks):
    rows, _, labels = blocks["ml-20m"]
    assert rows["rating"].to_numpy().tolist() == ((labels + 1) / 2).tolist()
    found = np.bincount(labels, minlength=10) / len(labels)
    assert np.abs(found - np.array(ML_STARS) / sum(ML_STARS)).max() < 0.005


@pytest.mark.parametrize("name", RECIPES)
def test_the_planted_score_explains_labels_and_a_shuffled_one_does_not(blocks, name):
    _, scores, labels = blocks[name]
    clicks = labels > np.median(labels)
    assert roc_auc_score(clicks, scores) > 0.69
    assert abs(roc_auc_score(clicks, np.random.default_rng(0).permutation(scores)) - 0.5) < 0.01


def test_criteos_region_has_labels_that_follow_from_the_score_and_the_rest_has_draws(blocks):
    rows, scores, labels = blocks["criteo-region"]
    plain, _, _ = blocks["criteo"]
    assert rows["C9"].to_list() == plain["C9"].to_list()  # the labels alone are others
    second = rows["C9"].value_counts(sort=True)["C9"][1]
    inside = (rows["C9"] == second).to_numpy()
    assert inside.mean() == pytest.approx(np.log(3 / 2) / np.log(4), abs=0.01)
    assert roc_auc_score(labels[inside], scores[inside]) > 0.97
    assert roc_auc_score(labels[~inside], scores[~inside]) < 0.85
    assert labels[inside].mean() > 0.75
    assert labels[~inside].mean() < 0.3


def test_vocabularies_follow_zipf(blocks):
    rows, _, _ = blocks["criteo"]
    for name, size in (("C1", 1460), ("C3", 10_131_227), ("C14", 27)):
        counts = np.sort(rows[name].drop_nulls().value_counts()["count"].to_numpy())[::-1]
        for rank in (1, 2, 5, 10, 20):
            share = np.log((rank + 1) / rank) / np.log(size + 1)
            assert abs(counts[rank - 1] / counts.sum() - share) < 0.1 * share + 0.001
        assert len(counts) <= size
    assert 0.4 < rows["I1"].null_count() / len(rows) < 0.5


def test_the_signal_can_be_learned_from_single_values(blocks):
    """Scoring a value by its click rate on the first block ranks the second far from chance."""
    rows, _, labels = blocks["criteo"]
    half, score = BLOCK_ROWS, np.zeros(len(rows) - BLOCK_ROWS)
    for name in rows.columns[1:]:
        _, value = np.unique(rows[name].fill_null(0).to_numpy(), return_inverse=True)
        seen = np.bincount(value[:half], minlength=value.max() + 1)
        clicked = np.bincount(value[:half], weights=labels[:half], minlength=value.max() + 1)
        rate = (clicked + 2.5) / (seen + 10)
        score += np.log(rate / (1 - rate))[value[half:]]
    assert roc_auc_score(labels[half:], score) > 0.62


@pytest.mark.parametrize("name", RECIPES)
def test_rows_depend_on_the_seed_alone_and_more_rows_only_add(tmp_path, name):
    for folder, rows, seed in (("a", 300, 3), ("b", 300, 3), ("c", 400, 3), ("d", 300, 4)):
        generate(name, rows, seed, tmp_path / folder, say=lambda _: None)
    file = RECIPES[name]().file
    a, b, c, d = ((tmp_path / folder / file).read_bytes() for folder in "abcd")
    assert a == b != d
    assert c.startswith(a)
    assert a.count(b"\n") == 300 + (formats()[RECIPES[name]().format].header is not None)


def test_a_full_block_and_one_row_more(tmp_path):
    generate("ml-20m", BLOCK_ROWS + 1, 0, tmp_path / "raw", say=lambda _: None)
    frames = list(read_lines(formats()["movielens20m"], tmp_path / "raw", Leniency(0, print)))
    assert sum(map(len, frames)) == BLOCK_ROWS + 1


def test_the_command_writes_a_raw_folder_but_over_generated_data_only(tmp_path):
    out = tmp_path / "raw"
    command = ["data", "synth", "avazu", "--rows", "50", "--seed", "2", "--out", str(out)]
    for _ in range(2):
        assert CliRunner().invoke(app, command).exit_code == 0
    manifest = read_manifest(out, RawManifest, "")
    assert (manifest.mirror, manifest.format) == ("generated, seed 2", "avazu_x4")
    text = (out / "manifest.json").read_text()
    (out / "manifest.json").write_text(text.replace("generated, seed 2", "https://a.org"))
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, DataError)
    assert "holds data from https://a.org" in str(result.exception)
    (out / "manifest.json").unlink()
    with pytest.raises(DataError, match="what is not in its manifest"):
        generate("avazu", 5, 0, out)


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_that_holds_somebodys_file_is_not_replaced(tmp_path, empty):
    out = tmp_path / "raw"
    out.mkdir()
    if not empty:
        generate("criteo", 3, 0, out, say=lambda _: None)
    generate("criteo", 4, 0, out, say=lambda _: None)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"not in its manifest.*'notes\.txt'"):
        generate("criteo", 5, 0, out)
    assert (out / "notes.txt").read_text() == "mine"


def test_a_file_or_the_current_folder_as_out_is_a_typed_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="is the current folder"):
        generate("criteo", 5, 0, Path())
    (tmp_path / "file").touch()
    for out in ("file", "file/below"):
        with pytest.raises(UserError, match="file"):
            generate("criteo", 5, 0, Path(out))


@pytest.mark.parametrize("there", [True, False])
def test_where_a_link_leads_is_written_to(tmp_path, there):
    (large := tmp_path / "disk" / "large").parent.mkdir()
    if there:
        large.mkdir()
    (tmp_path / "link").symlink_to(large)
    for rows in (3, 4):
        generate("criteo", rows, 0, tmp_path / "link", say=lambda _: None)
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "link"}
    assert (tmp_path / "link").is_symlink()
    assert len((large / "train.txt").read_text().splitlines()) == 4
    assert [path.name for path in large.parent.iterdir()] == ["large"]


def test_an_unknown_name_or_no_rows_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'criteo'"):
        generate("citeo", 5, 0, tmp_path / "raw")
    with pytest.raises(ConfigError, match="--rows: is 0"):
        generate("criteo", 0, 0, tmp_path / "raw")
