from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.evidence.covariance import covariances
from analysis.records.load import load_sweep
from workers.statistics.fork import ForkSpec


def test_exact_variances_agree_with_wang_in_every_direction(store, forked_sweep):
    """Closed-form forks: ratio 1 whatever the power of c ~ λ^γ, while η/2m is off."""
    forked_sweep(power=1.5, pairs=[(50, 0.1)], seeds=[0, 1]).fill()
    (cell,) = covariances(load_sweep(store, "toy"))
    assert (len(cell.trials), len(cell.trials[0]), cell.num_steps) == (2, 8, 256)
    assert cell.learning_rate_used == pytest.approx(0.01)
    np.testing.assert_allclose(
        [direction.log_ratio("wang").value for trial in cell.trials for direction in trial],
        0, atol=1e-9,
    )  # fmt: skip
    assert cell.wang.verdict == "holds"
    assert cell.jastrzebski.verdict == "fails"
    first = cell.trials[0][0]
    assert first.jastrzebski == pytest.approx(0.01 / 100)
    assert math.exp(first.log_ratio("jastrzebski").value) == pytest.approx(first.variance / 1e-4)


def test_one_direction_has_the_interval_of_its_streams(store, forked_sweep):
    """Relative error 0.18 of 64 streams: ± t(63)·0.18 on the logarithm."""
    forked_sweep(pairs=[(50, 0.1)], seeds=[0]).fill()
    (cell,) = covariances(load_sweep(store, "toy"))
    found = cell.trials[0][0].log_ratio("wang")
    half = stats.t.ppf(0.975, 63) * 0.18
    assert (found.low, found.high) == pytest.approx((-half, half))


def test_noise_and_hessian_are_compared_along_the_directions(store, forked_sweep):
    """With c = 0.05·λ^1.5: slope 1.5, and cosine and scale as sums over the directions."""
    sweep = forked_sweep(power=1.5, pairs=[(50, 0.1)], seeds=[0]).fill()
    (cell,) = covariances(load_sweep(store, "toy"))
    trial = sweep.trials()[0]
    eigenvalues, noises = sweep.eigenvalues(trial), sweep.noises(trial)
    assert cell.slope.value == pytest.approx(1.5)
    assert cell.log_scale.value == pytest.approx(math.log(noises.sum() / eigenvalues.sum()))
    assert cell.cosine.value == pytest.approx(
        noises @ eigenvalues / np.linalg.norm(noises) / np.linalg.norm(eigenvalues)
    )
    assert (cell.log_scale.low, cell.cosine.low) == (None, None)


def test_noise_proportional_to_the_hessian_has_slope_and_cosine_1(store, forked_sweep):
    """Jastrzębski's assumption but for the scale, which is 0.05 and 0.055 for the two seeds."""
    forked_sweep(pairs=[(50, 0.1)], seeds=[0, 1]).fill()
    (cell,) = covariances(load_sweep(store, "toy"))
    assert cell.cosine.value == pytest.approx(1.0)
    assert math.exp(cell.log_scale.value) == pytest.approx(math.sqrt(0.05 * 0.055))
    assert cell.slope.value == pytest.approx(1.0, abs=cell.slope.high - cell.slope.value)


def test_noise_equal_to_the_hessian_makes_both_laws_right(store, forked_sweep):
    """With c = λ, small ηλ and forks long enough, variance is η/2m in every direction."""
    fork = ForkSpec(num_steps=4096, num_windows=2, learning_rate=1e-3)
    forked_sweep(strength=1.0, scale=2.0, num_directions=3, fork=fork, seeds=[0],
                 pairs=[(50, 0.1)]).fill()  # fmt: skip
    (cell,) = covariances(load_sweep(store, "toy"))
    assert cell.learning_rate_used == 1e-3
    assert cell.jastrzebski.value == pytest.approx(0, abs=0.01)
    assert cell.jastrzebski.verdict == "holds"


def test_without_noise_along_the_directions_one_law_remains(store, forked_sweep):
    """Batch statistics have no example's gradient: η/2m is compared, Wang's law is not."""
    sweep = forked_sweep(fork=ForkSpec(bn_mode="batch", num_steps=256, num_windows=4), seeds=[0])
    whole = sweep._fork_rows
    sweep._fork_rows = lambda trial: [
        row for row in whole(trial) if row.quantity != "direction_noise"
    ]
    sweep.fill()
    found = covariances(load_sweep(store, "toy"))
    assert [cell.bn_mode for cell in found] == ["batch", "batch"]
    assert all(math.isnan(cell.wang.value) and cell.wang.verdict is None for cell in found)
    assert all(math.isfinite(cell.jastrzebski.value) for cell in found)
    assert all(math.isnan(cell.slope.value) and math.isnan(cell.cosine.value) for cell in found)


def test_a_trial_without_its_record_is_left_out(store, forked_sweep):
    """Its file may be damaged; what the fork measured of it tells nothing without the number of examples."""
    forked_sweep(pairs=[(50, 0.1)], seeds=[0, 1]).fill()
    data = load_sweep(store, "toy")
    (cell,) = covariances(replace(data, trials=data.trials.iloc[:1]))
    assert len(cell.trials) == 1


@pytest.mark.parametrize("value", [math.inf, 1e300, 1e-320, 0.0])
def test_a_variance_beyond_all_bounds_has_no_ratio(store, forked_sweep, value):
    """One that single precision cannot hold is none; one that is next to nothing cannot be divided."""
    forked_sweep(pairs=[(50, 0.1)], seeds=[0]).fill()
    data = load_sweep(store, "toy")
    rows = data.measurements
    is_first = (rows["quantity"] == "direction_variance") & (rows["index"] == 0)
    changed = rows.assign(value=rows["value"].mask(is_first, value))
    (cell,) = covariances(replace(data, measurements=changed))
    (whole,) = covariances(data)
    assert len(cell.trials[0]) == len(whole.trials[0]) - (value > 1)
    assert math.isfinite(cell.wang.value)
    of_first = [each for each in cell.trials[0] if each.index == 0]
    assert [replace(each, wang=1e10).log_ratio("wang") for each in of_first] == [None] * len(
        of_first
    )


def test_a_sweep_without_forks_has_no_covariance(store, synthetic_sweep):
    """Nothing is measured along eigenvectors by other statistics."""
    synthetic_sweep().fill()
    assert covariances(load_sweep(store, "toy")) == []
