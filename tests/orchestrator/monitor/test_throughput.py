"""How fast a sweep goes, counted over a stated time."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.monitor.throughput import as_asked, runs_began, throughput, worked_seconds
from orchestrator.planning.store_state import RecordedStatistic, StoreState
from workers.contract.lacking import Missing
from workers.contract.plan_document import PlanDocument
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
    """With a live attempt that began before it."""
    items, state = done_at(10, 3599, 3601)
    found = throughput(items, state, [make_beat("t", started_at=ago(9000))], NOW)
    assert (found.num_finished, found.window_seconds, found.trials_per_hour) == (2, 3600, 2)
    assert (found.since, found.worked_seconds) == ("an hour ago", 3600)


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


@pytest.mark.parametrize(
    ("work", "window", "seconds"),
    [
        ([], 3600, 0),
        ([(100, 40)], 3600, 60),
        ([(100, 40), (90, 50)], 3600, 60),  # within
        ([(100, 40), (60, 20)], 3600, 80),  # overlapping
        ([(100, 70), (30, 0)], 3600, 100),  # a gap of 40 s belongs to the run
        ([(1000, 900), (200, 0)], 3600, 300),  # one of 700 s is a pause
        ([(1000, 900), (200, 0)], 950, 250),  # older than the window
        ([(5000, 4000)], 3600, 0),
    ],
)
def test_time_worked_is_the_union_of_what_was_done(work, window, seconds):
    """By hand; and by counting the seconds that some piece, or a gap of at most a minute, covers."""
    assert worked_seconds(work, window) == seconds
    gaps = [(ended, began) for _, ended in work for began, _ in work if 0 < ended - began <= 60]
    covered = [
        age for age in range(window) if any(last <= age < first for first, last in [*work, *gaps])
    ]
    assert len(covered) == seconds


def test_a_pause_does_not_slow_the_pace(done_at, make_beat):
    """Two trials in 90 s of work, then nothing: 80 an hour, not 2."""
    items, state = done_at(10, 50)
    name = items[0].planned.trial_id
    recorded = {(name, "traces"): RecordedStatistic("traces", 90.0, ago(10))}
    state = StoreState(statistics=dict(state.statistics) | recorded)
    found = throughput(items, state, [], NOW)
    assert (found.num_finished, found.worked_seconds) == (2, 90.0)
    assert found.trials_per_hour == pytest.approx(80.0)


def test_what_other_sweeps_measured_of_shared_trials_does_not_count(
    make_trial, make_beat, trial_record, statistics
):
    """Neither as a trial finished again, nor as time worked; of the plan's own, only for the seeds it asks for."""
    own, other = statistics
    of_one_seed = other.model_copy(
        update={"statistic": other.statistic.model_copy(update={"seeds": 1})}
    )
    trials = [make_trial(seed) for seed in range(2)]
    plan = PlanDocument(
        sweep="toy", revision="r", planned_at="", spec={}, seeds=[0, 1], trials=trials,
        statistics=[own, of_one_seed],
    )  # fmt: skip
    first, second = (item.trial_id for item in trials)
    found = {
        (first, own.statistic_id): RecordedStatistic("losses", 100.0, ago(7000)),
        (first, other.statistic_id): RecordedStatistic("traces", 100.0, ago(500)),
        (second, own.statistic_id): RecordedStatistic("losses", 100.0, ago(7000)),
        (second, other.statistic_id): RecordedStatistic("traces", 100.0, ago(1000)),
        (second, "of another sweep"): RecordedStatistic("fork", 100.0, ago(2000)),
        ("another", own.statistic_id): RecordedStatistic("losses", 100.0, ago(3000)),
    }
    state = as_asked(plan, StoreState(statistics=found))
    assert [*state.statistics] == [
        (first, own.statistic_id), (first, other.statistic_id), (second, own.statistic_id)
    ]  # fmt: skip
    done = [Missing(item, True, [], False) for item in trials]  # noqa: FBT003
    pace = throughput(done, state, [make_beat("t", started_at=ago(10))], NOW, [ago(9000)])
    assert (pace.num_finished, pace.worked_seconds) == (1, 110)


def test_of_a_sweep_that_ended_long_ago_all_work_counts(done_at):
    """Nothing in the last hour and nothing runs: over what it took, not over the days since."""
    items, state = done_at(90_000, 90_050)
    name = items[0].planned.trial_id
    state = StoreState(
        statistics=dict(state.statistics)
        | {(name, "traces"): RecordedStatistic("traces", 80.0, ago(90_000))}
    )
    found = throughput(items, state, [], NOW)
    assert (found.num_finished, found.window_seconds) == (2, math.inf)
    assert found.trials_per_hour == pytest.approx(2 * 3600 / found.worked_seconds)
