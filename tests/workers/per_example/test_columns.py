"""Columns of a square root of the loss Hessian in the outputs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workers.contract.catalog import resolve
from workers.numerics.estimators import rademacher_signs
from workers.per_example.columns import every_column, random_columns

LOSSES = ("kld", "gradlog_l1", "gradlog_l2", "squared_error")


def output_hessian(name, num_examples=6, num_outputs=4):
    generator = np.random.default_rng(0)
    outputs = tf.constant(generator.normal(0, 2, (num_examples, num_outputs)))
    targets = np.eye(num_outputs)[generator.integers(0, num_outputs, num_examples)]
    return resolve("loss", name)().output_hessian(outputs, tf.constant(targets))


@pytest.mark.parametrize("name", LOSSES)
def test_all_columns_give_the_matrix_back(name):
    """Σ_m w_m u_m u_mᵀ = A to rounding, definite or not."""
    A = output_hessian(name)
    columns = every_column(A)
    rebuilt = tf.einsum("bm,bmc,bmd->bcd", columns.weights, columns.vectors, columns.vectors)
    np.testing.assert_allclose(rebuilt, A, atol=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_random_columns_give_the_matrix_on_average(name):
    """Over all 2⁴ draws of signs, as K = 16 columns, exactly: the cross terms cancel."""
    A = output_hessian(name)
    signs = 1.0 - 2.0 * ((np.arange(16)[:, None] >> np.arange(4)) & 1)
    convex = resolve("loss", name)().is_convex_in_outputs
    columns = random_columns(A, tf.constant(np.tile(signs, (6, 1, 1))), is_convex=convex)
    assert columns.vectors.shape[1] == (16 if convex else 32)
    mean = tf.einsum("bm,bmc,bmd->bcd", columns.weights, columns.vectors, columns.vectors)
    np.testing.assert_allclose(mean, A, atol=1e-14)


def test_one_eigenvalue_alone_leaves_no_variance():
    """Every draw of a matrix of rank one gives the same column up to its sign."""
    vector = np.array([1.0, -2.0, 0.5])
    signs = rademacher_signs(0, 0, np.arange(8), (1, 3)).astype(np.float64)
    A = tf.constant(np.tile(np.outer(vector, vector), (8, 1, 1)))
    found = random_columns(A, tf.constant(signs), is_convex=True).vectors.numpy()[:, 0]
    np.testing.assert_allclose(np.abs(found @ vector), vector @ vector, rtol=1e-12)


def test_the_signs_of_eigenvectors_do_not_matter():
    """A rounding error in A moves a column by as little, though eigenvectors may turn round."""
    A = output_hessian("kld").numpy()
    noise = 1e-12 * np.random.default_rng(1).normal(size=A.shape)
    signs = tf.constant(rademacher_signs(0, 0, np.arange(6), (2, 4)).astype(np.float64))
    one, other = (
        random_columns(tf.constant(each), signs, is_convex=True).vectors
        for each in (A, A + noise + noise.transpose(0, 2, 1))
    )
    # A has the eigenvalue 0, whose square root turns 1e-12 into 1e-6
    np.testing.assert_allclose(one, other, atol=1e-5)
