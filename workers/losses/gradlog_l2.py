"""The size of the log loss' gradient in the outputs, in the squared ℓ₂ norm: the Brier score."""

from __future__ import annotations

import tensorflow as tf

from workers.losses.softmax import softmax_jacobian, weighted_softmax_hessian


class GradLogL2:
    """ℓ(z, y) = Σ_k (y_k - p_k)², p = softmax(z)."""

    is_convex_in_outputs = False

    def per_example(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Give ℓ [B]."""
        targets = tf.cast(targets, outputs.dtype)
        return tf.reduce_sum(tf.square(tf.nn.softmax(outputs) - targets), axis=-1)

    def output_hessian(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Give A = 2 JJ + 2 Σ_k (p_k - y_k) ∂²p_k/∂z² [B, C, C], indefinite; J = diag(p) - p pᵀ."""
        probabilities = tf.nn.softmax(outputs)
        jacobian = softmax_jacobian(probabilities)
        differences = probabilities - tf.cast(targets, outputs.dtype)
        curvature = weighted_softmax_hessian(probabilities, differences)
        return 2 * (jacobian @ jacobian + curvature)
