"""Derivatives of softmax probabilities p = softmax(z) in the raw outputs z."""

from __future__ import annotations

import tensorflow as tf


def softmax_jacobian(probabilities: tf.Tensor) -> tf.Tensor:
    """Return J = ∂p/∂z = diag(p) - p pᵀ [B, C, C] from p [B, C]."""
    return tf.linalg.diag(probabilities) - _outer(probabilities, probabilities)


def weighted_softmax_hessian(probabilities: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return Σ_k c_k ∂²p_k/∂z² [B, C, C] from p [B, C] and c [B, C].

    With w = c ⊙ p and W = Σ_k w_k: diag(w) - w pᵀ - p wᵀ + 2 W p pᵀ - W diag(p).
    """
    weighted = weights * probabilities
    total = tf.reduce_sum(weighted, axis=-1, keepdims=True)
    cross = _outer(weighted, probabilities)
    return (
        tf.linalg.diag(weighted - total * probabilities)
        - cross
        - tf.linalg.matrix_transpose(cross)
        + 2 * _outer(total * probabilities, probabilities)
    )


def _outer(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return left[:, :, None] * right[:, None, :]
