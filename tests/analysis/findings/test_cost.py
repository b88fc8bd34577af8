"""What a sweep cost: closed forms of hours, gradients and the price of a digit."""

from __future__ import annotations

import math

import pytest

from analysis.findings.cost import cost, precisions
from analysis.records.load import load_sweep
from workers.statistics.hessian import HessianSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec

_SECONDS = {"train": 1800.0, "test": 900.0}


def _hessian_rows(seen):
    """Give two quantities of one run on each split: half an hour and a quarter, 6 and 2 gradients."""
    return lambda seed: [
        seen(name, 2.0, stderr=0.04, split=split, objective="data",
             wall_seconds=_SECONDS[split], cost_gradients={"train": 6.0, "test": 2.0}[split])
        for split in ("train", "test")
        for name in ("hessian_trace", "hessian_frobenius_squared")
    ]  # fmt: skip


@pytest.fixture
def data(store, synthetic_sweep, seen):
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1, 2, 3]).fill()
    sweep.add(HessianSpec(splits=["train", "test"]), _hessian_rows(seen))
    return load_sweep(store, "toy")


def test_a_run_is_paid_once_whatever_it_measures(data):
    """Four trials: 4 × 12 s of training, 4 × (1800 + 900) s of one statistic with two quantities."""
    found = cost(data)
    (hessian,) = (work for work in found.measuring if work.name == "hessian")
    assert found.training.core_hours == pytest.approx(48 / 3600)
    assert found.training.gradients == 4 * 3  # epochs
    assert hessian.core_hours == pytest.approx(4 * 2700 / 3600)
    assert (hessian.gradients, hessian.num_trials) == (4 * 8, 4)
    assert found.core_hours == pytest.approx((48 + 4 * 2700) / 3600)
    assert found.measuring_core_hours == pytest.approx(4 * 2700 / 3600)
    assert found.gpu_hours == 0


def test_work_without_a_time_on_record_is_not_free(data):
    """Losses and traces of these records have no time: unknown, and left out of the sum."""
    unknown = [work for work in cost(data).measuring if work.name != "hessian"]
    assert [work.name for work in unknown] == ["losses", "traces"]
    assert all(math.isnan(work.core_hours) and math.isnan(work.gradients) for work in unknown)


def test_threads_and_shares_multiply_the_time(data):
    """Two threads cost twice the core-hours, half a GPU half the GPU-hours."""
    spec = {**data.plan.spec, "resources": {"cpus": 2, "gpus": 0.5}}
    plan = data.plan.model_copy(update={"spec": spec})
    halves = data.trials.assign(device_share=0.5)
    found = cost(type(data)(**{**vars(data), "plan": plan, "trials": halves}))
    assert found.training.core_hours == pytest.approx(2 * 48 / 3600)
    assert found.gpu_hours == pytest.approx(0.5 * (48 + 4 * 2700) / 3600)


def test_a_digit_costs_the_square_of_the_error(data):
    """Half an hour at 2 % is two hours at 1 %; an exact number has an error of 0."""
    found = {(each.statistic, each.quantity): each for each in precisions(data)}
    trace = found["hessian", "hessian_trace"]
    assert trace.relative_stderr == pytest.approx(0.02)
    assert trace.core_hours == pytest.approx(0.5)
    assert trace.core_hours_for_percent == pytest.approx(2.0)
    assert found["traces", "gradient_noise_trace"].relative_stderr == 0


def test_what_was_skipped_cost_nothing(store, synthetic_sweep, seen):
    """A statistic that has only skipped records is no part of the cost."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0])
    sweep.plan()
    (trial,) = sweep.trials()
    sweep.train(trial, outcome="diverged")
    sweep.measure(trial, skipped_reason="diverged: the loss ran away")
    found = cost(load_sweep(store, "toy"))
    assert found.measuring == ()
    assert found.training.num_trials == 1
    sweep.add(NoiseCurvatureSpec(), lambda seed: [seen("noise_scale", 1.0, stderr=0.1)])
    assert [work.name for work in cost(load_sweep(store, "toy")).measuring] == ["noise_curvature"]
