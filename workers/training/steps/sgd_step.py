"""One step of plain SGD with momentum on a batch: the only place where weights are updated.

v ← μv + ∇(mean loss) + weight_decay · θ_decayed,  θ ← θ - ηv.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple, final

import keras
import tensorflow as tf

from workers.contract.specs import TrainingSpec
from workers.losses.loss import Loss
from workers.network.params import params_of
from workers.network.risk import mean_of_batch
from workers.training.steps.fused_batch_norm import fused_batch_norms


class BatchGradient(NamedTuple):
    """Losses, outputs and gradient of a batch of B examples.

    Attributes:
        losses: ℓ [B], the data part alone.
        outputs: z [B, C].
        directions: ∇(mean loss) + weight_decay · θ_decayed, one tensor per parameter.
    """

    losses: tf.Tensor
    outputs: tf.Tensor
    directions: list[tf.Tensor]


@final
class SGDStep:
    """Gradients and updates of one network; owns the velocity.

    Args:
        model: The network whose θ, as in `params_of`, moves.
        loss: Unreduced.
        training: Momentum μ and weight decay.
        in_training: Whether layers run in training mode; batch norms then take the batch's statistics.
    """

    def __init__(
        self, model: keras.Model, loss: Loss, training: TrainingSpec, *, in_training: bool = True
    ) -> None:
        self._model, self._loss, self._in_training = model, loss, in_training
        self._momentum, self._weight_decay = training.momentum, training.weight_decay
        parameters = params_of(model)
        self.params = [each.variable for each in parameters]
        self._decayed = {id(each.variable) for each in parameters if each.has_decay}
        has_velocity = training.momentum > 0
        self.velocity = [
            tf.Variable(tf.zeros(param.shape, param.dtype))
            for param in (self.params if has_velocity else [])
        ]

    def gradient(self, inputs: tf.Tensor, targets: tf.Tensor) -> BatchGradient:
        """Differentiate the objective of one batch: inputs x [B, …], targets y [B, C]."""
        normalising = fused_batch_norms(self._model) if self._in_training else nullcontext()
        with tf.GradientTape() as tape, normalising:
            outputs = tf.cast(self._model(inputs, training=self._in_training), tf.float32)
            losses = self._loss.per_example(outputs, targets)
            objective = mean_of_batch(losses)
        gradients = tape.gradient(
            objective, self.params, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        pairs = zip(self.params, gradients, strict=True)
        return BatchGradient(losses, outputs, [self._with_decay(*pair) for pair in pairs])

    def update(self, directions: list[tf.Tensor], learning_rate: tf.Tensor) -> list[tf.Tensor]:
        """Move the velocity, then the weights, at a rate []; return the new velocity v.

        Directions and v have one tensor per parameter, in its shape [...]; without momentum v is ∇.
        """
        moves = list(directions)
        if self.velocity:
            moves = [
                velocity.assign(self._momentum * velocity + direction)
                for velocity, direction in zip(self.velocity, directions, strict=True)
            ]
        for param, move in zip(self.params, moves, strict=True):
            param.value.assign_sub(learning_rate * move)
        return moves

    def _with_decay(self, param: keras.Variable, data_gradient: tf.Tensor) -> tf.Tensor:
        """Return ∂/∂θ_w of the objective, in the parameter's shape [...]."""
        direction = tf.convert_to_tensor(data_gradient)
        if self._weight_decay > 0 and id(param) in self._decayed:
            direction += self._weight_decay * param.value
        return direction
