"""The size of the log loss' gradient in the outputs, in the ℓ₁ norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.contract.items import LossItem

if TYPE_CHECKING:
    import tensorflow as tf


class GradLogL1(LossItem):
    """ℓ(z, y) = Σ_k |y_k - p_k|, p = softmax(z); with one-hot y of class c it is 2(1 - p_c).

    The nearest literal reading of "the difference in y and ŷ" in Luo, Wang, Fung (2020, 2009.11858).
    """

    name = "gradlog_l1"
    title = "gradlog L1"
    needs_labels = True
    takes_softmax = True
    is_convex_in_outputs = False

    def per_example(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return ℓ [B]."""
        import tensorflow as tf  # here: who plans needs no TensorFlow

        targets = tf.cast(targets, outputs.dtype)
        return tf.reduce_sum(tf.abs(tf.nn.softmax(outputs) - targets), axis=-1)

    def output_hessian(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return A = Σ_k sign(p_k - y_k) ∂²p_k/∂z² [B, C, C], indefinite."""
        import tensorflow as tf  # here: who plans needs no TensorFlow

        from workers.losses.softmax import weighted_softmax_hessian

        probabilities = tf.nn.softmax(outputs)
        signs = tf.sign(probabilities - tf.cast(targets, outputs.dtype))
        return weighted_softmax_hessian(probabilities, signs)


ITEM = GradLogL1
