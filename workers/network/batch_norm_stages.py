"""Stages of a network: its batch norms, in an order where each depends on earlier stages alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.network.graph import Graph

Array = npt.NDArray[np.float64]

_MOST_KEPT_BYTES = 2**30
"""Limit of the activations kept in the host's memory: a choice. A ResNet-56 on 32 × 32 pixels keeps
128 KiB per example in its first third, 64 and 32 in the others."""


@dataclass(frozen=True)
class Stage:
    """The batch norms behind equally many others on the longest path from the network's inputs.

    Attributes:
        norms: These batch norms, none of which depends on another.
        reads: The tensors that reach the stage; all that follows depends on the network's inputs
            through these alone.
        keeps: Indices of those of `reads` that reach the next stage too.
        makes: The other tensors that do: what the stage computes, through the norms of the stage
            before.
        norm_inputs: The norms' inputs, as indices into the tensors that reach the next stage, kept
            ones first.
    """

    norms: list[keras.layers.BatchNormalization]
    reads: list[keras.KerasTensor]
    keeps: list[int]
    makes: list[keras.KerasTensor]
    norm_inputs: list[int]


def is_measured(layer: object) -> bool:
    """Return whether a layer is a batch norm that training moves; others keep their statistics."""
    return isinstance(layer, keras.layers.BatchNormalization) and bool(layer.trainable)


def stages_of(graph: Graph) -> list[Stage]:
    """Cut a network by the number of batch norms passed; what lies behind the last is left out."""
    depths = _depths(graph)
    norms = [call for call in graph.calls if is_measured(call.operation)]
    readers = [
        (tensor, depths[id(keras.tree.flatten(call.output)[0])])
        for call in graph.calls
        for tensor in call.inputs
    ]
    reads, stages = list(graph.inputs), []
    for number in range(max(depths[id(call.output)] for call in norms)):
        reached = {
            id(tensor): tensor for tensor, depth in readers if depths[id(tensor)] <= number < depth
        }
        makes = [each for each in reached.values() if depths[id(each)] == number]
        keeps = [place for place, each in enumerate(reads) if id(each) in reached and number > 0]
        tensors = [*(reads[place] for place in keeps), *makes]
        places = {id(each): place for place, each in enumerate(tensors)}
        here = [call for call in norms if depths[id(call.output)] == number + 1]
        norm_inputs = [places[id(call.inputs[0])] for call in here]
        stages.append(Stage([call.operation for call in here], reads, keeps, makes, norm_inputs))
        reads = tensors
    return stages


def _depths(graph: Graph) -> dict[int, int]:
    """Count the measured batch norms on the longest path to each tensor, by its id."""
    depths = {id(each): 0 for each in graph.inputs}
    for call in graph.calls:
        before = max((depths[id(each)] for each in call.inputs), default=0)
        for each in keras.tree.flatten(call.output):
            depths[id(each)] = before + is_measured(call.operation)
    return depths


@dataclass(frozen=True)
class CompiledStage:
    """A stage and its compiled map from what reaches it to what reaches the next."""

    stage: Stage
    advance: tf.types.experimental.ConcreteFunction


@final
class StageMoments:
    """Moments of a stage's batch-norm inputs, batch by batch, with earlier norms in inference mode.

    The activations that a batch has reached are kept for the next stage as long as there is room; a
    batch without them starts again from the inputs, through the same functions, to the same bits.
    """

    def __init__(self, stages: Sequence[CompiledStage]) -> None:
        self._stages = stages
        self._kept: dict[int, tuple[int, list[npt.NDArray[np.generic]]]] = {}
        self._room = _MOST_KEPT_BYTES

    def of(self, number: int, batch: int, inputs: tf.Tensor) -> tuple[Array, Array]:
        """Return means and uncorrected variances [channels] of a stage's norms, concatenated.

        Args:
            number: Index of the stage; those before hold their statistics.
            batch: Name of the batch; a name always means the same examples.
            inputs: The network's inputs [B, …].
        """
        first, tensors = self._kept.pop(batch, (0, [inputs]))
        self._room += _num_bytes(tensors) if first else 0
        for passed in self._stages[first : number + 1]:
            tensors = passed.advance(*map(tf.convert_to_tensor, tensors))
        found = [_moments(tensors[place]) for place in self._stages[number].stage.norm_inputs]
        self._keep(batch, number + 1, [each.numpy() for each in tensors])
        means, variances = zip(*found, strict=True)
        return np.concatenate(means), np.concatenate(variances)

    def _keep(self, batch: int, reached: int, tensors: list[npt.NDArray[np.generic]]) -> None:
        """Keep the activations [B, …] with which a batch has reached a stage, if there is room."""
        if reached < len(self._stages) and _num_bytes(tensors) <= self._room:
            self._room -= _num_bytes(tensors)
            self._kept[batch] = (reached, tensors)


def _num_bytes(tensors: Sequence[npt.NDArray[np.generic]]) -> int:
    """Return the memory that activations [B, …] take."""
    return sum(each.nbytes for each in tensors)


def compile_stage(stage: Stage) -> CompiledStage:
    """Compile a stage; its batch norms may then hold whatever statistics."""
    network = keras.Model(stage.reads, stage.makes)

    def advance(*reads: tf.Tensor) -> list[tf.Tensor]:
        """Take tensors [B, …] that reach the stage to those [B, …] that reach the next."""
        made = keras.tree.flatten(network(list(reads), training=False))
        return [*(reads[place] for place in stage.keeps), *made]

    signature = [tf.TensorSpec([None, *each.shape[1:]], each.dtype) for each in stage.reads]
    compiled = tf.function(advance, input_signature=signature, autograph=False)
    # a function called once is no reason to warn of tracing
    return CompiledStage(stage, compiled.get_concrete_function())


def _moments(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return float64 mean and variance [channels] of [B, …, channels] over all positions.

    The variance is taken about the mean. Sums are products with a vector: half the time of
    TensorFlow's reductions over few channels.
    """
    rows = tf.cast(tf.reshape(inputs, [-1, inputs.shape[-1]]), tf.float64)
    num_rows = tf.shape(rows)[0]
    weights = tf.fill([1, num_rows], 1 / tf.cast(num_rows, tf.float64))
    mean = tf.linalg.matmul(weights, rows)[0]
    return mean, tf.linalg.matmul(weights, tf.square(rows - mean))[0]
