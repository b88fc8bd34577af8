"""Kullback-Leibler divergence of the softmax from the targets; with one-hot targets, cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.contract.items import LossItem

if TYPE_CHECKING:
    import tensorflow as tf


class KullbackLeibler(LossItem):
    """ℓ(z, y) = Σ_k y_k log(y_k / p_k), p = softmax(z), in nats; y sums to one.

    Taken from the raw outputs through log-softmax, never clipped: where Keras' `KLDivergence` clips
    p at 10⁻⁷ and loses the gradient, this goes on. Elsewhere both agree within 2·10⁻⁵ (the ten
    clipped zeros of y).
    """

    name = "kld"
    title = "KLD"
    needs_labels = True
    takes_softmax = True
    is_convex_in_outputs = True

    def per_example(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return ℓ [B]; y log y is 0 at y = 0."""
        import tensorflow as tf  # here: who plans needs no TensorFlow

        targets = tf.cast(targets, outputs.dtype)
        negative_entropy = tf.reduce_sum(tf.math.xlogy(targets, targets), axis=-1)
        return negative_entropy - tf.reduce_sum(targets * tf.nn.log_softmax(outputs), axis=-1)

    def output_hessian(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:  # noqa: ARG002 - the same for every y
        """Return A = diag(p) - p pᵀ [B, C, C], positive semi-definite of rank C - 1."""
        import tensorflow as tf  # here: who plans needs no TensorFlow

        from workers.losses.softmax import softmax_jacobian

        return softmax_jacobian(tf.nn.softmax(outputs))


ITEM = KullbackLeibler
