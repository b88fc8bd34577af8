"""When open trials will be done: closed forms of pace and of the queue."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from orchestrator.monitor.time_left import (
    done_share,
    finish_times,
    seconds_left,
    units_per_second,
    with_live_pace,
)
from orchestrator.planning.estimate import START_SECONDS, Estimator
from orchestrator.planning.recorded_pace import RecordedPace
from workers.contract.lacking import Missing
from workers.contract.plan_document import PlanDocument

PACE = RecordedPace(
    num_trials=1, training={None: 96.0}, statistics={("losses", None): 6.0, ("traces", None): 16.0}
)
ESTIMATOR = Estimator(1, 1.0, math.nan, pace=PACE)
"""100 seconds a training, 10 for losses, 20 for traces, starts included."""


@pytest.fixture
def make_missing(make_trial, statistics):
    """Make a trial of a seed with everything missing, or only statistics."""

    def make(seed: int, *, is_trained: bool = False, number: int = 2) -> Missing:
        left = statistics[:number]
        return Missing(make_trial(seed), is_trained, left, is_given_up=False)

    return make


def name_of(missing: Missing) -> str:
    return missing.planned.trial_id


def test_an_attempts_pace_since_it_resumed(make_beat):
    """Steps of this attempt over its own time; what it found done is not its work."""
    assert units_per_second(make_beat("t", age=100, done=50, total=100)) == 0.5
    assert units_per_second(make_beat("t", age=100, done=50, total=100, resumed_at=40)) == 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"done": 0},
        {"done": 40, "resumed_at": 40},
        {"done": 5, "age": 19},
        {"done": 5, "started_at": ""},
        {"done": 5, "age": -50},
    ],
)
def test_a_pace_that_cannot_be_told(make_beat, changes):
    """Nothing done yet, too young, or no time."""
    assert units_per_second(make_beat("t", **{"total": 100} | changes)) is None


def test_the_share_done_is_a_share(make_beat):
    """Also of progress that makes no sense."""
    assert [done_share(make_beat("t", done=d, total=t)) for d, t in ((1, 4), (5, 4), (-1, 4), (1, 0), (1, -2))] == [
        0.25, 1, 0, 0, 0,
    ]  # fmt: skip


def test_a_trial_that_waits_takes_all_its_work(make_missing):
    """Training and statistics, each with its start."""
    assert seconds_left(make_missing(0), None, ESTIMATOR) == 100 + 10 + 20
    assert seconds_left(make_missing(0, is_trained=True), None, ESTIMATOR) == 10 + 20


def test_a_live_training_goes_on_at_its_own_pace(make_missing, make_beat):
    """Then its statistics; a young one at the usual pace for what is left of it."""
    item = make_missing(0)
    beat = make_beat(name_of(item), age=100, done=50, total=200)
    assert seconds_left(item, beat, ESTIMATOR) == 300 + 30
    resumed = make_beat(name_of(item), age=100, done=150, total=200, resumed_at=100)
    assert seconds_left(item, resumed, ESTIMATOR) == 100 + 30
    young = make_beat(name_of(item), age=5, done=50, total=200)
    assert seconds_left(item, young, ESTIMATOR) == 75 + 30


def test_a_live_measurement_goes_on_and_the_others_follow(make_missing, make_beat):
    """Only the statistic that is being taken is partly done."""
    item = make_missing(0, is_trained=True)
    beat = make_beat(name_of(item), age=5, done=1, total=2, statistic="traces")
    assert seconds_left(item, beat, ESTIMATOR) == 10 + 10


def test_of_statistics_of_one_name_only_the_one_at_work_is_partly_done(
    make_missing, make_beat, statistics
):
    """A sweep may take a statistic in several ways; a heartbeat of an earlier version names no identity."""
    traces = statistics[1]
    again = traces.model_copy(update={"statistic_id": "another"})
    item = replace(make_missing(0, is_trained=True), statistics=[traces, again])
    half = {"age": 5, "done": 1, "total": 2, "statistic": "traces"}
    beat = make_beat(name_of(item), **half, statistic_id=traces.statistic_id)
    assert seconds_left(item, beat, ESTIMATOR) == 10 + 20
    assert seconds_left(item, make_beat(name_of(item), **half), ESTIMATOR) == 10 + 10


def test_the_furthest_of_two_attempts_counts(make_missing, make_beat):
    """Two drivers may repeat one."""
    item = make_missing(0, number=0)
    beats = [make_beat(name_of(item), age=100, done=done, total=100) for done in (10, 50, 20)]
    assert finish_times([item], beats, ESTIMATOR, 2) == {name_of(item): 100}


def test_waiting_trials_follow_longest_first_as_slots_come_free(make_missing, make_beat):
    """Two slots: one busy for 50 s, one free."""
    live = make_missing(0, number=0)
    waiting = [make_missing(1, number=0), make_missing(2), make_missing(3, is_trained=True)]
    beat = make_beat(name_of(live), age=50, done=50, total=100)
    found = finish_times([live, *waiting], [beat], ESTIMATOR, 2)
    ends = [found[name_of(item)] for item in (live, *waiting)]
    assert ends == [50, 50 + 100, 130, 130 + 30]


def test_no_slot_means_never_and_an_unknown_time_makes_what_follows_unknown(
    make_missing, make_beat
):
    """What lives is known all the same."""
    live, waiting = make_missing(0, number=0), make_missing(1)
    assert finish_times([waiting], [], ESTIMATOR, 0) == {name_of(waiting): math.inf}
    beat = make_beat(name_of(live), age=100, done=50, total=100)
    unknown = replace(ESTIMATOR, pace=RecordedPace())
    found = finish_times([live, waiting], [beat], unknown, 1)
    assert found[name_of(live)] == 100
    assert math.isnan(found[name_of(waiting)])
    assert finish_times([], [], ESTIMATOR, 0) == {}


def test_live_trainings_tell_where_nothing_is_recorded(make_trial, make_beat, statistics):
    """The whole time at their pace, by batch size; never in place of records."""
    trials = [make_trial(0, 32), make_trial(1, 64), make_trial(2, 64)]
    plan = PlanDocument(
        sweep="toy", revision="r", planned_at="", spec={}, seeds=[0], trials=trials,
        statistics=statistics,
    )  # fmt: skip
    beats = [
        make_beat(trials[0].trial_id, age=100, done=25, total=100),
        make_beat(trials[1].trial_id, age=100, done=50, total=100),
        make_beat(trials[2].trial_id, age=1, done=1, total=100),
        make_beat(trials[2].trial_id, age=100, done=1, total=100, statistic="losses"),
    ]
    pace = with_live_pace(RecordedPace(), plan, beats)
    assert pace.training == {32: 400, 64: 200, None: 300}
    assert pace.num_trials == 0
    assert with_live_pace(PACE, plan, beats) is PACE
    assert ESTIMATOR.training_seconds(trials[0].trial) == START_SECONDS + 96
