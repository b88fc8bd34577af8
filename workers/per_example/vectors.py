"""Gradients of single examples as whole vectors, for the few examples that need them."""

from __future__ import annotations

from typing import final

import tensorflow as tf

from workers.losses.loss import Loss
from workers.per_example.columns import random_columns
from workers.per_example.dissection import Dissection


@final
class CompiledVectors:
    """Jᵀu [P] of every example of a batch, for a cotangent u [C] of its outputs; compiled once.

    Args:
        dissection: The network and its rules.
        loss: Unreduced; computed in float64 from the outputs on.
    """

    def __init__(self, dissection: Dissection, loss: Loss) -> None:
        self._dissection, self._loss = dissection, loss
        network = dissection.network
        num_outputs = network.output_shape[0][-1]
        batch = [
            tf.TensorSpec([None, *network.input_shape[1:]], network.inputs[0].dtype),
            tf.TensorSpec([None, num_outputs], tf.float32),
        ]
        signs = tf.TensorSpec([None, 1, num_outputs], tf.float32)
        self._gradients = tf.function(self._of_loss, input_signature=batch, autograph=False)
        self._columns = tf.function(
            self._of_columns, input_signature=[*batch, signs], autograph=False
        )

    def gradients(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return g_i = ∂ℓ_i/∂θ [B, P] of x [B, …], y [B, C], in the order of the dissection."""
        return self._gradients(inputs, targets)

    def columns(
        self, inputs: tf.Tensor, targets: tf.Tensor, signs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return s_i = J_iᵀu_i [M, B, P] and the weights w [M, B] of one random column's M parts.

        Args:
            inputs: x [B, …].
            targets: y [B, C].
            signs: ε [B, 1, C]. E[Σ_m w_m s_m s_mᵀ] = JᵀAJ, A = ∂²ℓ/∂z²; M = 1 for a convex loss, else 2.
        """
        vectors, weights = self._columns(inputs, targets, signs)
        return vectors, weights

    def _of_loss(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return g_i [B, P] of x [B, …] and y [B, C]."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            outputs, layer_inputs, layer_outputs = self._dissection.network(inputs, training=False)
        exact, targets = tf.cast(outputs, tf.float64), tf.cast(targets, tf.float64)
        with tf.GradientTape() as outer:
            outer.watch(exact)
            losses = self._loss.per_example(exact, targets)
        cotangent = outer.gradient(losses, exact)
        return self._pulled_back(tape, outputs, layer_inputs, layer_outputs, cotangent)

    def _of_columns(
        self, inputs: tf.Tensor, targets: tf.Tensor, signs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return s_i [M, B, P] and w [M, B] of x [B, …], y [B, C] and signs ε [B, 1, C]."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            outputs, layer_inputs, layer_outputs = self._dissection.network(inputs, training=False)
        exact, targets = tf.cast(outputs, tf.float64), tf.cast(targets, tf.float64)
        columns = random_columns(
            self._loss.output_hessian(exact, targets),
            tf.cast(signs, tf.float64),
            is_convex=self._loss.is_convex_in_outputs,
        )
        vectors = [
            self._pulled_back(tape, outputs, layer_inputs, layer_outputs, each)
            for each in tf.unstack(columns.vectors, axis=1)
        ]
        return tf.stack(vectors), tf.transpose(columns.weights)

    def _pulled_back(
        self,
        tape: tf.GradientTape,
        outputs: tf.Tensor,
        layer_inputs: list[tf.Tensor],
        layer_outputs: list[tf.Tensor],
        cotangent: tf.Tensor,
    ) -> tf.Tensor:
        """Return Jᵀu [B, P] for a cotangent u [B, C]."""
        of_layers = tape.gradient(
            outputs,
            layer_outputs,
            output_gradients=tf.cast(cotangent, outputs.dtype),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        rules = zip(self._dissection.rules, layer_inputs, of_layers, strict=True)
        found = self._dissection.of_parameters(rule.vectors(x, delta) for rule, x, delta in rules)
        return tf.concat([tf.reshape(each, [tf.shape(each)[0], -1]) for each in found], axis=1)
