"""The reference itself, against every possible draw and order of a few steps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from exact_sgd import regression


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("is_shuffled", [False, True])
def test_its_moments_are_those_of_every_possible_run(momentum, is_shuffled):
    """N = 4, m = 2, T = 3: all 16³ draws, or all pairs of the 24 orders, walked one by one."""
    generator = np.random.default_rng(0)
    features, targets = generator.normal(size=(4, 2)), generator.normal(size=4)
    steps = {"learning_rate": 0.2, "momentum": momentum, "batch_size": 2}
    exact = regression(features, targets, weight_decay=0.1, is_shuffled=is_shuffled, **steps)
    moments, norms = exact.run(np.ones(3), 3)
    draws = list(itertools.product(range(4), repeat=6))
    if is_shuffled:
        orders = list(itertools.permutations(range(4)))
        draws = [one + other for one in orders for other in orders]
    params, velocity = np.ones((len(draws), 3)), np.zeros((len(draws), 3))
    for step, batch in enumerate(np.array(draws).reshape(len(draws), -1, 2).swapaxes(0, 1)[:3]):
        residuals = (
            (features[batch] * params[:, None, :2]).sum(2) + params[:, None, 2] - targets[batch]
        )
        slopes = np.concatenate([features[batch], np.ones((*batch.shape, 1))], axis=2)
        gradient = (residuals[:, :, None] * slopes).mean(1) + 0.1 * params * [1, 1, 0]
        assert norms[step] == pytest.approx(np.square(gradient).sum(axis=1).mean(), rel=1e-12)
        velocity = momentum * velocity + gradient
        params = params - 0.2 * velocity
        state = np.hstack([params, velocity, np.ones((len(draws), 1))])
        np.testing.assert_allclose(
            moments[step + 1], state.T @ state / len(draws), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_its_stationary_state_is_where_long_runs_end(is_shuffled):
    """After 600 steps from far off, in every phase of an epoch."""
    generator = np.random.default_rng(1)
    features, targets = generator.normal(size=(6, 2)), generator.normal(size=6)
    steps = {"learning_rate": 0.1, "momentum": 0.5, "batch_size": 2}
    exact = regression(features, targets, weight_decay=0.1, is_shuffled=is_shuffled, **steps)
    moments, norms = exact.stationary()
    late, late_norms = exact.run(np.full(3, 5.0), 600)
    num_phases = 3 if is_shuffled else 1
    assert len(moments) == len(norms) == num_phases
    np.testing.assert_allclose(late[600 - num_phases : 600], moments, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(late_norms[-num_phases:], norms, rtol=1e-9)
