"""Downloads under faults: the right bytes or one clear error, and the next attempt succeeds."""

import hashlib

import pytest

from autoloss.data import progress
from autoloss.data.fetch import download as downloading
from autoloss.data.fetch.download import Begun, Part, download
from autoloss.data.folders import NoSpaceError
from autoloss.data.specs import Pinned
from autoloss.errors import DataError
from benchmarks.faulty_server import Fault, Site, serving

CONTENT = bytes(range(256)) * 2000  # several of the chunks that a cut may lose the last one of
OTHER = CONTENT[::-1]
PINNED = Pinned(bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
UNPUBLISHED = Pinned()
HALF = len(CONTENT) // 2


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(downloading, "PAUSE", 0)
    monkeypatch.setattr(downloading, "TIMEOUT", (2, 2))


@pytest.fixture
def site():
    with serving(Site(CONTENT)) as running:
        yield running


@pytest.fixture
def bring(site, tmp_path):
    """Download with these pins and faults; what was said, and the bytes that came."""

    def run(*faults, pins=PINNED, last=True):
        site.faults.extend(faults)
        said, part = [], Part(tmp_path / "tiny", site.url)
        content = download(part, pins, last=last, say=said.append)
        assert content.bytes == part.size
        return "\n".join(said), part.path.read_bytes()

    return run


def ranges(site):
    return [int(asked.removeprefix("bytes=")[:-1]) if asked else 0 for asked in site.asked]


@pytest.mark.parametrize("validator", ["etag", "modified"])
@pytest.mark.parametrize("pins", [PINNED, UNPUBLISHED])
def test_a_cut_download_goes_on_where_it_stopped(site, bring, validator, pins):
    site.validator = validator
    said, got = bring(Fault("cut", HALF), Fault("cut", HALF // 2), pins=pins)
    assert got == CONTENT
    first, second, third = ranges(site)
    assert first == 0 < second < third
    assert "going on at" in said
    assert "trying again" in said


def test_a_connection_that_ends_early_is_told_by_the_published_size(site, bring):
    assert bring(Fault("endless", HALF), Fault("endless", HALF // 2))[1] == CONTENT
    assert ranges(site) == [0, HALF, HALF + HALF // 2]


def test_a_new_process_goes_on_with_the_part(site, bring):
    with pytest.raises(DataError, match="tries without progress"):
        bring(*[Fault("cut", 100_000)] * 3, *[Fault("status", 503)] * 9)
    site.faults.clear()
    site.asked.clear()
    assert bring()[1] == CONTENT
    assert ranges(site)[0] > 100_000
    assert len(site.asked) == 1
    assert bring()[1] == CONTENT  # complete: not even asked for
    assert len(site.asked) == 1


def test_without_validator_only_a_published_digest_allows_to_go_on(site, bring):
    site.validator = "none"
    assert bring(Fault("cut", HALF), pins=UNPUBLISHED)[1] == CONTENT
    assert ranges(site) == [0, 0]


def test_a_weak_etag_is_no_proof_of_the_same_bytes(site, bring):
    site.validator = "weak"
    assert bring(Fault("cut", HALF), pins=UNPUBLISHED)[1] == CONTENT
    assert ranges(site) == [0, 0]


def test_a_server_without_ranges_starts_over(site, bring):
    assert bring(Fault("cut", HALF), Fault("whole"))[1] == CONTENT


@pytest.mark.parametrize("server", ["none", "liar"])
@pytest.mark.parametrize("validator", ["etag", "modified", "none"])
def test_a_file_that_changed_is_not_glued_to_an_old_half(site, bring, server, validator):
    site.validator = validator
    _, got = bring(Fault("cut", HALF), Fault(server, content=OTHER), pins=UNPUBLISHED)
    assert got == OTHER


def test_a_wrong_half_found_by_the_digest_starts_over(site, bring, tmp_path):
    part = Part(tmp_path / "tiny", site.url)
    part.path.write_bytes(OTHER[:HALF])
    part.note(Begun(validator=None, total=len(CONTENT)))
    said, got = bring()
    assert got == CONTENT
    assert "starting over" in said


@pytest.mark.parametrize("statuses", [[500], [503, 503, 502], [429], [408]])
def test_passing_answers_are_tried_again(bring, statuses):
    assert bring(*[Fault("status", status) for status in statuses])[1] == CONTENT


@pytest.mark.parametrize(
    ("fault", "reason", "asked"),
    [
        (Fault("status", 404), "404", 1),
        (Fault("status", 403), "403", 1),
        (Fault("status", 500), "500.*6 tries", 6),
        (Fault("loop"), "redirects", 31),
        (Fault("short", HALF), f"expected {len(CONTENT)} bytes, the server has {HALF}", 1),
        (Fault("wrong"), "expected sha256 .*, found", 1),
    ],
)
def test_lasting_faults_are_a_clear_error_and_then_it_works(site, bring, fault, reason, asked):
    site.always = fault
    with pytest.raises(DataError, match=reason):
        bring()
    assert len(site.asked) == asked
    site.always = None
    assert bring()[1] == CONTENT


def test_where_nothing_came_and_a_mirror_is_left_patience_is_short(site, bring):
    site.always = Fault("status", 503)
    with pytest.raises(DataError):
        bring(last=False)
    assert len(site.asked) == 2


def test_a_server_that_sends_too_much_is_stopped(site, bring):
    with pytest.raises(DataError, match="sends more than 1000 bytes"):
        bring(Fault("endless", HALF), pins=Pinned(bytes=1000))


def test_retry_after_is_heeded_within_limits(monkeypatch, site, bring):
    waits = []
    monkeypatch.setattr(downloading.time, "sleep", waits.append)
    monkeypatch.setattr(downloading, "PAUSE", 1)
    monkeypatch.setattr(downloading, "LONGEST", 10)
    monkeypatch.setattr(downloading.random, "uniform", lambda low, high: high)
    bring(*[Fault("status", 503)] * 5)
    assert waits == [1, 2, 4, 8, 10]


def test_a_disk_too_small_is_said_before_a_byte_comes(monkeypatch, site, bring, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": 1000}))
    with pytest.raises(NoSpaceError, match=r"needs 512\.0 kB, and 1\.0 kB are free"):
        bring()
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_note_of_a_part_starts_over(site, bring, tmp_path):
    with pytest.raises(DataError):
        bring(Fault("cut", 100_000), *[Fault("status", 503)] * 6)
    (note,) = tmp_path.glob(".tiny.*.part.json")
    note.write_text("{")
    assert bring()[1] == CONTENT
    assert ranges(site)[-1] == 0


def test_progress_in_a_log_says_rate_and_time_left(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    said = []
    with progress.byte_progress("x.zip", 4_000_000_000, said.append) as at:
        for clock[0], done in (0, 1_000_000_000), (12, 1_120_000_000), (13, 1_130_000_000):
            at(done)
    assert said == ["x.zip: 1.1/4.0 GB, 10.0 MB/s, 0:04:48 left, 12 s"]
