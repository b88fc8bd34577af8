from __future__ import annotations

import math

import pytest

from analysis.cell_states import CellState
from analysis.cell_values import SeedValues
from analysis.load import Cell
from analysis.predictions import jastrzebski_9, wang_4_45
from analysis.predictions.law import NO_STATIONARY_STATE, SHUFFLED, CellConditions
from analysis.predictions.registry import LAWS
from workers.contract.specs import TrainingSpec

_TRACES = {
    "gradient_noise_trace": SeedValues("s1", "traces", {0: 4.0, 1: 6.0}),
    "hessian_trace": SeedValues("s1", "traces", {0: 40.0, 1: 80.0}),
}


def _conditions(*, values=None, num_diverged=0, loss="kld", **training):
    fields = {"epochs": 1, "weight_decay": 1e-3, "sampler": "replacement"} | training
    return CellConditions(
        cell=Cell(loss, 50, 0.1),
        state=CellState(2, 0, 0, num_diverged, 1000, ("e",), 0.001),
        training=TrainingSpec(**fields),
        values=_TRACES if values is None else values,
    )


def test_wang_is_a_quarter_of_the_noise_trace_times_the_noise_scale():
    """(η/4m)·tr σ² with the final η: 0.001/(4·50)·5, its error from the spread over seeds."""
    found = wang_4_45.predict(_conditions())
    assert found.predicted == pytest.approx(0.001 / 200 * 5)
    assert found.predicted_stderr == pytest.approx(0.001 / 200 * 1.0)
    assert (found.name, found.target) == ("wang_4_45", "excess_loss")
    assert (found.learning_rate_used, found.statistic_id, found.num_steps) == (0.001, "s1", None)
    assert found.faults == found.remarks == ()


def test_jastrzebski_takes_the_hessian_trace():
    """(η/4m)·tr H: 0.001/(4·50)·60."""
    found = jastrzebski_9.predict(_conditions())
    assert found.predicted == pytest.approx(0.001 / 200 * 60)
    assert found.predicted_stderr == pytest.approx(0.001 / 200 * 20.0)
    assert (found.name, found.target) == ("jastrzebski_9", "excess_loss")


def test_the_laws_agree_where_noise_is_curvature():
    """With σ² = H both laws are one."""
    values = dict.fromkeys(_TRACES, _TRACES["hessian_trace"])
    both = [law(_conditions(values=values)).predicted for law in LAWS.values()]
    assert both[0] == both[1]


def test_the_measured_excess_loss_of_a_quadratic_is_what_both_laws_say():
    """SGD on x²·λ/2 with σ² = H = λ and small η has E[L] - L* = (η/4m)·λ, simulated exactly.

    The variance v of x obeys v ← (1 - ηλ)²v + η²λ/m; at its fixed point λv/2 differs from the
    law by the factor 1/(1 - ηλ/2).
    """
    learning_rate, batch_size, curvature, variance = 0.001, 50, 2.0, 0.0
    for _ in range(20_000):
        variance = (1 - learning_rate * curvature) ** 2 * variance
        variance += learning_rate**2 * curvature / batch_size
    values = dict.fromkeys(_TRACES, SeedValues("s", "traces", {0: curvature}))
    found = wang_4_45.predict(_conditions(values=values))
    correction = 1 / (1 - learning_rate * curvature / 2)
    assert curvature * variance / 2 == pytest.approx(found.predicted * correction, rel=1e-10)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_broken_assumptions_are_said(law):
    """No weight decay, momentum, diverged seeds: each has its sentence; shuffling is a remark."""
    assert law(_conditions(weight_decay=0.0)).faults == (NO_STATIONARY_STATE,)
    assert law(_conditions(weight_decay=0.0, loss="squared_error")).faults == ()
    assert law(_conditions(momentum=0.9)).faults == (
        "the law is for plain SGD, and momentum is 0.9",
    )
    assert law(_conditions(num_diverged=1)).faults == ("1 of 2 seeds diverged",)
    assert law(_conditions(sampler="shuffle")).remarks == (SHUFFLED,)


def test_without_a_trace_nothing_is_predicted():
    """The reason names the quantity."""
    found = wang_4_45.predict(_conditions(values={}))
    assert (found.predicted, found.predicted_stderr, found.statistic_id) == (None, None, None)
    assert found.faults == ("tr σ² was not measured",)
    assert jastrzebski_9.predict(_conditions(values={})).faults == ("tr H was not measured",)


def test_one_seed_predicts_without_an_error():
    """The spread over seeds is unknown, not 0."""
    values = {"gradient_noise_trace": SeedValues("s1", "traces", {0: 4.0})}
    found = wang_4_45.predict(_conditions(values=values))
    assert math.isclose(found.predicted, 0.001 / 200 * 4)
    assert found.predicted_stderr is None


def test_every_law_is_registered_under_its_name():
    """The registry's keys are the names the laws give themselves."""
    assert {name: law(_conditions()).name for name, law in LAWS.items()} == {
        name: name for name in LAWS
    }
