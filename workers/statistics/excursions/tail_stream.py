"""SGD observed in its stationary state: what each step adds to the sums of its block."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.resumable.passes import State
from workers.statistics.excursions.excursion import Excursion
from workers.statistics.excursions.stream import CompiledStream, squared_norm

Array = npt.NDArray[np.float64]

AGAINST_DIRECTION, DIRECTION, VELOCITY = range(3)
"""Columns of what is observed at a step: (θ-c)·g_B, ‖g_B‖², and ‖v‖² after the step."""

NUM_SEEN = 3


@final
class WatchedStream:
    """Steps of SGD on the network of an excursion that sum θ - c, g_B and what is observed.

    Compiled once; c and the sums are arguments.

    Args:
        excursion: The network.
    """

    def __init__(self, excursion: Excursion) -> None:
        self._excursion = excursion
        places = {id(param): place for place, param in enumerate(excursion.sgd_step.params)}
        self._order = [places[id(variable)] for variable in excursion.groups.variables]
        zeros = tf.zeros(excursion.groups.num_params, tf.float64)
        self._centre, self._displacement, self._directions = (tf.Variable(zeros) for _ in range(3))
        self._stream = CompiledStream(
            excursion.sgd_step,
            excursion.train,
            excursion.trial.batch_size,
            self._watch,
            NUM_SEEN,
            watch_moves=lambda velocity: squared_norm(velocity)[None],
        )

    def run(self, state: State, batches: npt.NDArray[np.int32]) -> State:
        """Take steps on batches [S, m].

        Args:
            state: `params` θ [P], `velocity` v, `centre` c [P], and the sums `away` [P] of θ - c,
                `directions` [P] of g_B, `seen` [3] of what was observed.
            batches: The examples of each step.

        Returns:
            The state after the steps.
        """
        self._excursion.place(state["params"], state["velocity"])
        self._centre.assign(state["centre"])
        self._displacement.assign(state["away"])
        self._directions.assign(state["directions"])
        seen = self._stream.run(batches, self._excursion.learning_rate)
        return state | {
            "params": self._excursion.params(),
            "velocity": self._excursion.velocity(),
            "away": self._displacement.numpy(),
            "directions": self._directions.numpy(),
            "seen": state["seen"] + seen.sum(axis=0),
        }

    def _watch(self, directions: list[tf.Tensor]) -> tf.Tensor:
        """Add θ - c and g_B to the sums; return (θ-c)·g_B and ‖g_B‖² [2]."""
        displacement = self._flat(self._excursion.sgd_step.params) - self._centre
        direction = self._flat(directions)
        self._displacement.assign_add(displacement)
        self._directions.assign_add(direction)
        return tf.stack(
            [tf.reduce_sum(displacement * direction), tf.reduce_sum(direction * direction)]
        )

    def _flat(self, tensors: list[tf.Tensor]) -> tf.Tensor:
        """Concatenate one tensor per parameter to a float64 vector [P], in the groups' order."""
        pieces = [tf.convert_to_tensor(tensors[place]) for place in self._order]
        return tf.concat([tf.cast(tf.reshape(each, [-1]), tf.float64) for each in pieces], axis=0)
