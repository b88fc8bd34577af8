"""The empirical risk L(θ) = (1/N) Σ_i ℓ_i(θ): value, gradient, Hessian-vector products.

The mean over examples is taken here: batches are weighted by their size, sums are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.losses.loss import Loss
from workers.network.params import params_of
from workers.network.second_derivatives import (
    refuse_lost_second_derivatives,
    right_second_derivatives,
)

Vector = npt.NDArray[np.float64]
Batch = tuple[tf.Tensor, tf.Tensor]
"""Inputs x [B, …] and targets y [B, C]."""


def mean_over_examples(total: Vector | np.float64, num_examples: int) -> Vector:
    """Divide a sum over examples, of any shape [...], by their number."""
    return np.asarray(total / num_examples)


def mean_of_batch(losses: tf.Tensor) -> tf.Tensor:
    """Return the mean [] of a batch's losses [B]: the data part of the objective of an SGD step."""
    return tf.reduce_mean(losses)


@final
class Risk:
    """L(θ) of a network, at the network's current weights.

    Vectors [P] hold the parameters, flattened and concatenated. Every function is compiled once; a
    vector is an argument, so that no product is traced again.

    In inference mode the batches are parts of a sum over examples. In training mode, where batch
    norms use the statistics of the batch, pass one batch at a time, for its own L_B; no moving
    statistics are updated.

    Args:
        model: The network; its batch norms hold the statistics to use.
        loss: Unreduced.
        variables: θ, in this order; None for the network's own, as in `params_of`.
        in_training: Whether layers run in training mode.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Loss,
        variables: list[keras.Variable] | None = None,
        *,
        in_training: bool = False,
    ) -> None:
        self._model, self._loss, self._in_training = model, loss, in_training
        variables = variables or [each.variable for each in params_of(model)]
        self._params = [variable.value for variable in variables]
        self._shapes = [param.shape for param in self._params]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        inputs = tf.TensorSpec([None, *model.input_shape[1:]], model.inputs[0].dtype)
        targets = tf.TensorSpec([None, model.output_shape[-1]], tf.float32)
        vector = tf.TensorSpec([self.num_params], self.dtype)
        weights = tf.TensorSpec([None], tf.float64)
        batch = [inputs, targets]
        self._compiled_loss = _compile(self._total_loss, batch)
        self._compiled_gradient = _compile(self._total_gradient, batch)
        self._compiled_both = _compile(self._total_loss_and_gradient, batch)
        self._compiled_slopes = _compile(self._slopes, [*batch, vector])
        self._compiled_weighted = _compile(self._weighted_gradient, [*batch, weights])
        self._compiled_product = _compile(self._total_product, [*batch, vector])
        self._compiled_residual = _compile(self._residual_product, [*batch, weights, vector])

    @property
    def dtype(self) -> tf.DType:
        """The precision of the parameters."""
        return self._params[0].dtype

    @property
    def num_params(self) -> int:
        """The number of parameters, P."""
        return sum(self._sizes)

    def params(self) -> Vector:
        """Return θ [P]."""
        return np.concatenate([param.numpy().ravel() for param in self._params]).astype(np.float64)

    def split_by_param(self, vector: Vector) -> list[Vector]:
        """Cut a vector [P] into one flat piece for each parameter tensor."""
        return np.split(vector, np.cumsum(self._sizes)[:-1])

    def loss(self, batches: Iterable[Batch]) -> float:
        """Return L over batches of x [B, …] and y [B, C]."""
        return float(_mean((self._compiled_loss(x, y), len(x)) for x, y in batches))

    def gradient(self, batches: Iterable[Batch]) -> Vector:
        """Return ∇L [P]."""
        return _mean((self._compiled_gradient(x, y), len(x)) for x, y in batches)

    def batch_loss_and_gradient(self, inputs: tf.Tensor, targets: tf.Tensor) -> Vector:
        """Return Σ_b ℓ_b, then Σ_b ∇ℓ_b [1 + P], of one batch."""
        return np.asarray(self._compiled_both(inputs, targets).numpy(), np.float64)

    def batch_slopes(self, inputs: tf.Tensor, targets: tf.Tensor, vector: Vector) -> Vector:
        """Return the slope of every example's loss along v [P], ∇ℓ_b·v [B]; inference mode."""
        slopes = self._compiled_slopes(inputs, targets, tf.constant(vector, self.dtype))
        return np.asarray(slopes.numpy(), np.float64)

    def weighted_gradient(self, inputs: tf.Tensor, targets: tf.Tensor, weights: Vector) -> Vector:
        """Return Σ_b w_b ∇ℓ_b [P] of one batch with weights w [B]."""
        total = self._compiled_weighted(inputs, targets, tf.constant(weights, tf.float64))
        return np.asarray(total.numpy(), np.float64)

    def hessian_vector_product(self, batches: Iterable[Batch], vector: Vector) -> Vector:
        """Return Hv [P], H = ∇²L over all the batches."""
        direction = tf.constant(vector, self.dtype)
        return _mean((self._compiled_product(x, y, direction), len(x)) for x, y in batches)

    def batch_hessian_vector_product(
        self, inputs: tf.Tensor, targets: tf.Tensor, vector: Vector
    ) -> Vector:
        """Return Σ_b ∇²ℓ_b v [P], the sum over one batch."""
        product = self._compiled_product(inputs, targets, tf.constant(vector, self.dtype))
        return np.asarray(product.numpy(), np.float64)

    def batch_residual_product(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: Vector, vector: Vector
    ) -> Vector:
        """Return Σ_b w_b R_b v [P], R = ∇²ℓ - JᵀAJ = Σ_k (∂ℓ/∂z_k) ∇²z_k.

        R is what a Gauss-Newton matrix omits; the outputs' cotangents ∂ℓ/∂z are held fixed.
        """
        direction = tf.constant(vector, self.dtype)
        product = self._compiled_residual(inputs, targets, tf.constant(weights), direction)
        return np.asarray(product.numpy(), np.float64)

    def _total_loss(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return Σ_b ℓ_b []."""
        return tf.reduce_sum(self._losses(inputs, targets))

    def _losses(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return ℓ_b [B], in float64 from the outputs on."""
        outputs = self._outputs(inputs)
        return self._loss.per_example(outputs, tf.cast(targets, tf.float64))

    def _total_gradient(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return Σ_b ∇ℓ_b [P]."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._params)
            total = self._total_loss(inputs, targets)
        return _flat(self._derivatives(tape, total))

    def _total_loss_and_gradient(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return Σ_b ℓ_b, then Σ_b ∇ℓ_b [1 + P]."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._params)
            total = self._total_loss(inputs, targets)
        gradient = tf.cast(_flat(self._derivatives(tape, total)), total.dtype)
        return tf.concat([total[None], gradient], axis=0)

    def _slopes(self, inputs: tf.Tensor, targets: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Differentiate (Σ_b w_b ∇ℓ_b)·v, v [P], in the weights w [B], in which it is linear."""
        weights = tf.ones_like(targets[:, 0], tf.float64)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            along = _along(vector, self._weighted_gradient(inputs, targets, weights))
        return tape.gradient(along, weights)

    def _weighted_gradient(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
    ) -> tf.Tensor:
        """Return Σ_b w_b ∇ℓ_b [P] with weights w [B]."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._params)
            total = tf.tensordot(weights, self._losses(inputs, targets), axes=1)
        return _flat(self._derivatives(tape, total))

    def _total_product(self, inputs: tf.Tensor, targets: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Return Σ_b ∇²ℓ_b v [P] from vᵀ∇ℓ: reverse over reverse, 3.6 times a gradient's cost."""
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(self._params)
            along = _along(vector, self._total_gradient(inputs, targets))
        return _flat(self._derivatives(outer, along))

    def _residual_product(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, vector: tf.Tensor
    ) -> tf.Tensor:
        """Return Σ_b w_b R_b v [P] with weights w [B] and v [P], as in `batch_residual_product`."""
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(self._params)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(self._params)
                outputs = self._outputs(inputs)
                cotangents = tf.stop_gradient(self._output_gradient(outputs, targets))
                total = tf.reduce_sum(weights[:, None] * cotangents * outputs)
            along = _along(vector, _flat(self._derivatives(inner, total)))
        return _flat(self._derivatives(outer, along))

    def _outputs(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return z [B, C]; what a layer assigns to its variables is discarded with the scope."""
        with keras.StatelessScope(), right_second_derivatives():
            return tf.cast(self._model(inputs, training=self._in_training), tf.float64)

    def _output_gradient(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return ∂ℓ/∂z [B, C]."""
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            losses = self._loss.per_example(outputs, tf.cast(targets, outputs.dtype))
        return tape.gradient(losses, outputs)

    def _derivatives(self, tape: tf.GradientTape, target: tf.Tensor) -> list[tf.Tensor]:
        """Differentiate a scalar [] in θ: one tensor per parameter, in its shape [...]."""
        zero = tf.UnconnectedGradients.ZERO
        found: list[tf.Tensor] = tape.gradient(target, self._params, unconnected_gradients=zero)
        return found


def _compile(
    function: Callable[..., tf.Tensor], signature: list[tf.TensorSpec]
) -> Callable[..., tf.Tensor]:
    """Compile a function of tensors for these shapes, in which batches [B, …] may vary in B."""
    compiled: Callable[..., tf.Tensor] = tf.function(
        function, input_signature=signature, autograph=False
    )
    return compiled


def _along(vector: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Return g·v [] of a gradient [P] and v [P], to be differentiated once more.

    Raises:
        UserError: A part of that derivative would be lost.
    """
    if not tf.executing_eagerly():
        refuse_lost_second_derivatives(gradient.graph)
    return tf.tensordot(gradient, vector, axes=1)


def _flat(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Concatenate one tensor per parameter to a vector [P]."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def _mean(totals: Iterable[tuple[tf.Tensor, int]]) -> Vector:
    """Return the mean over examples from sums over batches, [] or [P] each, with their sizes."""
    running, num_examples = np.float64(0), 0
    for total, size in totals:
        running = running + total.numpy().astype(np.float64)
        num_examples += size
    return mean_over_examples(running, num_examples)
