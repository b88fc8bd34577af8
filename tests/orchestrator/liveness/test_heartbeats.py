"""Which attempts live, whatever the clocks say."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.liveness.heartbeats import HeartbeatReader, live_heartbeats, seconds_between
from workers.contract.errors import StoreError
from workers.contract.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR = 3600.0


class Place:
    """A store with heartbeats, a wall clock, and a monotonic clock that no one sets."""

    def __init__(self, store: Store, make_beat) -> None:
        self.store, self._make_beat = store, make_beat
        self.now, self.ticks = NOW, 0.0
        self.reader = HeartbeatReader(store, lambda: self.ticks)

    def beat(self, trial_id="t", beat_age=0.0, file_age=0.0, attempt_id="a", **changes) -> None:
        """Write a heartbeat of this age by its own machine's clock and by the storage's."""
        beat_at = (self.now - timedelta(seconds=beat_age)).isoformat()
        beat = self._make_beat(trial_id, attempt_id=attempt_id, beat_at=beat_at, **changes)
        path = Store.heartbeat_path(trial_id, attempt_id)
        self.store.write_json(path, beat.model_dump(mode="json"))
        written = self.now.timestamp() - file_age
        os.utime(self.store.local_path(path), (written, written))

    def wait(self, seconds: float) -> None:
        self.ticks += seconds
        self.now += timedelta(seconds=seconds)

    def look(self, *trial_ids: str) -> tuple[list[str], list[str]]:
        found = self.reader.look(set(trial_ids or "t"), self.now)
        return [b.trial_id for b in found.live], [b.trial_id for b in found.silent]


@pytest.fixture
def place(tmp_path, make_beat):
    return Place(Store.open(str(tmp_path / "store")), make_beat)


@pytest.mark.parametrize(
    ("beat_age", "file_age", "is_live"),
    [
        (59, 59, True),
        (61, 61, False),
        (HOUR, 5, True),  # the attempt's clock is an hour behind
        (-HOUR, 5, True),  # or ahead
        (5, HOUR, True),  # the storage's clock is behind
        (5, -HOUR, True),
        (-HOUR, HOUR, False),  # died an hour ago on a machine whose clock was ahead
        (HOUR, HOUR, False),
        (-HOUR, -HOUR, False),  # our own clock is an hour behind both: a single look cannot tell
    ],
)
def test_at_a_single_look_one_clock_in_step_with_ours_is_enough(place, beat_age, file_age, is_live):
    """The attempt's or the storage's; what shows neither is told as silent, not left out."""
    place.beat(beat_age=beat_age, file_age=file_age)
    assert place.look() == ((["t"], []) if is_live else ([], ["t"]))
    assert bool(live_heartbeats(place.store, {"t"}, NOW)) is is_live


@pytest.mark.parametrize("skew", [HOUR, -HOUR])
def test_a_second_look_needs_no_clock(place, skew):
    """Our own clock is off: what changes lives, for as long as it does."""
    place.beat(beat_age=skew, file_age=skew)
    assert place.look() == ([], ["t"])
    for _ in range(30):
        place.wait(5)
        place.beat(beat_age=skew, file_age=skew)
        assert place.look() == (["t"], [])
    place.wait(60)
    assert place.look() == (["t"], [])
    place.wait(1)
    assert place.look() == ([], ["t"])


def test_what_stops_changing_falls_silent_whatever_its_time_says(place):
    """A killed attempt of a machine whose clock is ahead: not alive until ours has caught up."""
    place.beat(beat_age=-30)
    assert place.look() == (["t"], [])
    place.wait(61)
    assert place.look() == ([], ["t"])


def test_a_file_written_anew_with_the_same_content_is_no_sign_of_life(place):
    """As a copy of the store would be."""
    place.beat(beat_age=50, file_age=50)
    assert place.look() == (["t"], [])
    place.wait(11)
    place.beat(beat_age=61, file_age=0)
    assert place.look() == ([], ["t"])


def test_an_attempt_that_appears_between_two_looks_lives(place):
    """Though both clocks are off."""
    assert place.look() == ([], [])
    place.wait(5)
    place.beat(beat_age=HOUR, file_age=HOUR)
    assert place.look() == (["t"], [])


def test_only_open_trials_that_say_they_run(place):
    """Not other trials, nor attempts that ended."""
    place.beat("t")
    place.beat("u", state="ended")
    place.beat("v")
    assert place.look("t", "u") == (["t"], [])


def test_of_a_trial_the_last_silent_attempt_is_told_and_only_when_none_lives(place):
    """Each kill leaves one behind."""
    place.beat(attempt_id="a", beat_age=HOUR, file_age=HOUR, started_at="2026-01-01T00:00:00+00:00")
    place.beat(attempt_id="b", beat_age=HOUR, file_age=HOUR, started_at="2026-01-02T00:00:00+00:00")
    found = place.reader.look({"t"}, NOW)
    assert [b.attempt_id for b in found.silent] == ["b"]
    place.beat(attempt_id="c")
    assert place.look() == (["t"], [])


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"null", b"[]", b'{"trial_id": "t"}', b"1" * 5000]
)
def test_a_damaged_heartbeat_breaks_nothing(place, content):
    """Half-written or no heartbeat at all: it tells nothing until it is whole, and is told by its name."""
    told = (
        r"ignored a damaged file of the store, attempts/t\.a\.json: it is no(t JSON| heartbeat): "
    )
    place.beat("u")
    place.store.write_bytes(Store.heartbeat_path("t", "a"), content)
    with pytest.warns(UserWarning, match=told):
        assert place.look("t", "u") == (["u"], [])
    place.beat("t")
    assert place.look("t", "u") == (["t", "u"], [])
    place.store.write_bytes(Store.heartbeat_path("t", "a"), content)
    with pytest.warns(UserWarning, match=told):
        assert place.look("t", "u") == (["u"], [])


@pytest.mark.parametrize("beat_at", ["", "yesterday", "2026-01-02T03:04:05", "99999-01-01"])
def test_a_time_that_is_none_leaves_the_storages(place, make_beat, beat_at):
    """And never raises."""
    path = Store.heartbeat_path("t", "a")
    beat = make_beat("t", beat_at=beat_at, started_at=beat_at)
    place.store.write_json(path, beat.model_dump(mode="json"))
    os.utime(place.store.local_path(path), (NOW.timestamp(), NOW.timestamp()))
    assert place.look() == (["t"], [])
    place.wait(61)
    assert place.look() == ([], ["t"])


def test_what_did_not_change_is_not_read_again(place, monkeypatch):
    """Heartbeats of ended attempts pile up."""
    place.beat("t", file_age=0.5)
    place.beat("u", state="ended")
    place.look("t", "u")

    def fail(*_: object) -> None:
        raise StoreError("read again")

    monkeypatch.setattr(Store, "read_json", fail)
    assert place.look("t", "u") == (["t"], [])


def test_seconds_between_times_of_one_clock():
    """In whatever zone; NaN when one is no time."""
    assert seconds_between("2026-01-02T03:04:05+00:00", "2026-01-02T04:04:06+01:00") == 1.0
    assert seconds_between("", "2026-01-02T03:04:05+00:00") != seconds_between("", "")


def test_object_storage_tells_the_time_of_a_heartbeat(s3_store, make_beat):
    """The attempt's clock is off by years, the storage's is not; then change alone tells."""
    ticks = [0.0]
    reader = HeartbeatReader(s3_store, lambda: ticks[0])
    path = Store.heartbeat_path("t", "a")
    s3_store.write_json(path, make_beat("t").model_dump(mode="json"))
    assert len(reader.look({"t"}, datetime.now(UTC)).live) == 1
    ticks[0] = 70.0
    assert len(reader.look({"t"}, datetime.now(UTC)).silent) == 1
    s3_store.write_json(path, make_beat("t", done=1, total=2).model_dump(mode="json"))
    assert len(reader.look({"t"}, datetime.now(UTC)).live) == 1
