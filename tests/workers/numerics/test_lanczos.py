"""Lanczos against dense matrices: eigenvalues, certificates, quadrature, and spectra that are hard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.numerics import lanczos

SIZE = 1000
STEPS = np.arange(1, SIZE + 1)
SPECTRA = {
    "flat": 3 - 2 * (STEPS - 1) / (SIZE - 1),
    "polynomial": STEPS**-2.0,
    "slow decay": 0.9 ** (STEPS - 1.0),
    "fast decay": 0.7 ** (STEPS - 1.0),
    "small step": np.where(STEPS <= 50, 1.0, 1e-3),
    "tiny step": np.where(STEPS <= 50, 1.0, 1e-8),
}
"""The six of Epperly, Tropp, Webber (2023), XTrace; operators of n = 1000."""


def symmetric(size, seed=0):
    matrix = np.random.default_rng(seed).normal(size=(size, size))
    return matrix + matrix.T


def run(matrix, start, num_steps):
    """Take steps until there is nowhere to go; a vector for a matrix is a diagonal."""
    product = np.multiply if matrix.ndim == 1 else np.matmul
    state = lanczos.begin(start)
    for _ in range(num_steps):
        if not state.is_invariant:
            state = lanczos.advance(state, lambda vector, _: product(matrix, vector))
    return state


def generic(size, seed=0):
    return np.random.default_rng(seed).normal(size=size)


def test_as_many_steps_as_dimensions_recover_the_matrix():
    """V T Vᵀ = A, V orthonormal, all eigenvalues and vectors right, residuals at rounding."""
    matrix = symmetric(30)
    state = run(matrix, generic(30), 30)
    np.testing.assert_allclose(state.basis @ state.basis.T, np.eye(30), atol=1e-14)
    images = np.array([lanczos.image_of(state, number) for number in range(30)])
    np.testing.assert_allclose(state.basis.T @ images, matrix, atol=1e-12)
    found = lanczos.largest(state, 30)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(matrix)[::-1], rtol=1e-11)
    assert found.residual_norms.max() < 1e-11


@pytest.mark.parametrize("num_steps", [1, 2, 5, 20])
def test_the_certificate_is_the_residual(num_steps):
    """|β s_m| is ‖Hu - θu‖ to rounding, never less than it, and an eigenvalue lies that near."""
    matrix = symmetric(60)
    state = run(matrix, generic(60), num_steps)
    found = lanczos.largest(state, 5)
    vectors = state.basis[:num_steps].T @ found.coordinates
    residuals = np.linalg.norm(matrix @ vectors - found.values * vectors, axis=0)
    np.testing.assert_allclose(found.residual_norms, residuals, rtol=1e-8)
    distances = np.abs(np.linalg.eigvalsh(matrix)[:, None] - found.values).min(axis=0)
    assert (distances <= found.residual_norms).all()


def test_products_in_float32_are_certified_with_their_rounding():
    """The defects catch what β cannot know: ‖Hu - θu‖ stays at 1e-6, though β s_m is far below."""
    matrix = symmetric(40).astype(np.float32)
    state = lanczos.begin(generic(40))
    for _ in range(40):
        state = lanczos.advance(
            state, lambda vector, _: (matrix @ vector.astype(np.float32)).astype(np.float64)
        )
    found = lanczos.largest(state, 3)
    vectors = state.basis[:40].T @ found.coordinates
    exact = matrix.astype(np.float64)
    residuals = np.linalg.norm(exact @ vectors - found.values * vectors, axis=0)
    assert (residuals <= 3 * found.residual_norms).all()
    assert (found.residual_norms < 1e-5 * found.values).all()
    assert (np.abs(found.values - np.linalg.eigvalsh(exact)[::-1][:3]) < 1e-5).all()


def test_second_differences_have_their_closed_form():
    """The eigenvalues of tridiag(-1, 2, -1) are 2 - 2 cos(kπ/(n + 1))."""
    size = 50
    matrix = 2 * np.eye(size) - np.eye(size, k=1) - np.eye(size, k=-1)
    found = lanczos.largest(run(matrix, generic(size), size), size)
    expected = 2 - 2 * np.cos(np.arange(size, 0, -1) * np.pi / (size + 1))
    np.testing.assert_allclose(found.values, expected, rtol=1e-10)


@settings(deadline=None, max_examples=30)
@given(size=st.integers(1, 12), num_steps=st.integers(1, 12), seed=st.integers(0, 1000))
def test_quadrature_is_exact_up_to_degree_2m_minus_1(size, num_steps, seed):
    """Σ w θ^k = vᵀAᵏv for k = 0 … 2m - 1, whatever the matrix and the start."""
    matrix, start = symmetric(size, seed) / np.sqrt(8 * size), generic(size, seed + 1)
    state = run(matrix, start, num_steps)
    nodes, weights = lanczos.quadrature(state, start @ start)
    for degree in range(2 * state.num_steps):
        expected = start @ np.linalg.matrix_power(matrix, degree) @ start
        assert weights @ nodes**degree == pytest.approx(expected, abs=1e-11 * (start @ start))


def test_moments_of_the_start():
    """Σ w = ‖v‖², Σ w θ = vᵀHv, Σ w θ² = ‖Hv‖², to rounding."""
    matrix, start = symmetric(200), generic(200)
    nodes, weights = lanczos.quadrature(run(matrix, start, 10), start @ start)
    image = matrix @ start
    assert weights.sum() == pytest.approx(start @ start, rel=1e-13)
    assert weights @ nodes == pytest.approx(start @ image, rel=1e-11)
    assert weights @ nodes**2 == pytest.approx(image @ image, rel=1e-12)


@pytest.mark.parametrize("name", SPECTRA)
def test_spectra_of_every_decay(name):
    """100 steps: moments exact, the largest value within its certificate, the distribution bracketed.

    At every node the true distribution lies between the quadrature's without that node's weight and
    with it (Chebyshev, Markov, Stieltjes).
    """
    spectrum, start = SPECTRA[name], np.sign(generic(SIZE))
    state = run(spectrum, start, 100)
    nodes, weights = lanczos.quadrature(state, float(SIZE))
    for degree in (0, 1, 2, 5):
        assert weights @ nodes**degree == pytest.approx((spectrum**degree).sum(), rel=1e-10)
    found = lanczos.largest(state, 1)
    assert abs(found.values[0] - spectrum.max()) <= found.residual_norms[0] + 1e-14
    assert found.values[0] == pytest.approx(spectrum.max(), rel=2e-3)
    below = np.array([(spectrum < node - 1e-9).sum() for node in nodes])
    at_most = np.array([(spectrum <= node + 1e-9).sum() for node in nodes])
    assert (np.cumsum(weights) >= below - 1e-6).all()
    assert (np.cumsum(weights) - weights <= at_most + 1e-6).all()


@pytest.mark.parametrize("name", ["slow decay", "fast decay", "polynomial"])
def test_ten_values_of_a_decaying_spectrum(name):
    """After 100 steps the ten largest are right to rounding."""
    found = lanczos.largest(run(SPECTRA[name], generic(SIZE), 100), 10)
    np.testing.assert_allclose(found.values, SPECTRA[name][:10], rtol=1e-12)


def test_equal_eigenvalues_are_seen_once_and_then_again():
    """diag(5, 5, 5, 2, 2, 1): three steps exhaust a start; other directions see the copies."""
    spectrum = np.array([5.0, 5, 5, 2, 2, 1])
    state = run(spectrum, generic(6), 6)
    assert state.is_invariant
    np.testing.assert_allclose(lanczos.largest(state, 6).values, [5, 2, 1], rtol=1e-13)
    seed = 1
    while state.num_steps < 6:
        if state.is_invariant:
            state, seed = lanczos.leave(state, generic(6, seed)), seed + 1
        state = lanczos.advance(state, lambda vector, _: spectrum * vector)
    found = lanczos.largest(state, 6)
    np.testing.assert_allclose(found.values, spectrum, rtol=1e-13)
    np.testing.assert_allclose(state.basis @ state.basis.T, np.eye(6), atol=1e-14)
    assert found.residual_norms.max() < 1e-13


def test_clustered_eigenvalues():
    """Two values 1e-9 apart, above a hundred others, are told apart when the certificate says so."""
    spectrum = np.concatenate([[1 + 1e-9, 1.0], np.linspace(0, 0.5, 100)])
    found = lanczos.largest(run(spectrum, generic(102), 102), 2)
    np.testing.assert_allclose(found.values, spectrum[:2], rtol=0, atol=1e-13)


def test_the_zero_matrix():
    """One step: the value 0, certified, and a quadrature with all weight at 0."""
    state = run(np.zeros((4, 4)), generic(4), 4)
    assert state.num_steps == 1
    assert state.is_invariant
    assert lanczos.largest(state, 3).values.tolist() == [0.0]
    assert lanczos.largest(state, 3).residual_norms.tolist() == [0.0]
    nodes, weights = lanczos.quadrature(state, 7.0)
    assert (nodes.tolist(), weights.tolist()) == ([0.0], [7.0])


def test_one_dimension():
    """The matrix is its eigenvalue."""
    state = run(np.array([[-3.0]]), np.array([2.0]), 1)
    assert lanczos.largest(state, 1).values.tolist() == [-3.0]
    assert state.is_invariant


def test_a_step_leaves_the_state_before_it_as_it_was():
    """Going on from a saved state gives equal bits."""
    matrix, start = symmetric(20), generic(20)
    saved = run(matrix, start, 4)
    copies = [np.array(each) for each in (saved.basis, saved.diagonal, saved.off_diagonal)]
    whole = run(matrix, start, 9)
    state = saved
    for _ in range(5):
        state = lanczos.advance(state, lambda vector, _: matrix @ vector)
    np.testing.assert_array_equal(state.basis, whole.basis)
    np.testing.assert_array_equal(state.diagonal, whole.diagonal)
    for kept, copy in zip((saved.basis, saved.diagonal, saved.off_diagonal), copies, strict=True):
        np.testing.assert_array_equal(kept, copy)


def test_products_are_numbered():
    """The operator is told which step asks."""
    asked = []
    state = lanczos.begin(np.ones(5))
    for _ in range(3):
        state = lanczos.advance(
            state, lambda vector, number: asked.append(number) or np.arange(1.0, 6.0) * vector
        )
    assert asked == [0, 1, 2]
