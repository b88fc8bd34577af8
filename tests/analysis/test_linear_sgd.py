from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.linear_sgd import Dynamics, jastrzebski_variance, wang_variance

_PLAIN = Dynamics(learning_rate=0.1, momentum=0.0, batch_size=20)


def test_the_stationary_variance_is_the_closed_form():
    """ηc/(mλ(1-μ)(2 - ηλ/(1+μ))), plain and with momentum."""
    for momentum in (0.0, 0.9):
        sgd = Dynamics(0.1, momentum, 20)
        expected = 0.1 * 3.0 / (20 * 4.0 * (1 - momentum) * (2 - 0.4 / (1 + momentum)))
        assert wang_variance(sgd, 4.0, 3.0) == pytest.approx(expected)


def test_small_rates_solve_the_lyapunov_equation():
    """Γλ + λΓ = c with variance (η/m)Γ, for η → 0; with c = λ it is Jastrzębski's η/2m."""
    sgd = Dynamics(1e-6, 0.0, 20)
    assert wang_variance(sgd, 4.0, 3.0) == pytest.approx(1e-6 / 20 * 3.0 / (2 * 4.0), rel=1e-5)
    assert wang_variance(sgd, 4.0, 4.0) == pytest.approx(jastrzebski_variance(sgd), rel=1e-5)


def test_finite_time_without_momentum_is_a_factor():
    """1 - (1 - ηλ)^{2T}, averaged over the steps looked at."""
    stationary = wang_variance(_PLAIN, 0.5, 3.0)
    factors = [1 - 0.95 ** (2 * steps) for steps in (5, 10)]
    assert wang_variance(_PLAIN, 0.5, 3.0, (5, 10)) == pytest.approx(stationary * np.mean(factors))


def test_finite_time_with_momentum_agrees_with_many_streams():
    """200,000 streams of seven steps; their variance is known to √(2/200,000) = 0.3 %."""
    draw, sgd = np.random.default_rng(11), Dynamics(0.1, 0.9, 20)
    place, velocity = np.zeros(200_000), np.zeros(200_000)
    for _ in range(7):
        velocity = 0.9 * velocity + 4.0 * place + draw.normal(0, math.sqrt(3.0 / 20), 200_000)
        place = place - 0.1 * velocity
    assert wang_variance(sgd, 4.0, 3.0, (7,)) == pytest.approx(place.var(), rel=4 * 0.0032)


def test_there_is_no_variance_without_a_stationary_state():
    """Saddles, steps beyond stability, noise that was not measured."""
    assert wang_variance(_PLAIN, -1.0, 3.0) is None
    assert wang_variance(_PLAIN, 20.0, 3.0) is None
    assert wang_variance(_PLAIN, 4.0, math.nan) is None
    assert wang_variance(Dynamics(0.1, 0.9, 20), 37.9, 3.0) is not None


def test_momentum_lengthens_the_step():
    """Jastrzębski's variance with the effective rate η/(1 - μ)."""
    assert jastrzebski_variance(Dynamics(0.1, 0.9, 20)) == pytest.approx(1.0 / 40)
