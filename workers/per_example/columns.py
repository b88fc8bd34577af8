"""Columns of a square root of the loss Hessian in the outputs: A = Σ_m w_m u_m u_mᵀ.

With J = ∂z/∂θ, an example's share of tr(JᵀAJ) is Σ_m w_m ‖Jᵀu_m‖²: squared norms of gradients along
the columns u_m, which need no second derivatives of the network.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Columns(NamedTuple):
    """Cotangents of the outputs with their weights.

    Attributes:
        vectors: u [B, M, C].
        weights: w [B, M].
    """

    vectors: tf.Tensor
    weights: tf.Tensor


def every_column(output_hessian: tf.Tensor) -> Columns:
    """Return all C columns of A = Σ λ_m q_m q_mᵀ [B, C, C]; exact.

    u_m = √|λ_m| q_m, w_m = sign λ_m.
    """
    eigenvalues, eigenvectors = tf.linalg.eigh(output_hessian)
    scaled = eigenvectors * tf.sqrt(tf.abs(eigenvalues))[:, None, :]
    return Columns(tf.linalg.matrix_transpose(scaled), tf.sign(eigenvalues))


def random_columns(output_hessian: tf.Tensor, signs: tf.Tensor, *, is_convex: bool) -> Columns:
    """Draw K random columns: u = Σ_m ε_m √λ_m q_m with ε = ±1, so E[u uᵀ] = A.

    An indefinite A = A₊ - A₋ takes one column of each part for every draw, weighted ±1. Unbiased;
    in the eigenbasis the variance is small where one eigenvalue dominates, as it does for an
    example that is nearly classified: with a single eigenvalue it vanishes.

    Args:
        output_hessian: A [B, C, C].
        signs: ε [B, K, C].
        is_convex: Whether A has no negative eigenvalues; any found are rounding error.

    Returns:
        M = K columns, or 2K, whose weighted squared norms sum to the MEAN over draws.
    """
    eigenvalues, eigenvectors = tf.linalg.eigh(output_hessian)
    num_draws = signs.shape[1]
    oriented = eigenvectors * _orientations(eigenvectors)
    roots = [tf.sqrt(tf.maximum(part, 0)) for part in (eigenvalues, -eigenvalues)]
    roots = roots[:1] if is_convex else roots
    vectors = [tf.einsum("bkm,bm,bcm->bkc", signs, root, oriented) for root in roots]
    weights = [tf.ones_like(signs[:, :, 0]) / num_draws * sign for sign in (1, -1)]
    return Columns(tf.concat(vectors, axis=1), tf.concat(weights[: len(roots)], axis=1))


def _orientations(eigenvectors: tf.Tensor) -> tf.Tensor:
    """Return the signs [B, 1, C] that orient every eigenvector along one fixed generic vector.

    An eigenvector's sign depends on rounding; without this, the same probe could yield another
    column when the examples are cut into other batches.
    """
    places = tf.range(eigenvectors.shape[-1], dtype=eigenvectors.dtype)
    generic = tf.cos(1 + places * places)
    projections = tf.einsum("c,bcm->bm", generic, eigenvectors)[:, None, :]
    return tf.where(projections < 0, -tf.ones_like(projections), tf.ones_like(projections))
