"""How fast a sweep goes, counted over a stated time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.monitor.throughput import runs_began, throughput
from orchestrator.planning.store_state import RecordedStatistic, StoreState
from workers.contract.lacking import Missing
from workers.contract.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


@pytest.fixture
def done_at(make_trial):
    """Make done trials, and the state that tells when a statistic of each was committed last."""

    def make(*ages: float) -> tuple[list[Missing], StoreState]:
        items = [Missing(make_trial(seed), True, [], False) for seed in range(len(ages))]  # noqa: FBT003
        times = {
            (item.planned.trial_id, name): RecordedStatistic("losses", 1.0, ago(age + shift))
            for item, age in zip(items, ages, strict=True)
            for name, shift in (("early", 9999.0), ("last", 0.0))
        }
        return items, StoreState(statistics=times)

    return make


def test_trials_of_the_last_hour(done_at, make_beat):
    """With a live attempt that began before it, or none at all."""
    items, state = done_at(10, 3599, 3601)
    for beats in ([], [make_beat("t", started_at=ago(9000))]):
        found = throughput(items, state, beats, NOW)
        assert (found.num_finished, found.window_seconds, found.trials_per_hour) == (2, 3600, 2)
        assert found.since == "an hour ago"


def test_trials_since_the_first_live_attempt_began(done_at, make_beat):
    """A run of ten minutes is not held to an hour."""
    items, state = done_at(10, 599, 601)
    beats = [make_beat("t", started_at=ago(age)) for age in (600, 30)]
    found = throughput(items, state, beats, NOW)
    assert (found.num_finished, found.window_seconds, found.trials_per_hour) == (2, 600, 12)
    assert found.since == "the first live attempt"


def test_a_minute_is_needed_to_tell(done_at, make_beat):
    """And a start in the future, of a clock ahead, is no start."""
    items, state = done_at(10)
    assert (
        throughput(items, state, [make_beat("t", started_at=ago(59))], NOW).trials_per_hour is None
    )
    ahead = throughput(items, state, [make_beat("t", started_at=ago(-900))], NOW)
    assert ahead.window_seconds == 3600


def test_open_trials_and_those_without_a_time_are_not_counted(done_at, make_trial):
    """Whatever of them is measured already."""
    items, state = done_at(10)
    unknown = Missing(make_trial(7), True, [], False)  # noqa: FBT003
    still_open = Missing(items[0].planned, False, [], False)  # noqa: FBT003
    assert throughput([unknown, still_open], state, [], NOW).num_finished == 0


def test_steps_of_live_trainings_add_up(make_beat):
    """Not the examples of statistics, nor what cannot be told yet."""
    beats = [
        make_beat("t", age=100, done=50, total=100),
        make_beat("u", age=100, done=150, total=200, resumed_at=100),
        make_beat("v", age=100, done=50, total=100, statistic="losses"),
        make_beat("w", age=1, done=1, total=100),
    ]
    found = throughput([], StoreState(), beats, NOW)
    assert (found.steps_per_second, found.num_training) == (1.0, 2)
    assert throughput([], StoreState(), beats[2:], NOW).steps_per_second is None


def test_trials_since_the_run_of_live_attempts_began(done_at, make_beat, tmp_path):
    """As it registered: attempts are short; a registration that is damaged or gone is passed over."""
    store = Store.open(str(tmp_path / "store"))
    store.write_json(Store.run_path("toy", "run"), {"started_at": ago(1200), "pid": 1})
    store.write_bytes(Store.run_path("toy", "broken"), b"{")
    store.write_json(Store.run_path("toy", "ended"), {"started_at": ago(3000)})
    beats = [
        make_beat("t", started_at=ago(30)),
        make_beat("u", run_id="broken"),
        make_beat("v", run_id="gone"),
    ]
    began = runs_began(store, "toy", beats)
    assert began == [ago(1200)]
    items, state = done_at(10, 1199, 1201)
    found = throughput(items, state, beats, NOW, began)
    assert (found.num_finished, found.window_seconds, found.since) == (2, 1200, "the run")
    assert throughput(items, state, beats, NOW, [ago(9999)]).since == "an hour ago"
    odd = throughput(items, state, beats[:1], NOW, ["None", ago(-60)])
    assert odd.since == "the first live attempt"
