"""Generated clicks: the same rows every time, and the answer that is planted in them."""

from __future__ import annotations

import hashlib
import io

import polars as pl
import pytest

from autoloss.data.fetch.source import fetch
from autoloss.data.manifest import RawManifest, read_manifest
from autoloss.data.specs import load_source
from autoloss.errors import DataError
from autoloss.synth.clicks import FIELDS, REGION, text
from tests.tiny import ROOT


def rows(count, seed=0):
    return b"".join(text(count, seed))


def test_fewer_rows_are_the_first_of_more_and_another_seed_gives_others():
    few, many = rows(100), rows(70_000)
    assert many.startswith(few)
    assert many.count(b"\n") == 70_001
    assert rows(100, seed=1) != few


def test_in_the_region_a_label_follows_from_the_features_and_elsewhere_it_is_a_draw():
    frame = pl.read_csv(io.BytesIO(rows(60_000)))
    assert frame.columns == ["segment", *FIELDS, "click"]
    shares = frame.group_by("segment").agg(pl.len() / frame.height, pl.col("click").mean())
    by = {row[0]: row[1:] for row in shares.iter_rows()}
    order = sorted(by, key=lambda segment: -by[segment][0])
    assert order.index(REGION) == 1  # so that its id, by frequency, is 2
    assert by[REGION][0] == pytest.approx(1 / 3, abs=0.01)
    assert by[REGION][1] > 0.75
    assert max(by[s][1] for s in by if s != REGION) < 0.3


def test_fetching_it_needs_no_network_and_says_that_it_is_generated(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOLOSS_OFFLINE", "1")
    source = load_source("clicks", ROOT)
    content = rows(500)
    about = {"rows": 500, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    small = source.mirrors[0].model_copy(update=about)
    folder = tmp_path / "raw" / "clicks"
    fetch(source.model_copy(update={"mirrors": (small,)}), folder, say=lambda line: None)
    assert (folder / "clicks.csv").read_bytes() == content
    assert read_manifest(folder, RawManifest, "").generated


def test_other_rows_than_those_described_are_neither_made_nor_kept(tmp_path):
    source = load_source("clicks", ROOT)
    content = rows(500)
    about = {"rows": 500, "bytes": len(content), "sha256": "0" * 64}
    small = source.mirrors[0].model_copy(update=about)
    source, folder = source.model_copy(update={"mirrors": (small,)}), tmp_path / "raw" / "clicks"
    with pytest.raises(DataError, match=r"makes other rows than it is to(.|\n)*write their"):
        fetch(source, folder, say=lambda line: None)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clicks.csv").write_bytes(content)  # Snakemake deletes the manifest, where it changed
    with pytest.raises(DataError, match=r"holds what is not in its manifest"):
        fetch(source, folder, say=lambda line: None)


def test_the_rows_that_are_described_are_those_that_are_made():
    (mirror,) = load_source("clicks", ROOT).mirrors
    content = rows(mirror.rows, mirror.seed)
    assert (len(content), hashlib.sha256(content).hexdigest()) == (mirror.bytes, mirror.sha256)
