"""Half the squared distance of the raw outputs from the targets."""

from __future__ import annotations

import tensorflow as tf


class SquaredError:
    """ℓ(z, y) = ½ ‖z - y‖² on raw outputs."""

    is_convex_in_outputs = True

    def per_example(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Give ℓ [B]."""
        differences = outputs - tf.cast(targets, outputs.dtype)
        return tf.reduce_sum(tf.square(differences), axis=-1) / 2

    def output_hessian(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:  # noqa: ARG002 - constant
        """Give A = I [B, C, C]."""
        batch_size, num_outputs = tf.unstack(tf.shape(outputs))
        return tf.eye(num_outputs, batch_shape=[batch_size], dtype=outputs.dtype)
