"""Half the squared distance of the raw outputs from the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.contract.items import LossItem

if TYPE_CHECKING:
    import tensorflow as tf


class SquaredError(LossItem):
    """ℓ(z, y) = ½ ‖z - y‖² on raw outputs."""

    name = "squared_error"
    title = "squared error"
    is_convex_in_outputs = True
    has_finite_minimum = True

    def per_example(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return ℓ [B]."""
        import tensorflow as tf  # here: who plans needs no TensorFlow

        differences = outputs - tf.cast(targets, outputs.dtype)
        return tf.reduce_sum(tf.square(differences), axis=-1) / 2

    def output_hessian(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:  # noqa: ARG002 - constant
        """Return A = I [B, C, C]."""
        import tensorflow as tf  # here: who plans needs no TensorFlow

        batch_size, num_outputs = tf.unstack(tf.shape(outputs))
        return tf.eye(num_outputs, batch_shape=[batch_size], dtype=outputs.dtype)


ITEM = SquaredError
