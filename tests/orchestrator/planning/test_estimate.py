"""How long work will take: closed forms, calibration, and longest-first scheduling."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning.estimate import (
    MULTIPLY_ADDS_PER_CPU_SECOND,
    MULTIPLY_ADDS_PER_GPU_SECOND,
    START_SECONDS,
    make_estimator,
    stated_speed,
    total_seconds,
)
from orchestrator.planning.store_state import StoreState
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.identity import trial_id
from workers.contract.lacking import Missing
from workers.contract.plan_document import PlanDocument, PlannedTrial
from workers.contract.sweep_spec import ResourcesSpec
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.tail import TailSpec
from workers.statistics.traces import TracesSpec

DIGITS = DatasetFacts(
    digest="0", num_train=1437, num_test=360, num_outputs=10, is_classification=True,
    input_shape=(8, 8, 1),
)  # fmt: skip
CIFAR10 = DIGITS.model_copy(update={"num_train": 50_000, "input_shape": (32, 32, 3)})
ONE_CPU = ResourcesSpec(gpus=0, cpus=1)


@pytest.fixture
def make_plan_of(make_trial, statistics):
    """Make a plan of some seeds of a model."""

    def make(model: dict[str, object], num_seeds: int = 1) -> PlanDocument:
        base = make_trial(0).trial.model_dump(mode="json")
        trials = [
            type(make_trial(0).trial).model_validate(base | {"model": model, "seed": seed})
            for seed in range(num_seeds)
        ]
        return PlanDocument(
            sweep="toy", revision="r", planned_at="", spec={}, seeds=list(range(num_seeds)),
            trials=[PlannedTrial(trial_id=trial_id(trial), trial=trial) for trial in trials],
            statistics=statistics,
        )  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("model", "facts", "expected"),
    [
        ({"name": "mlp"}, DIGITS, 64 * 10),
        ({"name": "mlp", "hidden_units": [20, 30]}, DIGITS, 64 * 20 + 20 * 30 + 30 * 10),
        ({"name": "resnet", "depth": 8}, DIGITS, 9 * 16 * 16 * 64 * 7),
    ],
)
def test_multiply_adds_in_closed_form(make_plan_of, model, facts, expected):
    """Of one forward pass of one example."""
    estimator = make_estimator(make_plan_of(model), StoreState(), facts, ONE_CPU)
    assert estimator.multiply_adds == expected


def test_multiply_adds_of_the_papers_network(make_plan_of):
    """He et al. (2015) state 125 million for ResNet-56 on 32 × 32 images; within 5 %."""
    model = {"name": "resnet", "depth": 56}
    estimator = make_estimator(make_plan_of(model), StoreState(), CIFAR10, ONE_CPU)
    assert estimator.multiply_adds == pytest.approx(125e6, rel=0.05)


def test_a_stage_of_a_resnet_costs_as_much_as_any_other(make_plan_of):
    """Half the side and twice the channels: 9·c²·h·w stays, so the closed form needs no stages."""
    widths = [(16, 32), (32, 16), (64, 8)]
    assert len({9 * channels**2 * side**2 for channels, side in widths}) == 1


@pytest.mark.parametrize(
    ("resources", "speed"),
    [
        (ONE_CPU, MULTIPLY_ADDS_PER_CPU_SECOND),
        (ResourcesSpec(gpus=0, cpus=4), 4 * MULTIPLY_ADDS_PER_CPU_SECOND),
        (ResourcesSpec(gpus=2, cpus=4), 2 * MULTIPLY_ADDS_PER_GPU_SECOND),
        (ResourcesSpec(gpus=0.5, cpus=4), MULTIPLY_ADDS_PER_GPU_SECOND / 2),
    ],
)
def test_stated_speed_goes_with_what_a_slot_holds(resources, speed):
    """GPUs where there are some, else threads."""
    assert stated_speed(resources) == speed


def test_recorded_trials_set_the_speed(make_plan_of):
    """A trial like the recorded ones is estimated at their time, beside its start."""
    plan = make_plan_of({"name": "mlp"}, num_seeds=3)
    names = [item.trial_id for item in plan.trials]
    state = StoreState(wall_seconds={names[0]: 40.0, names[1]: 60.0, "another": 1e9})
    estimator = make_estimator(plan, state, DIGITS, ONE_CPU)
    assert estimator.source == "by 2 recorded trials"
    seconds = estimator.training_seconds(plan.trials[2].trial)
    assert seconds == pytest.approx(START_SECONDS + 50.0)
    assert estimator.at_stated_speed(ONE_CPU).source == "by a stated speed"
    assert estimator.at_stated_speed(ONE_CPU).speed == MULTIPLY_ADDS_PER_CPU_SECOND


@pytest.mark.parametrize("wall_seconds", [{}, {"another": 50.0}])
def test_nothing_recorded_means_a_stated_speed(make_plan_of, wall_seconds):
    """Trials of other plans do not count."""
    state = StoreState(wall_seconds=wall_seconds)
    estimator = make_estimator(make_plan_of({"name": "mlp"}), state, DIGITS, ONE_CPU)
    stated = ("by a stated speed", MULTIPLY_ADDS_PER_CPU_SECOND)
    assert (estimator.source, estimator.speed) == stated


def test_more_columns_cost_more(make_plan_of):
    """Losses are cheaper than a pass of traces, and exact columns the dearest."""
    estimator = make_estimator(make_plan_of({"name": "mlp"}), StoreState(), CIFAR10, ONE_CPU)
    specs = [LossesSpec(), TracesSpec(), TracesSpec(columns=4), TracesSpec(columns="exact")]
    seconds = [estimator.statistic_seconds(spec) for spec in specs]
    assert seconds == sorted(set(seconds))
    assert seconds[0] > START_SECONDS


def test_only_missing_work_takes_time(make_plan_of, statistics):
    """A trained trial costs its statistics; a done one nothing."""
    plan = make_plan_of({"name": "mlp"})
    estimator = make_estimator(plan, StoreState(), DIGITS, ONE_CPU)
    planned = plan.trials[0]
    whole = estimator.seconds(Missing(planned, False, statistics, False))  # noqa: FBT003
    measuring = estimator.seconds(Missing(planned, True, statistics, False))  # noqa: FBT003
    assert whole == pytest.approx(measuring + estimator.training_seconds(planned.trial))
    assert estimator.seconds(Missing(planned, True, [], False)) == 0.0  # noqa: FBT003


def test_the_time_of_a_plugin_is_unknown_until_it_was_recorded(make_plan_of, statistics):
    """Its multiply-adds are not known; a recorded training tells its own time and that of statistics."""
    plan = make_plan_of({"name": "my_package.nets:build"})
    missing = Missing(plan.trials[0], False, statistics, False)  # noqa: FBT003
    unknown = make_estimator(plan, StoreState(), DIGITS, ONE_CPU).seconds(missing)
    assert math.isnan(unknown)
    assert math.isnan(total_seconds([1.0, unknown], 2))
    state = StoreState(wall_seconds={plan.trials[0].trial_id: 50.0})
    estimator = make_estimator(plan, state, DIGITS, ONE_CPU)
    assert estimator.training_seconds(plan.trials[0].trial) == START_SECONDS + 50.0
    losses = estimator.statistic_seconds(LossesSpec()) - START_SECONDS
    assert losses == pytest.approx(0.4 * 3 / 3.2 * 50.0)


def test_a_recorded_plugin_is_unknown_at_a_stated_speed(make_plan_of):
    """What it computes is not told: only what it took here, recorded or timed, is known."""
    plan = make_plan_of({"name": "package.module:build"})
    trial = plan.trials[0]
    state = StoreState(wall_seconds={trial.trial_id: 50.0})
    recorded = make_estimator(plan, state, DIGITS, ONE_CPU)
    for known in (recorded, recorded.timed(trial.trial, {32: 40.0})):
        assert math.isfinite(known.training_seconds(trial.trial))
        stated = known.at_stated_speed(ONE_CPU)
        assert math.isnan(stated.training_seconds(trial.trial))
        assert math.isnan(stated.statistic_seconds(LossesSpec()))


def longest_first(work: tuple[float, ...], slots: int) -> float:
    """Give each piece, longest first, to the slot whose pieces so far sum to least."""
    pieces: list[list[float]] = [[] for _ in range(slots)]
    for seconds in sorted(work, reverse=True):
        min(pieces, key=sum).append(seconds)
    return max(sum(slot) for slot in pieces)


def best(work: tuple[float, ...], slots: int) -> float:
    """Try every assignment of pieces to slots."""
    shortest = math.inf
    for places in itertools.product(range(slots), repeat=len(work)):
        ends = [0.0] * slots
        for place, seconds in zip(places, work, strict=True):
            ends[place] += seconds
        shortest = min(shortest, max(ends))
    return shortest


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 3))
def test_longest_first_against_every_assignment(lengths, slots):
    """Never better than the best, and by Graham's bound at most 4/3 - 1/(3·slots) of it."""
    work = tuple(float(length) for length in lengths)
    found = total_seconds(work, slots)
    assert found == longest_first(work, slots)
    shortest = best(work, slots)
    assert shortest <= found <= shortest * (4 / 3 - 1 / (3 * slots)) + 1e-9


def test_no_work_takes_no_time_and_no_slot_for_ever():
    """Also when both are none."""
    assert total_seconds([], 0) == 0.0
    assert total_seconds([], 3) == 0.0
    assert total_seconds([1.0], 0) == math.inf


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [(HessianSpec(), 53.7), (NoiseCurvatureSpec(), 12.2), (SpectrumSpec(), 610.0)],
)
def test_what_is_stated_of_a_statistic_is_within_a_factor_of_two(make_plan_of, spec, seconds):
    """Of what it took on a ResNet-8 and the digits, m = 32, on one thread of a 2-core x86-64 server."""
    plan = make_plan_of({"name": "resnet", "depth": 8})
    estimator = make_estimator(plan, StoreState(), DIGITS, ONE_CPU)
    stated = estimator.statistic_seconds(spec, "", 32)
    assert seconds / 2 < stated < 2 * (seconds + START_SECONDS)


SHORT_FORK = ForkSpec(num_streams=32, num_steps=64, num_windows=3, records_per_window=2)
FORK_OF_STEPS = ForkSpec(
    num_streams=32, num_steps=128, num_windows=1, records_per_window=1, num_directions=1,
    max_lanczos_steps=2,
)  # fmt: skip
SHORT_TAIL = TailSpec(burn_in_steps=500, num_steps=1000, num_records=64)
TAIL_OF_STEPS = TailSpec(
    burn_in_steps=2000, num_steps=3000, num_records=64, num_directions=1, max_lanczos_steps=2
)


@pytest.mark.parametrize(
    ("model", "spec", "epochs"),
    [
        ({"name": "resnet", "depth": 8}, SHORT_FORK, 323),
        ({"name": "resnet", "depth": 8}, SHORT_TAIL, 232),
        ({"name": "resnet", "depth": 8}, BatchNoiseSpec(), 116),
        ({"name": "mlp", "hidden_units": [64]}, SHORT_FORK, 293),
        ({"name": "mlp", "hidden_units": [64]}, SHORT_TAIL, 206),
        ({"name": "mlp", "hidden_units": [64]}, BatchNoiseSpec(), 143),
        ({"name": "mlp", "hidden_units": [64]}, FORK_OF_STEPS, 168),
        ({"name": "mlp", "hidden_units": [64]}, TAIL_OF_STEPS, 244),
    ],
)
def test_by_a_recorded_training_a_statistic_of_streams_is_known_within_a_factor_of_two(
    make_plan_of, model, spec, epochs
):
    """Of what it took, in epochs of the trial's own training: 600 digits, m = 32, 60 epochs, one thread.

    Processor time on a 2-core x86-64 server: an epoch of the ResNet-8 took 0.0885 s, of the MLP 0.0075 s
    (0.0093 s beside the last two).
    """
    plan = make_plan_of(model)
    state = StoreState(wall_seconds={plan.trials[0].trial_id: 50.0})
    facts = DIGITS.model_copy(update={"num_train": 600})
    estimator = make_estimator(plan, state, facts, ONE_CPU)
    epoch = 50.0 / plan.trials[0].trial.training.epochs
    stated = (estimator.statistic_seconds(spec, "", 32) - START_SECONDS) / epoch
    assert epochs / 2 < stated < 2 * epochs


def test_the_cost_of_streams_grows_with_them(make_plan_of):
    """Example gradients: 64 streams × 100 steps × m = 50 over N, passes at looks, products of 3."""
    fork = ForkSpec(num_streams=64, num_steps=100, num_windows=1, records_per_window=2)
    expected = 64 * (100 * 50 / 1000 + 2) + 3 * 60
    assert fork.stated_gradients(50, 1000) == expected
    tail = TailSpec(burn_in_steps=1000, num_steps=3000, num_records=64)
    assert tail.stated_gradients(50, 1000) == 4000 * 50 / 1000 + 64 + 3 * 60
    assert BatchNoiseSpec(multiples=[1, 2]).stated_gradients(50, 1000) == 128 * 50 * 9 / 1000
    half = HessianSpec(num_examples=500).stated_gradients(50, 1000)
    assert half == HessianSpec().stated_gradients(50, 1000) / 2 == 3 * (100 + 64) / 2
    probes = NoiseCurvatureSpec(num_probes=100).stated_gradients(50, 2000)
    assert probes == pytest.approx(5 / 3 + 2 * 3 + 100 * (2 * 32 + 3 * 32) / 2000, rel=0.01)
