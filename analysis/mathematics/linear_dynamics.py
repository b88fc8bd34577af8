"""SGD on a quadratic, direction by direction: how far its noise carries the weights.

Along an eigenvector u of H with eigenvalue λ the coordinate x = uᵀ(θ - θ*) obeys, with the
displacement d_t = x_t - x_{t-1} = -η v_t,

    d' = μd - ηλx - ηξ,    x' = x + d',

whatever σ² does elsewhere: the variance of x needs only the noise along u, c = uᵀσ²u, so σ² and H
need not commute. Every function computes the variance of x for c = 1, one value a curvature λ [n].

Batches drawn independently: var ξ = c/m at every step, no correlation. Shuffled epochs of
K = ⌊N/m⌋ batches without a common example: var ξ = (c/m)·(N - m)/(N - 1) and, within an epoch,
cov(ξ_t, ξ_s) = -c/(N - 1), which is -1/(K - 1) of the variance where m divides N.

Source: the recursion above, solved; Liu, Ziyin and Ueda (2021), Theorem 1, for the stationary
variance with momentum; Kuehn and Rosenow (2023) for the correlation within epochs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

NoiseStage = tuple[int, float]
"""Until which step, counted from the start, and the noise c in it."""

_FLATTEST = 1e-10
"""Least |ηλ| for which a stationary covariance is solved: flatter ones are at its limit, up to rounding.
The system's condition grows as 1/|ηλ|, so that here six of sixteen digits are left."""


@dataclass(frozen=True)
class SGD:
    """Steps v ← μv + g_B, θ ← θ - ηv on batches of m.

    Attributes:
        learning_rate: η.
        momentum: μ.
        batch_size: m.
    """

    learning_rate: float
    momentum: float
    batch_size: int

    def step_fraction(self, curvature: Array) -> Array:
        """Compute ηλ/(2(1 + μ)) of λ [n], which is 1 where SGD loses its stability."""
        fraction: Array = self.learning_rate * curvature / (2 * (1 + self.momentum))
        return fraction

    def growth_exponent(self, curvature: Array) -> Array:
        """Compute 2 ln ρ [n], ρ the largest |z| of z² - (1 + μ - ηλ)z + μ = 0: a step's growth of ln x²."""
        half = (1 + self.momentum - self.learning_rate * curvature) / 2
        roots = np.sqrt((half**2 - self.momentum).astype(np.complex128))
        largest: Array = np.maximum(np.abs(half + roots), np.abs(half - roots))
        return 2 * np.log(np.maximum(largest, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class _Steps:
    """What some steps do to the state (x, d).

    Attributes:
        transition: M [n, 2, 2]: without noise a state s becomes Ms.
        squares: Σ g gᵀ [n, 2, 2] over the steps' kicks g, as they have become at the end.
        kicks: Σ g [n, 2, 1].
    """

    transition: Array
    squares: Array
    kicks: Array

    def moved(self, covariance: Array) -> Array:
        """Compute M P Mᵀ [n, 2, 2]."""
        turned: Array = self.transition @ covariance @ self.transition.swapaxes(1, 2)
        return turned

    def then(self, later: _Steps) -> _Steps:
        return _Steps(
            later.transition @ self.transition,
            later.moved(self.squares) + later.squares,
            later.transition @ self.kicks + later.kicks,
        )

    def repeated(self, times: int) -> _Steps:
        """Compose the steps with themselves several times, by squaring."""
        found, power = self.none(), self
        while times:
            if times % 2:
                found = found.then(power)
            times //= 2
            power = power.then(power) if times else power
        return found

    def none(self) -> _Steps:
        """Return what no steps at all do."""
        still = np.broadcast_to(np.eye(2), self.transition.shape)
        return _Steps(still, np.zeros_like(self.squares), np.zeros_like(self.kicks))


def stationary_energy(curvature: Array, sgd: SGD) -> Array:
    """Compute λV = η/(2m(1 - μ)(1 - ηλ/(2(1 + μ)))) of λ [n], V what SGD settles to on independent batches.

    Finite at λ = 0, where V is not. Formal for λ < 0 and without meaning for unstable steps, where
    nothing settles.
    """
    friction = 2 * sgd.batch_size * (1 - sgd.momentum) * (1 - sgd.step_fraction(curvature))
    energy: Array = sgd.learning_rate / friction
    return energy


def independent_variance(
    curvature: Array, sgd: SGD, steps: Sequence[int], stages: Sequence[NoiseStage] = ()
) -> Array:
    """Compute the variance [n] after t independent batches from one point at rest, mean over t in `steps`.

    The noise is c = 1, or that of the stages, of which the last one lasts.
    """
    step, squares = _one_step(curvature, sgd), []
    for number in steps:
        done = step.none()
        for first, end, noise in _pieces(number, stages):
            louder = replace(step, squares=noise * step.squares)
            done = done.then(louder.repeated(end - first))
        squares.append(done.squares[:, 0, 0])
    mean: Array = np.mean(squares, axis=0) / sgd.batch_size
    return mean


def _pieces(number: int, stages: Sequence[NoiseStage]) -> Iterator[tuple[int, int, float]]:
    """Cut the steps 0 … number - 1 at the ends of the stages, each piece with its noise."""
    first, noise = 0, 1.0
    for end, noise in stages:
        if first < number:
            yield first, min(end, number), noise
        first = end
    if first < number:
        yield first, number, noise


def shuffled_variance(
    curvature: Array, sgd: SGD, num_train: int, steps: Sequence[int] | None
) -> Array:
    """Compute the variance [n] under shuffled epochs.

    With `steps`, after t steps from one point at rest at the start of an epoch, mean over t in
    `steps`. Without, the mean over all K places in an epoch after infinitely many epochs.
    """
    if num_train <= sgd.batch_size:
        return np.zeros_like(curvature)
    if steps is None:
        return _mean_over_phases(curvature, sgd, num_train)
    step, num_batches = _one_step(curvature, sgd), num_train // sgd.batch_size
    epoch = step.repeated(num_batches)
    whole = replace(epoch, squares=_noise_within(epoch, sgd, num_train))
    found = []
    for number in steps:
        num_epochs, phase = divmod(number, num_batches)
        part = step.repeated(phase)
        before = part.moved(whole.repeated(num_epochs).squares)
        found.append((before + _noise_within(part, sgd, num_train))[:, 0, 0])
    mean: Array = np.mean(found, axis=0)
    return mean


def _mean_over_phases(curvature: Array, sgd: SGD, num_train: int) -> Array:
    """Average the first entry of M_r P M_rᵀ + Q_r over r = 0 … K-1, P that between two epochs.

    P = M_K P M_Kᵀ + Q_K is solved as a linear system in its four entries.
    """
    flattest = _FLATTEST / sgd.learning_rate
    curvature = np.where(np.abs(curvature) < flattest, flattest, curvature)
    num_batches = num_train // sgd.batch_size
    epoch = _one_step(curvature, sgd).repeated(num_batches)
    turned = np.einsum("nij,nkl->nikjl", epoch.transition, epoch.transition)
    within = _noise_within(epoch, sgd, num_train).reshape(-1, 4, 1)
    between = np.linalg.solve(np.eye(4) - turned.reshape(-1, 4, 4), within).reshape(-1, 2, 2)
    rows, noise = _sums_over_phases(curvature, sgd, num_train)
    mean: Array = (np.einsum("ijn,nij->n", rows, between) + noise) / num_batches
    return mean


def _sums_over_phases(curvature: Array, sgd: SGD, num_train: int) -> tuple[Array, Array]:
    """Sum over r = 0 … K-1 the squared first rows of M_r [2, 2, n] and the first entries of Q_r [n].

    What is followed from step to step is the x and the d that come of x = 1, of d = 1, and of a kick.
    """
    one, zero = np.ones_like(curvature), np.zeros_like(curvature)
    places = np.stack([one, zero, sgd.learning_rate * one])
    shifts = np.stack([zero, one, sgd.learning_rate * one])
    rows, noise = np.zeros((2, 2, len(curvature))), zero
    squares, kicks = zero, zero
    variance, covariance = _batch_noise(sgd, num_train)
    for _ in range(num_train // sgd.batch_size):
        rows += places[:2, None] * places[None, :2]
        noise = noise + (variance - covariance) * squares + covariance * kicks**2
        squares, kicks = squares + places[2] ** 2, kicks + places[2]
        shifts = sgd.momentum * shifts - sgd.learning_rate * curvature * places
        places = places + shifts
    return rows, noise


def _one_step(curvature: Array, sgd: SGD) -> _Steps:
    """Return one step, whose kick by noise of variance 1 is (η, η)."""
    pull, momentum = sgd.learning_rate * curvature, np.full_like(curvature, sgd.momentum)
    transition = np.moveaxis(np.array([[1 - pull, momentum], [-pull, momentum]]), 2, 0)
    kick = np.full((len(curvature), 2, 1), sgd.learning_rate)
    return _Steps(transition, kick @ kick.swapaxes(1, 2), kick)


def _noise_within(part: _Steps, sgd: SGD, num_train: int) -> Array:
    """Compute what the first batches of an epoch leave: (v - w) Σ g gᵀ + w (Σ g)(Σ g)ᵀ [n, 2, 2].

    v is the variance of a batch and w the covariance of two.
    """
    variance, covariance = _batch_noise(sgd, num_train)
    together = part.kicks @ part.kicks.swapaxes(1, 2)
    noise: Array = (variance - covariance) * part.squares + covariance * together
    return noise


def _batch_noise(sgd: SGD, num_train: int) -> tuple[float, float]:
    """Compute the variance of a shuffled batch's noise, and the covariance of two of one epoch."""
    variance = (num_train - sgd.batch_size) / (num_train - 1) / sgd.batch_size
    return variance, -1 / (num_train - 1)
