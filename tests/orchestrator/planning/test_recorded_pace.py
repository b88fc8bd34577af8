"""What the store recorded tells how long such work takes: the plan's own trials, else others like them."""

from __future__ import annotations

import pytest

from orchestrator.planning.estimate import START_SECONDS, make_estimator, store_estimator
from orchestrator.planning.recorded_pace import recorded_pace
from orchestrator.planning.store_state import (
    RecordedStatistic,
    RecordedTrial,
    StoreState,
    model_text,
)
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.plan_document import PlanDocument
from workers.contract.sweep_spec import ResourcesSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec

FACTS = DatasetFacts(
    digest="0", num_train=100, num_test=10, num_outputs=10, is_classification=True,
    input_shape=(8, 8, 1),
)  # fmt: skip


@pytest.fixture
def make_plan_of(make_trial, statistics):
    """Make a plan of two batch sizes on some resources."""

    def make(gpus: float = 0.0) -> PlanDocument:
        trials = [make_trial(seed, size) for size in (32, 64) for seed in range(2)]
        return PlanDocument(
            sweep="toy", revision="r", planned_at="", seeds=[0, 1], trials=trials,
            spec={"resources": {"gpus": gpus, "cpus": 1}}, statistics=statistics,
        )  # fmt: skip

    return make


@pytest.fixture
def make_record(make_trial):
    """Make what is remembered of a trial's record, by default of one like the plan's."""

    def make(**changes: object) -> RecordedTrial:
        record = RecordedTrial(
            outcome="converged", wall_seconds=10.0, committed_at="", batch_size=32, epochs=1,
            num_train=100, dataset="digits", data_digest="0", model=model_text(make_trial(0).trial),
            device_share=0.0, device="cpu", host="h", environment_id="e",
        )  # fmt: skip
        return record._replace(**changes)

    return make


def state_of(trials: dict[str, RecordedTrial], **statistics: object) -> StoreState:
    return StoreState(
        outcomes={name: trial.outcome for name, trial in trials.items()},
        wall_seconds={name: trial.wall_seconds for name, trial in trials.items()},
        trials=trials,
        **statistics,
    )


def test_by_batch_size_first(make_plan_of, make_record):
    """Small batches are slower; a size without a record takes the mean of all."""
    plan = make_plan_of()
    names = [item.trial_id for item in plan.trials]
    state = state_of(
        {
            names[0]: make_record(wall_seconds=30.0),
            names[1]: make_record(wall_seconds=50.0),
            names[2]: make_record(wall_seconds=10.0, batch_size=64),
        }
    )
    pace = recorded_pace(plan, state)
    assert [pace.training_seconds(size) for size in (32, 64, 128)] == [40, 10, 30]
    assert (pace.num_trials, pace.is_of_plan) == (3, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "diverged"},
        {"outcome": "nonfinite"},
        {"wall_seconds": 0.0},
        {"epochs": 0},
        {"num_train": 0},
        {"device_share": 1.0},
    ],
)
def test_trials_that_tell_nothing(make_plan_of, make_record, changes):
    """Over early, of no length, or of the other kind of device."""
    plan = make_plan_of()
    state = state_of({plan.trials[0].trial_id: make_record(**changes)})
    assert recorded_pace(plan, state).training_seconds(32) is None


def test_half_a_gpu_is_half_as_fast(make_plan_of, make_record):
    """A share is taken as proportional speed; a processor tells nothing of a GPU."""
    plan = make_plan_of(gpus=0.5)
    name = plan.trials[0].trial_id
    for share, seconds in ((1.0, 20.0), (0.5, 10.0), (0.0, None)):
        state = state_of({name: make_record(device_share=share)})
        assert recorded_pace(plan, state).training_seconds(32) == seconds


def test_other_trials_count_where_the_plan_has_none(make_plan_of, make_record):
    """Scaled by epochs and examples; unknown examples only where the data are the same."""
    plan = make_plan_of()
    others = {
        "longer": make_record(epochs=4, num_train=50, data_digest="cut", wall_seconds=20.0),
        "same": make_record(wall_seconds=12.0),
    }
    pace = recorded_pace(plan, state_of(others), 100)
    assert pace.training_seconds(32) == (10 + 12) / 2
    assert (pace.num_trials, pace.is_of_plan) == (2, False)
    assert recorded_pace(plan, state_of(others)).training_seconds(32) == 12
    own = others | {plan.trials[0].trial_id: make_record(wall_seconds=99.0)}
    assert recorded_pace(plan, state_of(own), 100).training_seconds(32) == 99


@pytest.mark.parametrize("changes", [{"model": "another"}, {"dataset": "cifar10"}])
def test_unlike_trials_do_not_count(make_plan_of, make_record, changes):
    """Another model or data set."""
    pace = recorded_pace(make_plan_of(), state_of({"other": make_record(**changes)}), 100)
    assert pace.training_seconds(32) is None


def test_a_statistic_by_its_id_then_by_its_name(make_plan_of, make_record):
    """With batch size first, and the plan's own before others'; a skipped one tells nothing."""
    plan = make_plan_of()
    losses, traces = plan.statistics
    first, second, third, fourth = (item.trial_id for item in plan.trials)
    trials = dict.fromkeys((first, second), make_record())
    trials |= dict.fromkeys((third, fourth), make_record(batch_size=64))
    trials["other"] = make_record(num_train=50, data_digest="cut")
    measured = {
        (first, losses.statistic_id): RecordedStatistic("losses", 2.0, ""),
        (third, losses.statistic_id): RecordedStatistic("losses", 4.0, ""),
        (first, "older settings"): RecordedStatistic("traces", 7.0, ""),
        (second, losses.statistic_id): RecordedStatistic("losses", None, ""),
        ("other", losses.statistic_id): RecordedStatistic("losses", 1000.0, ""),
        ("other", "fork id"): RecordedStatistic("fork", 5.0, ""),
    }
    pace = recorded_pace(plan, state_of(trials, statistics=measured), 100)
    assert pace.statistic_seconds(losses.statistic_id, "losses", 32) == 2
    assert pace.statistic_seconds(losses.statistic_id, "losses", 64) == 4
    assert pace.statistic_seconds(losses.statistic_id, "losses", 128) == 3
    assert pace.statistic_seconds(traces.statistic_id, "traces", 64) == 7
    assert pace.statistic_seconds("fork id", "fork", 32) == 5 * 100 / 50
    assert pace.statistic_seconds("tail id", "tail", 32) is None


def test_the_estimate_says_what_it_rests_on(make_plan_of, make_record):
    """How many recorded trials, whose, or a stated speed."""
    plan, cpu = make_plan_of(), ResourcesSpec(gpus=0, cpus=1)
    name = plan.trials[0].trial_id
    cases = [
        ({}, "by a stated speed"),
        ({name: make_record()}, "by 1 recorded trial"),
        ({"a": make_record(), "b": make_record()}, "by 2 recorded trials of other sweeps"),
    ]
    for trials, source in cases:
        assert make_estimator(plan, state_of(trials), FACTS, cpu).source == source


def test_what_an_attempt_takes_to_start_is_between_commits(make_plan_of, make_record):
    """Less the time at work, the median; nobody was at a trial for a minute, and a broken time tells nothing."""
    plan, found = make_plan_of(), {}
    first, second, third, fourth = (item.trial_id for item in plan.trials)
    losses, traces = (item.statistic_id for item in plan.statistics)
    trials = {
        name: make_record(committed_at=f"2026-01-01T00:00:{second:02}+00:00")
        for name, second in ((first, 0), (second, 10), (third, 20))
    } | {fourth: make_record(committed_at="soon")}
    for name, identity, ended, at_work in (
        (first, losses, "00:00:05", 3.0),  # 2 s
        (first, traces, "00:00:06.5", 1.0),  # 0.5 s
        (second, losses, "00:00:12", 5.0),  # its clock was set
        (second, traces, "00:09:00", 1.0),  # minutes later
        (third, losses, "00:00:24", 3.0),  # 1 s
        (third, traces, "00:00:30", None),  # skipped
        (fourth, losses, "00:00:30", 1.0),
    ):
        found[name, identity] = RecordedStatistic("either", at_work, f"2026-01-01T{ended}+00:00")
    state = state_of(trials, statistics=found)
    assert recorded_pace(plan, state).starting == 1.0
    estimator = make_estimator(plan, state, FACTS, ResourcesSpec(gpus=0, cpus=1))
    assert estimator.training_seconds(plan.trials[0].trial) == 11.0
    assert estimator.statistic_seconds(LossesSpec(), traces, 32) == 2.0
    assert recorded_pace(plan, state_of(trials)).starting is None
    # 10 s of another sweep's statistic between the commits of this one's are at work, not a start
    others = {
        (second, losses): RecordedStatistic("losses", 1.0, "2026-01-01T00:00:23+00:00"),
        (second, "another"): RecordedStatistic("fork", 10.0, "2026-01-01T00:00:21+00:00"),
    }
    assert recorded_pace(plan, state_of(trials, statistics=others)).starting == 1.0


def test_a_recorded_statistic_is_taken_at_its_time(make_plan_of, make_record):
    """One never recorded as the model says, at the speed of the recorded trainings."""
    plan = make_plan_of()
    name, statistic_id = plan.trials[0].trial_id, plan.statistics[0].statistic_id
    measured = {(name, statistic_id): RecordedStatistic("losses", 3.0, "")}
    state = state_of({name: make_record(wall_seconds=32.0)}, statistics=measured)
    with_data = make_estimator(plan, state, FACTS, ResourcesSpec(gpus=0, cpus=1))
    for estimator in (with_data, store_estimator(plan, recorded_pace(plan, state))):
        assert estimator.statistic_seconds(LossesSpec(), statistic_id, 32) == START_SECONDS + 3
        traces = estimator.statistic_seconds(TracesSpec(), "t", 32) - START_SECONDS
        assert traces == pytest.approx(32.0 * 2.6 * 3 / 3.2, rel=0.01)


def test_with_the_store_alone_nothing_recorded_is_unknown(make_plan_of):
    """There is no speed to state without the data."""
    plan = make_plan_of()
    estimator = store_estimator(plan, recorded_pace(plan, StoreState()))
    seconds = estimator.training_seconds(plan.trials[0].trial)
    assert seconds != seconds  # noqa: PLR0124  # NaN
