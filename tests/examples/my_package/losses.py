"""A loss of one's own: cross-entropy with smoothed labels."""

import tensorflow as tf

from workers.losses.softmax import softmax_jacobian


class SmoothedCrossEntropy:
    """ℓ(z, y) = -Σ_k q_k log p_k with p = softmax(z) and q = 0.9 y + 0.1/C."""

    is_convex_in_outputs = True

    def per_example(self, outputs, targets):
        """Give ℓ [B] of raw outputs z [B, C] and one-hot targets y [B, C]."""
        smoothed = 0.9 * tf.cast(targets, outputs.dtype) + 0.1 / targets.shape[-1]
        return -tf.reduce_sum(smoothed * tf.nn.log_softmax(outputs), axis=-1)

    def output_hessian(self, outputs, targets):
        """Give ∂²ℓ/∂z² = diag(p) - p pᵀ [B, C, C]."""
        return softmax_jacobian(tf.nn.softmax(outputs))
