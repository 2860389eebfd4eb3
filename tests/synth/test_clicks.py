"""Generated clicks: the same rows every time, and the answer that is planted in them."""

from __future__ import annotations

import io

import polars as pl
import pytest

from autoloss.data.fetch.source import fetch
from autoloss.data.manifest import RawManifest, read_manifest
from autoloss.data.specs import load_source
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
    small = source.mirrors[0].model_copy(update={"rows": 500})
    source = source.model_copy(update={"mirrors": (small,)})
    folder = tmp_path / "raw" / "clicks"
    fetch(source, folder, say=lambda line: None)
    assert (folder / "clicks.csv").read_bytes() == rows(500)
    assert read_manifest(folder, RawManifest, "").generated
