"""SGD on a quadratic, direction by direction: how far its noise carries the weights.

Along an eigenvector u of H with eigenvalue λ the coordinate x = uᵀ(θ - θ*) obeys, with the
displacement d_t = x_t - x_{t-1} = -η v_t,

    d' = μd - ηλx - ηξ,    x' = x + d',

whatever σ² does elsewhere: the variance of x needs only the noise along u, c = uᵀσ²u, so σ² and H
need not commute. Every function gives the variance of x for c = 1, one value a curvature λ [n].

Batches drawn independently: var ξ = c/m at every step, no correlation. Shuffled epochs of
K = ⌊N/m⌋ batches without a common example: var ξ = (c/m)·(N - m)/(N - 1) and, within an epoch,
cov(ξ_t, ξ_s) = -c/(N - 1), which is -1/(K - 1) of the variance where m divides N.

Source: SCIENCE notes §3.2, §3.4, §3.5; Liu, Ziyin and Ueda (2021), Theorem 1, for the stationary
variance with momentum; Kuehn and Rosenow (2023) for the correlation within epochs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_FLATTEST = 1e-12
"""Least |ηλ| for which a stationary covariance is solved; flatter ones weigh nothing in any law."""


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
        """Give ηλ/(2(1 + μ)), which is 1 where SGD loses its stability."""
        fraction: Array = self.learning_rate * curvature / (2 * (1 + self.momentum))
        return fraction


@dataclass(frozen=True)
class _Stretch:
    """What some steps do to the covariance P [n, 2, 2] of (x, d): P → M P Mᵀ + Q.

    Attributes:
        transition: M [n, 2, 2].
        noise: Q [n, 2, 2]; independent of the noise of other stretches.
    """

    transition: Array
    noise: Array

    def applied(self, covariance: Array) -> Array:
        turned = self.transition @ covariance @ self.transition.swapaxes(1, 2)
        moved: Array = turned + self.noise
        return moved

    def then(self, later: _Stretch) -> _Stretch:
        return _Stretch(later.transition @ self.transition, later.applied(self.noise))

    def repeated(self, times: int) -> _Stretch:
        """Take the stretch several times, by squaring."""
        found, power = _Stretch(np.broadcast_to(np.eye(2), self.noise.shape), 0 * self.noise), self
        while times:
            if times % 2:
                found = found.then(power)
            times //= 2
            power = power.then(power) if times else power
        return found

    def stationary(self) -> Array:
        """Solve P = M P Mᵀ + Q, as a linear system in the four entries of P."""
        turned = np.einsum("nij,nkl->nikjl", self.transition, self.transition)
        system = np.eye(4) - turned.reshape(-1, 4, 4)
        solved = np.linalg.solve(system, self.noise.reshape(-1, 4, 1))
        covariance: Array = solved.reshape(-1, 2, 2)
        return covariance


def stationary_energy(curvature: Array, sgd: SGD) -> Array:
    """Give λV = η/(2m(1 - μ)(1 - ηλ/(2(1 + μ)))), V what SGD settles to on independent batches.

    Finite at λ = 0, where V is not. Formal for λ < 0 and without meaning for unstable steps, where
    nothing settles.
    """
    friction = 2 * sgd.batch_size * (1 - sgd.momentum) * (1 - sgd.step_fraction(curvature))
    energy: Array = sgd.learning_rate / friction
    return energy


def independent_variance(curvature: Array, sgd: SGD, steps: Sequence[int]) -> Array:
    """Give the variance after t independent batches from one point at rest, mean over t in `steps`."""
    step = _Stretch(_transition(curvature, sgd), _kicks(curvature, sgd) / sgd.batch_size)
    at_steps = [step.repeated(number).noise[:, 0, 0] for number in steps]
    mean: Array = np.mean(at_steps, axis=0)
    return mean


def shuffled_variance(
    curvature: Array, sgd: SGD, num_train: int, steps: Sequence[int] | None
) -> Array:
    """Give the variance under shuffled epochs.

    With `steps`, after t steps from one point at rest at the start of an epoch, mean over t in
    `steps`. Without, the mean over all K places in an epoch after infinitely many epochs.
    """
    if num_train <= sgd.batch_size:
        return np.zeros_like(curvature)
    if steps is None:
        return _mean_over_phases(curvature, sgd, num_train)
    num_batches = num_train // sgd.batch_size
    last = num_batches if max(steps) >= num_batches else max(steps)
    phases = {number % num_batches for number in steps} | {last}
    epoch = enumerate(_parts_of_epoch(curvature, sgd, num_train, last))
    parts = {phase: part for phase, part in epoch if phase in phases}
    found = []
    for number in steps:
        num_epochs, phase = divmod(number, num_batches)
        before = parts[last].repeated(num_epochs)
        found.append(before.then(parts[phase]).noise[:, 0, 0])
    mean: Array = np.mean(found, axis=0)
    return mean


def _mean_over_phases(curvature: Array, sgd: SGD, num_train: int) -> Array:
    """Average the first entry of M_r P M_rᵀ + Q_r over r = 0 … K-1, P that between two epochs."""
    flattest = _FLATTEST / sgd.learning_rate
    curvature = np.where(np.abs(curvature) < flattest, flattest, curvature)
    num_batches = num_train // sgd.batch_size
    rows, noise = np.zeros((len(curvature), 2, 2)), np.zeros(len(curvature))
    for phase, part in enumerate(_parts_of_epoch(curvature, sgd, num_train, num_batches)):
        if phase < num_batches:
            row = part.transition[:, :1]
            rows += row.swapaxes(1, 2) @ row
            noise += part.noise[:, 0, 0]
    between = part.stationary()
    mean: Array = (np.sum(rows * between, axis=(1, 2)) + noise) / num_batches
    return mean


def _transition(curvature: Array, sgd: SGD) -> Array:
    pull, momentum = sgd.learning_rate * curvature, np.full_like(curvature, sgd.momentum)
    rows = [[1 - pull, momentum], [-pull, momentum]]
    return np.moveaxis(np.array(rows), 2, 0)


def _kicks(curvature: Array, sgd: SGD) -> Array:
    """Covariance of (x, d) that noise of variance 1 adds in one step."""
    return np.full((len(curvature), 2, 2), sgd.learning_rate**2)


def _parts_of_epoch(curvature: Array, sgd: SGD, num_train: int, last: int) -> Iterator[_Stretch]:
    """Give the first r batches of an epoch for r = 0 … last.

    A kick s steps ago is g_s = Mˢ(1, 1)ᵀ now, so r batches of variance v and covariance w leave
    η²[(v - w) Σ g_s g_sᵀ + w (Σ g_s)(Σ g_s)ᵀ].
    """
    covariance = -1 / (num_train - 1)
    variance = (num_train - sgd.batch_size) / (num_train - 1) / sgd.batch_size
    step = _transition(curvature, sgd)
    transition = np.broadcast_to(np.eye(2), step.shape)
    kick, kicks = np.ones((len(curvature), 2, 1)), np.zeros((len(curvature), 2, 1))
    squares = np.zeros(step.shape)
    for number in range(last + 1):
        together = covariance * kicks @ kicks.swapaxes(1, 2)
        apart = (variance - covariance) * squares
        yield _Stretch(transition, sgd.learning_rate**2 * (apart + together))
        if number < last:
            squares = squares + kick @ kick.swapaxes(1, 2)
            kicks, kick = kicks + kick, step @ kick
            transition = step @ transition
