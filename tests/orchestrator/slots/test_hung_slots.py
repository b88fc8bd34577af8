"""A slot hangs where its attempt falls silent, or where it holds a trial and nothing runs for long."""

from __future__ import annotations

import pytest

from orchestrator.slots.hung_slots import HungSlots
from workers.contract.orders import Heartbeat, Progress

SILENCE, IDLE = 20.0, 60.0
LOOKS = range(0, 200, 5)


def beat(attempt_id: str, trial_id: str = "t", done: int = 0) -> Heartbeat:
    return Heartbeat(
        trial_id=trial_id, attempt_id=attempt_id, statistic=None, sweep="toy", run_id="r",
        state="running", host="h", pid=1, devices="-1", device_share=0.0, started_at="",
        beat_at="1999-01-01T00:00:00", progress=Progress(phase="training", done=done),
    )  # fmt: skip


@pytest.fixture
def slots():
    return HungSlots(SILENCE, IDLE)


def times(slots: HungSlots, look) -> list[int]:
    """Look every 5 seconds; when the trial's slot was found to hang."""
    return [now for now in LOOKS if slots.find(*look(now), now) == {"t"}]


def test_an_attempt_that_tells_nothing_is_at_a_hung_slot(slots):
    """Told again only when as much time has passed."""
    found = times(slots, lambda _: ([beat("a")], {"t", "other"}))
    assert found[:3] == [25, 55, 85]


def test_a_slot_that_is_heard_is_left_alone(slots):
    """Also where an attempt that lost its slot says for ever that it runs."""
    assert times(slots, lambda now: ([beat("lost"), beat("b", done=now)], {"t"})) == []


def test_a_slot_that_holds_a_trial_and_does_nothing_hangs(slots):
    """It was stopped between two attempts, or before its first."""
    assert times(slots, lambda _: ([], {"t"}))[:2] == [65, 135]


def test_a_pause_between_attempts_is_no_hang(slots):
    """Each attempt lets the time begin anew."""
    pause = lambda now: ([] if now % 65 else [beat("a", done=now)], {"t"})  # noqa: E731
    assert times(slots, pause) == []


def test_who_holds_no_trial_is_no_matter(slots):
    """Of a slot that was lost nothing is left to end."""
    assert times(slots, lambda _: ([beat("a")], set())) == []
