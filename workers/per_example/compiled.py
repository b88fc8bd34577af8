"""One compiled pass over a batch: squared gradient norms of every example along several cotangents."""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.losses.loss import Loss
from workers.network.params import Parameter
from workers.per_example.columns import Columns, every_column, random_columns
from workers.per_example.dissection import Dissection
from workers.per_example.rules.rule import Gradient

Array = npt.NDArray[np.float64]


class BatchNorms(NamedTuple):
    """The norms of one batch; W parameter tensors in the order of the dissection.

    Attributes:
        gradient_norms: ‖∂ℓ_b/∂θ_w‖² [B, W].
        curvatures: Σ_m w_m ‖(Jᵀu_m)_w‖² [B, W], each example's share of tr(JᵀAJ).
        column_norms: Σ_m |w_m| ‖Jᵀu_m‖² [B], over all parameters.
        gradient_total: Σ_b ∂ℓ_b/∂θ [P], parameters flattened and concatenated.
    """

    gradient_norms: Array
    curvatures: Array
    column_norms: Array
    gradient_total: Array


@final
class CompiledNorms:
    """Norms by one forward pass, and one backward pass for the loss and each column; compiled once.

    The backward pass goes through activations alone; the rules map their cotangents to norms. The
    loss and its derivatives in the outputs are computed in float64, as 1 - p is lost in float32
    once an example is well classified; the network computes in its own precision.

    Args:
        dissection: The network and its rules.
        loss: Unreduced.
        num_columns: K random columns per example, None for all C, 0 for none.
    """

    def __init__(self, dissection: Dissection, loss: Loss, num_columns: int | None) -> None:
        self._dissection, self._loss, self._num_columns = dissection, loss, num_columns
        network = dissection.network
        num_outputs = network.output_shape[0][-1]
        self.signs_shape = (num_columns or 0, num_outputs)
        signature = [
            tf.TensorSpec([None, *network.input_shape[1:]], network.inputs[0].dtype),
            tf.TensorSpec([None, num_outputs], tf.float32),
            tf.TensorSpec([None, *self.signs_shape], tf.float32),
        ]
        self._compiled = tf.function(self._norms, input_signature=signature, autograph=False)

    @property
    def parameters(self) -> list[Parameter]:
        """θ, in the order of the rules."""
        return self._dissection.parameters

    def take_weights(self) -> None:
        """Take the weights that the network now holds."""
        self._dissection.take_weights()

    def __call__(
        self, inputs: tf.Tensor, targets: tf.Tensor, signs: npt.NDArray[np.float32]
    ) -> BatchNorms:
        """Measure one batch.

        Args:
            inputs: x [B, …].
            targets: y [B, C].
            signs: ε [B, K, C]; K = 0 unless columns are random.
        """
        found = self._compiled(inputs, targets, tf.constant(signs))
        return BatchNorms(*(each.numpy().astype(np.float64) for each in found))

    def _norms(
        self, inputs: tf.Tensor, targets: tf.Tensor, signs: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Return the fields of `BatchNorms` for x [B, …], y [B, C] and signs ε [B, K, C]."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            outputs, layer_inputs, layer_outputs = self._dissection.network(inputs, training=False)
        gradient, columns = self._output_cotangents(outputs, targets, signs)
        cotangents = [gradient, *tf.unstack(columns.vectors, axis=1)]
        pulled_back = [
            tape.gradient(
                outputs,
                layer_outputs,
                output_gradients=tf.cast(each, outputs.dtype),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            for each in cotangents
        ]
        of_layers = zip(
            self._dissection.rules, layer_inputs, zip(*pulled_back, strict=True), strict=True
        )
        found = [rule.gradients(values, list(found)) for rule, values, found in of_layers]
        return _joined(self._dissection.of_parameters(found), columns.weights)

    def _output_cotangents(
        self, outputs: tf.Tensor, targets: tf.Tensor, signs: tf.Tensor
    ) -> tuple[tf.Tensor, Columns]:
        """Return ∂ℓ/∂z [B, C] and the columns of ∂²ℓ/∂z² [B, C, C], in float64."""
        exact, targets = tf.cast(outputs, tf.float64), tf.cast(targets, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(exact)
            losses = self._loss.per_example(exact, targets)
        gradient = tape.gradient(losses, exact)
        if self._num_columns == 0:
            empty = tf.cast(signs, tf.float64)
            return gradient, Columns(empty, empty[:, :, 0])
        output_hessian = self._loss.output_hessian(exact, targets)
        if self._num_columns is None:
            return gradient, every_column(output_hessian)
        is_convex = self._loss.is_convex_in_outputs
        draws = tf.cast(signs, tf.float64)
        return gradient, random_columns(output_hessian, draws, is_convex=is_convex)


def _joined(gradients: list[Gradient], weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Join the parameters' results as in `BatchNorms`, with the columns' weights [B, M]."""
    squared_norms = tf.cast(
        tf.stack([each.squared_norms for each in gradients], axis=2), tf.float64
    )
    curvatures = tf.einsum("bm,bmw->bw", weights, squared_norms[:, 1:])
    column_norms = tf.einsum("bm,bmw->b", tf.abs(weights), squared_norms[:, 1:])
    total = tf.concat([tf.reshape(each.total, [-1]) for each in gradients], axis=0)
    return squared_norms[:, 0], curvatures, column_norms, total
