"""Lanczos' tridiagonalisation of a symmetric operator, step by step: Ritz pairs and quadrature.

After m steps  H V = V T + β_m v_{m+1} e_mᵀ + F,  V [P, m] orthonormal, T tridiagonal with diagonal α and
off-diagonal β. F is zero but for the rounding of the products; its columns' norms are kept.
Source: Lanczos (1950); full reorthogonalisation, "twice is enough" (Parlett 1998, section 6.9).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.linalg

Array = npt.NDArray[np.float64]

Product = Callable[[Array, int], Array]
"""Returns Hv [P] for v [P] in the step of a number, from 0."""

_BREAKDOWN = 64 * float(np.finfo(np.float64).eps)
"""β below this share of the operator's size is rounding error: the space so far is invariant."""


class Tridiagonal(NamedTuple):
    """The state after m steps; a step returns a new one and leaves this unchanged.

    Float64: the basis takes 8 (m + 1) P bytes, 0.7 GB for 100 steps of 857,000 parameters, and as much
    again while it grows.

    Attributes:
        basis: v_1 … v_{m+1} as rows [m + 1, P]; without v_{m+1} where the space is invariant.
        diagonal: α [m].
        off_diagonal: β [m]; the last leads out of the space, and is 0 where the space is invariant.
        defects: ‖F e_j‖ [m].
    """

    basis: Array
    diagonal: Array
    off_diagonal: Array
    defects: Array

    @property
    def num_steps(self) -> int:
        """The number of products taken, m."""
        return len(self.diagonal)

    @property
    def is_invariant(self) -> bool:
        """Whether no direction leads out of the space, so that it cannot be advanced."""
        return len(self.basis) == self.num_steps

    @property
    def size(self) -> float:
        """The largest entry of T: within a factor of 3 of the largest |eigenvalue| seen."""
        entries = np.concatenate([self.diagonal, self.off_diagonal, [0.0]])
        return float(np.abs(entries).max())


def begin(start: Array) -> Tridiagonal:
    """Return the state before the first step, from a vector [P] that is not zero."""
    none = np.zeros(0)
    return Tridiagonal((start / np.linalg.norm(start))[None], none, none, none)


def advance(state: Tridiagonal, product: Product) -> Tridiagonal:
    """Return the state after one more step; this one must not be invariant."""
    current = state.basis[-1]
    image = product(current, state.num_steps)
    alpha = float(current @ image)
    remainder = image - alpha * current
    if state.num_steps:
        remainder -= state.off_diagonal[-1] * state.basis[-2]
    outward = _orthogonalised(remainder, state.basis)
    beta = float(np.linalg.norm(outward))
    is_inward = beta <= _BREAKDOWN * max(state.size, float(np.linalg.norm(image)))
    kept = np.zeros_like(outward) if is_inward else outward
    return Tridiagonal(
        state.basis if is_inward else np.concatenate([state.basis, outward[None] / beta]),
        np.append(state.diagonal, alpha),
        np.append(state.off_diagonal, 0.0 if is_inward else beta),
        np.append(state.defects, np.linalg.norm(remainder - kept)),
    )


def leave(state: Tridiagonal, direction: Array) -> Tridiagonal:
    """Continue from an invariant space along the part of a direction [P] that lies outside it.

    A start vector finds one eigenvector of each eigenvalue; another start finds the next. The state
    must be invariant and smaller than the whole space.
    """
    outward = _orthogonalised(direction, state.basis)
    outward = _orthogonalised(outward / np.linalg.norm(outward), state.basis)
    basis = np.concatenate([state.basis, outward[None] / np.linalg.norm(outward)])
    return Tridiagonal(basis, state.diagonal, state.off_diagonal, state.defects)


def image_of(state: Tridiagonal, number: int) -> Array:
    """Return H v [P] for basis vector `number`, below m, from its neighbours in the basis."""
    image: Array = state.diagonal[number] * state.basis[number]
    if number:
        image += state.off_diagonal[number - 1] * state.basis[number - 1]
    if state.off_diagonal[number]:
        image += state.off_diagonal[number] * state.basis[number + 1]
    return image


class RitzValues(NamedTuple):
    """The k algebraically largest Ritz values, in descending order.

    Attributes:
        values: θ [k].
        coordinates: Coordinates of the vectors u in the basis, as columns [m, k].
        residual_norms: Bounds of ‖Hu - θu‖ [k] from above: an eigenvalue lies no further from θ.
            With u = V s, |β_m s_m| + ‖F‖_F.
    """

    values: Array
    coordinates: Array
    residual_norms: Array


def largest(state: Tridiagonal, num_values: int) -> RitzValues:
    """Return the largest Ritz values, all m where there are fewer.

    That none between them was missed is likely, not certain: of equal eigenvalues one is found.
    """
    values, vectors = _diagonalised(state)
    values, vectors = values[::-1][:num_values], vectors[:, ::-1][:, :num_values]
    outward = np.abs(state.off_diagonal[-1] * vectors[-1])
    return RitzValues(values, vectors, outward + np.linalg.norm(state.defects))


class Quadrature(NamedTuple):
    """Σ_k weight_k f(node_k) = vᵀ f(H) v for the start v.

    Attributes:
        nodes: θ [m], in ascending order.
        weights: Non-negative [m]; they sum to ‖v‖².
    """

    nodes: Array
    weights: Array


def quadrature(state: Tridiagonal, squared_norm: float) -> Quadrature:
    """Return the Gauss quadrature of the start's spectral measure: exact up to degree 2m - 1.

    Args:
        state: One that was never continued along another direction.
        squared_norm: ‖v‖² of the start before it was normalised.

    Source: Golub, Welsch (1969).
    """
    nodes, vectors = _diagonalised(state)
    return Quadrature(nodes, squared_norm * np.square(vectors[0]))


def _diagonalised(state: Tridiagonal) -> tuple[Array, Array]:
    """Return the eigenvalues of T [m], ascending, and its eigenvectors as columns [m, m]."""
    values, vectors = scipy.linalg.eigh_tridiagonal(state.diagonal, state.off_diagonal[:-1])
    return np.asarray(values, np.float64), np.asarray(vectors, np.float64)


def _orthogonalised(vector: Array, basis: Array) -> Array:
    """Return the part of a vector [P] orthogonal to the rows of a basis [m, P]; two passes."""
    for _ in range(2):
        vector = vector - (basis @ vector) @ basis
    return vector
