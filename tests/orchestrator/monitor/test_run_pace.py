"""What a run says of its own pace at its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.monitor.run_pace import RunPace, run_line, run_pace
from orchestrator.planning.prepare import Options, prepare
from orchestrator.planning.store_state import RecordedStatistic, RecordedTrial, StoreState
from workers.contract.sweep_spec import ResourcesSpec

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RECORD = RecordedTrial(
    outcome="budget_spent", wall_seconds=0.0, committed_at="", batch_size=32, epochs=1,
    num_train=1437, dataset="digits", data_digest="0", model="{}", device_share=0.25, device="gpu",
    host="h", environment_id="e",
)  # fmt: skip


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


@pytest.fixture
def begun(toy_sweep):
    """Three trials of the toy sweep on two threads, of which the first was done before the run."""
    toy_sweep(seeds=3, measure=["losses"])
    found = prepare("toy.yaml", Options("store"))
    before = state_of(found, [(9000, 100, 50)])
    missing = [replace(item, is_trained=True, statistics=[]) for item in found.missing[:1]]
    sweep = found.sweep.model_copy(update={"resources": ResourcesSpec(gpus=0, cpus=2)})
    return replace(found, sweep=sweep, state=before, missing=missing + found.missing[1:])


def state_of(prepared, work: list[tuple[float, float, float | None]]) -> StoreState:
    """Make the state in which trials have a record: age of the training's end, its time, that of losses.

    The losses begin when the training ends; None where they are missing.
    """
    statistic = prepared.plan.statistics[0].statistic_id
    trials, statistics = {}, {}
    for item, (age, training, losses) in zip(prepared.plan.trials, work, strict=False):
        name = item.trial_id
        trials[name] = RECORD._replace(wall_seconds=training, committed_at=ago(age))
        if losses is not None:
            found = RecordedStatistic("losses", losses, ago(age - losses))
            statistics[name, statistic] = found
    return StoreState(
        outcomes={name: each.outcome for name, each in trials.items()},
        with_model=frozenset(trials), measured=frozenset(statistics),
        trials=trials, statistics=statistics,
    )  # fmt: skip


def test_a_run_counts_what_it_added_over_the_time_it_worked(begun):
    """One of two open trials ended: 1 in 300 s of work is 12/h; 300 s on two threads, 1/6 of an hour."""
    after = state_of(begun, [(9000, 100, 50), (200, 150, 100), (50, 50, None)])
    pace = run_pace(begun, after, NOW - timedelta(seconds=400), NOW)
    assert (pace.num_finished, pace.wall_seconds, pace.worked_seconds) == (1, 400, 300)
    assert pace.trials_per_hour == pytest.approx(12)
    assert (pace.cost_hours, pace.unit) == (pytest.approx(2 * 300 / 3600), "core-hours")
    assert run_line(pace) == (
        "this run: 1 trial finished in 7 min, 12 trials/h over 5 min of work, 0.17 core-hours on record"
    )


def test_what_was_done_before_a_resumed_run_does_not_count(begun):
    """A training of 1,000 s of which 100 s are of this run, on a quarter of a GPU."""
    sweep = begun.sweep.model_copy(update={"resources": ResourcesSpec(gpus=0.1, cpus=2)})
    after = state_of(begun, [(9000, 100, 50), (0, 1000, 0)])
    pace = run_pace(replace(begun, sweep=sweep), after, NOW - timedelta(seconds=100), NOW)
    assert (pace.num_finished, pace.worked_seconds) == (1, 100)
    assert (pace.cost_hours, pace.unit) == (pytest.approx(0.25 * 100 / 3600), "GPU-hours")


def test_what_another_sweep_measured_of_the_same_trials_meanwhile_is_not_of_the_run(begun):
    """Neither as time worked nor as its cost."""
    after = state_of(begun, [(9000, 100, 50), (200, 150, 100), (50, 50, None)])
    key = (begun.plan.trials[1].trial_id, "of another sweep")
    theirs = {key: RecordedStatistic("fork", 400.0, ago(0))}
    both = replace(after, statistics={**after.statistics, **theirs})
    began = NOW - timedelta(seconds=400)
    assert run_pace(begun, both, began, NOW) == run_pace(begun, after, began, NOW)


def test_a_fast_run_tells_its_rate_in_full():
    """Not as 1.2e+03."""
    pace = RunPace(1500, 4000.0, 3600.0, 1500.0, 2.0, "core-hours")
    assert run_line(pace).startswith(
        "this run: 1,500 trials finished in 67 min, 1,500 trials/h over"
    )


def test_a_run_that_finished_nothing_tells_no_rate(begun):
    """Stopped before anything was committed."""
    pace = run_pace(begun, begun.state, NOW - timedelta(seconds=30), NOW)
    assert pace == RunPace(0, 30, 0, None, 0, "core-hours")
    assert run_line(pace) == "this run: 0 trials finished in 30 s, 0 core-hours on record"
