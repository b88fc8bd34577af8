"""The size of the log loss' gradient in the outputs, in the squared ℓ₂ norm: the Brier score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.contract.items import LossItem

if TYPE_CHECKING:
    import tensorflow as tf


class GradLogL2(LossItem):
    """ℓ(z, y) = Σ_k (y_k - p_k)², p = softmax(z)."""

    name = "gradlog_l2"
    title = "gradlog L2"
    needs_labels = True
    takes_softmax = True
    is_convex_in_outputs = False

    def per_example(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return ℓ [B]."""
        import tensorflow as tf  # here: who plans needs no TensorFlow

        targets = tf.cast(targets, outputs.dtype)
        return tf.reduce_sum(tf.square(tf.nn.softmax(outputs) - targets), axis=-1)

    def output_hessian(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return A = 2 JJ + 2 Σ_k (p_k - y_k) ∂²p_k/∂z² [B, C, C], indefinite; J = diag(p) - p pᵀ."""
        import tensorflow as tf  # here: who plans needs no TensorFlow

        from workers.losses.softmax import softmax_jacobian, weighted_softmax_hessian

        probabilities = tf.nn.softmax(outputs)
        jacobian = softmax_jacobian(probabilities)
        differences = probabilities - tf.cast(targets, outputs.dtype)
        curvature = weighted_softmax_hessian(probabilities, differences)
        return 2 * (jacobian @ jacobian + curvature)


ITEM = GradLogL2
