"""The exact stationary state of linear regression, against the paper's numbers and a dense recursion."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.laws.reasons import SHUFFLED
from analysis.mathematics.linear_dynamics import SGD
from analysis.predictions import laws, state_dependent
from analysis.predictions.state_dependent import NO_DECAY, POPULATION, RUNS_AWAY, stationary_state
from workers.datasets.synthetic import SyntheticSpec
from workers.models.mlp import MLPSpec

TWO = np.array([1.0, 0.4])


@pytest.mark.parametrize(
    ("batch_size", "learning_rate", "covariance"),
    [(2, 0.3, (0.11120, 0.09470)), (8, 0.5, (0.04613, 0.03736))],
)
def test_the_theorem_has_its_numbers(batch_size, learning_rate, covariance):
    """A = diag(1, 0.4), label noise 1: the notes' Σ, to the digits printed."""
    found = stationary_state(TWO, 1.0, SGD(learning_rate, 0.0, batch_size), has_bias=False)
    # The two targets ½tr(AΣ) and tr(A²Σ) are solved for the two variances.
    solved = np.linalg.solve([TWO / 2, TWO**2], found)
    assert solved == pytest.approx(covariance, abs=6e-6)


def test_the_theorem_holds_with_momentum():
    """Theorem 2 as printed, for random variances: G_μ and κ_μ written out."""
    variances, rate, momentum, size, noise = np.array([1.0, 0.5, 0.2]), 0.2, 0.7, 4, 1.3
    friction = 2 * (1 - momentum) - ((1 - momentum) / (1 + momentum) + 1 / size) * rate * variances
    trace = np.sum(rate * variances / friction)
    kappa = trace / (1 - trace / size)
    covariance = noise**2 / size * (1 + kappa / size) * rate / friction
    found = stationary_state(variances, noise, SGD(rate, momentum, size), has_bias=False)
    assert found == pytest.approx((variances @ covariance / 2, variances**2 @ covariance))


def _dense_recursion(variances, label_noise, sgd, num_steps):
    """Iterate the covariance of (θ, v) with the noise of Gaussian quadrature, a constant feature last."""
    points, weights = np.polynomial.hermite_e.hermegauss(6)
    weights = weights / weights.sum()
    grid = list(itertools.product(range(6), repeat=len(variances)))
    features = np.array([[*(points[list(place)] * np.sqrt(variances)), 1.0] for place in grid])
    share = np.array([np.prod(weights[list(place)]) for place in grid])
    size = len(variances) + 1
    second = np.einsum("n,ni,nj->ij", share, features, features)
    identity = np.eye(size)
    step = np.block(
        [
            [identity - sgd.learning_rate * second, -sgd.learning_rate * sgd.momentum * identity],
            [second, sgd.momentum * identity],
        ]
    )
    kick = np.vstack([-sgd.learning_rate * identity, identity])
    state = np.zeros((2 * size, 2 * size))
    for _ in range(num_steps):
        covariance = state[:size, :size]
        squares = np.einsum("ni,ij,nj->n", features, covariance, features) + label_noise**2
        noise = np.einsum("n,ni,nj->ij", share * squares, features, features)
        noise -= second @ covariance @ second
        state = step @ state @ step.T + kick @ noise @ kick.T / sgd.batch_size
    covariance = state[:size, :size]
    return np.trace(second @ covariance) / 2, np.trace(second @ second @ covariance)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_bias_is_a_feature_without_spread(momentum):
    """The constant feature's fourth moment is 1, not 3: a dense recursion with exact moments agrees."""
    sgd = SGD(0.2, momentum, 3)
    wanted = _dense_recursion(TWO, 0.8, sgd, 2000)
    assert stationary_state(TWO, 0.8, sgd, has_bias=True) == pytest.approx(wanted, rel=1e-9)


def test_small_steps_are_wangs_law():
    """As η → 0 the excess loss is (η/4m)·s²·tr A, and the gradient norm (η/2m)·s²·tr A²."""
    found = stationary_state(TWO, 2.0, SGD(1e-7, 0.0, 5), has_bias=False)
    factor = 1e-7 / 20 * 4
    assert found == pytest.approx((factor * 1.4, 2 * factor * 1.16), rel=1e-5)


def test_nothing_settles_where_the_noise_outgrows_the_damping():
    """Batches of one example at ηλ = 1: E(1 - ηx²)² = 2 > 1, though the mean converges."""
    assert stationary_state(np.ones(1), 1.0, SGD(1.0, 0.0, 1), has_bias=False) is None
    assert stationary_state(np.ones(1), 1.0, SGD(0.6, 0.0, 1), has_bias=False) is not None
    assert stationary_state(np.ones(1), 1.0, SGD(2.0, 0.0, 100), has_bias=False) is None


@pytest.fixture
def regression(make_conditions):
    """Make conditions of linear regression on two features of variance 1 and 0.4."""

    def make(**changes):
        given = {
            "model": MLPSpec(),
            "dataset": SyntheticSpec(task="linear", num_features=2, feature_decay=0.4, label_noise=1.0),
            "loss": "squared_error",
            "weight_decay": 0.0,
            "learning_rate": 0.1,
        }  # fmt: skip
        return make_conditions(**given | changes)

    return make


def test_the_trial_says_what_the_features_are(regression):
    """Both targets for every seed, exact, with the bias; the reader is told that N is finite."""
    loss, gradient = state_dependent.predict(regression())
    wanted = stationary_state(TWO, 1.0, SGD(0.1, 0.0, 50), has_bias=True)
    assert (loss.predicted, gradient.predicted) == pytest.approx(wanted)
    assert (loss.target, gradient.target) == ("excess_loss", "expected_gradient_norm_squared")
    assert loss.by_seed.keys() == {0, 1}
    assert (loss.faults, loss.remarks) == ((), (POPULATION,))


def test_the_law_says_where_it_does_not_hold(regression):
    """Weight decay, shuffling, or steps that run away."""
    assert state_dependent.predict(regression(weight_decay=0.1))[0].faults == (NO_DECAY,)
    assert state_dependent.predict(regression(sampler="shuffle"))[0].faults == (SHUFFLED,)
    runaway = state_dependent.predict(regression(learning_rate=2.0))[0]
    assert (runaway.predicted, runaway.faults) == (None, (RUNS_AWAY,))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": MLPSpec(hidden_units=[3])},
        {"dataset": SyntheticSpec(task="softmax")},
        {"loss": "kld"},
        {"is_longest": False, "steps": (1,), "num_steps": 1},
    ],
)
def test_other_problems_have_no_rows(regression, changes):
    """It is the law of one model, one data set and one loss, and of long runs."""
    assert laws()["state_dependent"](regression(**changes)) == []
