"""Silence is told by our own clock, and never of those who could not be heard."""

from __future__ import annotations

import json
import math

from orchestrator.liveness.silence import Silence
from workers.contract.orders import Heartbeat, Progress


def beat(name: str, done: int = 0, beat_at: str = "1999-01-01T00:00:00") -> Heartbeat:
    return Heartbeat(
        trial_id="t", attempt_id=name, statistic=None, sweep="toy", run_id="r", state="running",
        host="h", pid=1, devices="-1", device_share=0.0, started_at="", beat_at=beat_at,
        progress=Progress(phase="training", done=done),
    )  # fmt: skip


def test_who_does_not_change_is_silent():
    """Whatever time it says it is, and whatever it was doing."""
    silence = Silence(60)
    for now in range(0, 61, 20):
        assert silence.silent({"a": beat("a"), "b": beat("b", now)}, now) == set()
    assert silence.silent({"a": beat("a"), "b": beat("b", 61)}, 61) == {"a"}
    later = {"a": beat("a", beat_at="later"), "b": beat("b", 61)}
    assert silence.silent(later, 80) == set()


def test_after_a_time_without_looks_all_begin_anew():
    """The store was away: nobody could be heard."""
    silence = Silence(60, longest_gap_seconds=30)
    silence.silent({"a": beat("a")}, 0)
    assert silence.silent({"a": beat("a")}, 100) == set()
    for now in (120, 140, 160):
        assert silence.silent({"a": beat("a")}, now) == set()
    assert silence.silent({"a": beat("a")}, 161) == {"a"}


def test_who_is_gone_is_forgotten():
    """And begins anew when it is back."""
    silence = Silence(10)
    silence.silent({"a": beat("a")}, 0)
    silence.silent({}, 5)
    assert silence.silent({"a": beat("a")}, 11) == set()


def test_a_loss_that_is_no_number_does_not_look_alive():
    """NaN differs from itself, and a heartbeat that tells it is still the same when read anew."""

    def read() -> Heartbeat:
        told = beat("a").model_dump() | {"progress": {"phase": "training", "train_loss": math.nan}}
        return Heartbeat.model_validate_json(json.dumps(told))

    silence = Silence(60)
    assert silence.silent({"a": read()}, 0) == set()
    for now in range(20, 61, 20):
        assert silence.silent({"a": read()}, now) == set()
    assert silence.silent({"a": read()}, 61) == {"a"}


def test_who_is_forgotten_begins_anew():
    """At the next look, and though it looks the same."""
    silence = Silence(10)
    for now in (0, 5, 11):
        found = silence.silent({"a": 1}, now)
    assert found == {"a"}
    silence.forget("a")
    for now in (12, 22):
        assert silence.silent({"a": 1}, now) == set()
    assert silence.silent({"a": 1}, 23) == {"a"}
