"""The variance of SGD along a direction, against enumeration, dense linear algebra and tables."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from analysis.mathematics.linear_dynamics import (
    SGD,
    independent_variance,
    shuffled_variance,
    stationary_energy,
)

FRACTIONS = st.floats(0.01, 0.95)
"""Of the largest stable ηλ."""

SHARES = [0.01, 0.1, 0.3, 1, 3, 10, 30, 100]
"""Of x = ηλK/(1 - μ), in the tables of the notes."""


def _walk(noise, curvature, sgd):
    """Give the weights after the steps of each row of batch noise [paths, T], from 0 at rest."""
    position, velocity = np.zeros(len(noise)), np.zeros(len(noise))
    for kick in noise.T:
        velocity = sgd.momentum * velocity + curvature * position + kick
        position = position - sgd.learning_rate * velocity
    return position


@pytest.fixture
def examples():
    """Centred gradients of five examples, Σ g² / N = 1."""
    gradients = np.random.default_rng(0).normal(size=5)
    gradients -= gradients.mean()
    return gradients / np.sqrt(np.mean(gradients**2))


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("curvature", [0.7, 0.0, -0.5])
def test_independent_batches_are_those_of_every_possible_draw(examples, momentum, curvature):
    """Mean of x² over all 5⁵ draws of 5 steps, m = 1."""
    sgd = SGD(0.3, momentum, 1)
    draws = np.array(list(itertools.product(examples, repeat=5)))
    wanted = np.mean(_walk(draws, curvature, sgd) ** 2)
    found = independent_variance(np.array([curvature]), sgd, [5])
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("curvature", [0.7, 0.0, -0.5])
@pytest.mark.parametrize(("batch_size", "num_steps"), [(2, 1), (2, 3), (2, 4), (1, 4), (1, 7)])
def test_shuffled_epochs_are_those_of_every_possible_order(
    examples, momentum, curvature, batch_size, num_steps
):
    """Mean of x² over all pairs of orders of two epochs; N = 5, so m = 2 leaves an example out."""
    sgd = SGD(0.3, momentum, batch_size)
    per_epoch = 5 // batch_size
    orders = np.array(list(itertools.permutations(examples)))[:, : per_epoch * batch_size]
    epochs = orders.reshape(-1, per_epoch, batch_size).mean(axis=2)
    both = np.concatenate([np.repeat(epochs, len(epochs), 0), np.tile(epochs, (len(epochs), 1))], 1)
    wanted = np.mean(_walk(both[:, :num_steps], curvature, sgd) ** 2)
    found = shuffled_variance(np.array([curvature]), sgd, 5, [num_steps])
    assert found == pytest.approx(wanted, rel=1e-11)


@given(fraction=FRACTIONS, num_steps=st.integers(1, 10**6), batch_size=st.integers(1, 1000))
def test_without_momentum_time_has_a_closed_form(fraction, num_steps, batch_size):
    """V(t) = η²/m·(1 - a^{2t})/(1 - a²), a = 1 - ηλ, also after a million steps."""
    sgd, curvature = SGD(0.1, 0.0, batch_size), np.array([20 * fraction])
    contraction = 1 - 0.1 * curvature
    wanted = 0.01 / batch_size * (1 - contraction ** (2.0 * num_steps)) / (1 - contraction**2)
    assert independent_variance(curvature, sgd, [num_steps]) == pytest.approx(wanted, rel=1e-9)


@given(fraction=FRACTIONS, momentum=st.floats(0, 0.95))
def test_long_runs_are_stationary(fraction, momentum):
    """At T = 100,000 the recursion has the energy of the closed form, momentum included."""
    sgd = SGD(0.1, momentum, 7)
    curvature = np.array([2 * (1 + momentum) / 0.1 * fraction])
    after_long = curvature * independent_variance(curvature, sgd, [100_000])
    assert after_long == pytest.approx(stationary_energy(curvature, sgd), rel=1e-8)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
def test_only_the_diagonal_of_the_noise_enters(momentum):
    """H and σ² that do not commute: the dense Lyapunov solution in 2d × 2d has the same two targets.

    P = MPMᵀ + Q for the state (θ, v) of three directions, solved without any use of H's eigenbasis.
    """
    generator = np.random.default_rng(3)
    factor, noise_factor = generator.normal(size=(2, 3, 3))
    hessian, noise = factor @ factor.T, noise_factor @ noise_factor.T
    assert np.abs(hessian @ noise - noise @ hessian).max() > 1
    learning_rate, batch_size = 0.8 / np.linalg.norm(hessian, 2), 5
    identity = np.eye(3)
    step = np.block(
        [
            [identity - learning_rate * hessian, -learning_rate * momentum * identity],
            [hessian, momentum * identity],
        ]
    )
    kick = np.vstack([-learning_rate * identity, identity])
    state = scipy.linalg.solve_discrete_lyapunov(step, kick @ noise @ kick.T / batch_size)
    covariance = state[:3, :3]
    eigenvalues, vectors = np.linalg.eigh(hessian)
    diagonal = np.einsum("ji,jk,ki->i", vectors, noise, vectors)
    energy = stationary_energy(eigenvalues, SGD(learning_rate, momentum, batch_size))
    assert diagonal @ energy / 2 == pytest.approx(np.trace(hessian @ covariance) / 2, rel=1e-9)
    assert diagonal @ (eigenvalues * energy) == pytest.approx(
        np.trace(hessian @ hessian @ covariance), rel=1e-9
    )


def _factors(share, momentum, learning_rate):
    """Give (end of epoch, mean over the epoch) over the variance of independent batches; K = 500."""
    curvature = np.array([share * (1 - momentum) / (learning_rate * 500)])
    sgd = SGD(learning_rate, momentum, 1)
    independent = stationary_energy(curvature, sgd) / curvature
    # An epoch's end after so many epochs that the first is forgotten, at x = 0.01 too.
    end = shuffled_variance(curvature, sgd, 500, [500 * 4000])
    mean = shuffled_variance(curvature, sgd, 500, None)
    return (end / independent).item(), (mean / independent).item()


def test_shuffled_factors_are_those_of_the_table():
    """The notes' table for K = 500, μ = 0, to the digits printed."""
    ends = [8.35e-6, 8.34e-4, 7.45e-3, 0.0761, 0.3986, 0.8036, 0.9372, 0.984]
    means = [0.00333, 0.0326, 0.0931, 0.265, 0.546, 0.823, 0.939, 0.984]
    found = [_factors(share, 0.0, 0.01) for share in SHARES]
    assert [end for end, _ in found] == pytest.approx(ends, rel=1e-3)
    assert [mean for _, mean in found] == pytest.approx(means, rel=2e-3)


def test_shuffled_factors_with_momentum_are_those_of_the_table():
    """The same for μ = 0.9: momentum carries noise from one epoch into the next."""
    ends = [1.7e-4, 2.2e-3, 9.8e-3, 0.0733, 0.390, 0.802, 0.935, 0.982]
    found = [_factors(share, 0.9, 0.001)[0] for share in SHARES]
    assert found == pytest.approx(ends, rel=2e-2)


@pytest.mark.parametrize("share", SHARES)
def test_the_reference_code_of_the_notes_agrees(share):
    """The closed form of one epoch (μ = 0), written out."""
    learning_rate, num_batches = 0.01, 500
    a = 1 - share / num_batches

    def one(steps):
        return (1 - a**steps) / (1 - a)

    def two(steps):
        return (1 - a ** (2 * steps)) / (1 - a * a)

    def noise(steps):
        within = num_batches * two(steps) - one(steps) ** 2
        return learning_rate**2 / (num_batches - 1) * within

    end = noise(num_batches) / (1 - a ** (2 * num_batches))
    mean = sum(a ** (2 * t) * end + noise(t) for t in range(num_batches)) / num_batches
    curvature = share / (learning_rate * num_batches)
    independent = learning_rate / (curvature * (2 - learning_rate * curvature))
    wanted = (end / independent, mean / independent)
    assert _factors(share, 0.0, learning_rate) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_many_epochs_come_to_the_mean_over_phases(momentum):
    """The mean over the steps of one late epoch is the stationary mean."""
    curvature, sgd = np.array([0.5, 3.0, 20.0]), SGD(0.02, momentum, 4)
    late = range(20 * 5000, 20 * 5000 + 20)
    found = shuffled_variance(curvature, sgd, 80, late)
    assert found == pytest.approx(shuffled_variance(curvature, sgd, 80, None), rel=1e-9)


def test_flat_directions_are_finite_under_shuffling():
    """Towards λ = 0 the mean variance has a limit, η²(K + 1)/6 for m = 1."""
    curvature = np.array([0.0, 1e-12, -1e-12, 1e-7])
    found = shuffled_variance(curvature, SGD(0.1, 0.0, 1), 500, None)
    # Rounding of 1 - a^K, with 1 - a = 1e-10.
    assert found == pytest.approx([0.01 * 501 / 6] * 4, rel=1e-5)


def test_flat_directions_diffuse_under_independent_batches():
    """At λ = 0 the variance is η²t/m, and the energy of the stationary state is finite."""
    sgd = SGD(0.1, 0.0, 2)
    assert independent_variance(np.zeros(1), sgd, [1000]) == pytest.approx(0.01 * 1000 / 2)
    assert stationary_energy(np.zeros(1), sgd) == pytest.approx(0.1 / 4)


def test_the_mean_is_over_the_steps_given():
    """Looks at steps 3 and 9 are averaged."""
    sgd, curvature = SGD(0.1, 0.5, 2), np.array([1.0, 4.0])
    for variance in (
        lambda steps: independent_variance(curvature, sgd, steps),
        lambda steps: shuffled_variance(curvature, sgd, 8, steps),
    ):
        assert variance([3, 9]) == pytest.approx((variance([3]) + variance([9])) / 2)


def test_runaway_directions_grow_as_their_power():
    """At λ < 0 the variance is that of a growing geometric sum."""
    growth = 1 + 0.1 * 2.0
    found = independent_variance(np.array([-2.0]), SGD(0.1, 0.0, 1), [50])
    wanted = 0.01 * (growth**100 - 1) / (growth**2 - 1)
    assert math.isclose(found.item(), wanted, rel_tol=1e-10)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("num_steps", [1, 3, 4, 9, 12])
def test_stages_scale_the_noise_of_their_own_steps(momentum, num_steps):
    """Noise 2 until step 3, 0.5 until step 9 and after, step by step with dense matrices."""
    sgd = SGD(learning_rate=0.1, momentum=momentum, batch_size=4)
    forth = np.array([[1 - 0.1 * 3.0, momentum], [-0.1 * 3.0, momentum]])
    covariance = np.zeros((2, 2))
    for step in range(num_steps):
        noise = 2.0 if step < 3 else 0.5
        covariance = forth @ covariance @ forth.T + noise * 0.1**2 / 4
    found = independent_variance(np.array([3.0]), sgd, [num_steps], [(3, 2.0), (9, 0.5)])
    assert found == pytest.approx(covariance[0, 0], rel=1e-12)
