"""Batch normalisation made a fixed affine map, with population statistics of the measured weights.

Population statistics are recomputed in one pass in training mode, in the order of the training set:
every layer's batch moments are pooled over the batches, mean = Σ wⱼ mⱼ and
variance = Σ wⱼ (vⱼ + (mⱼ - mean)²), with wⱼ the batch's share of the examples ("precise batch norm",
Wu and Johnson 2021, 2105.07576, section 3.1). The first normalised layer's are exact. A deeper
layer's are those of inputs that the layers before normalised with the statistics of batches of
about 250 examples, not of the population; making these exact would take a pass for each layer.

A batch norm made with trainable=False has its moving statistics as they are: Keras normalises with them in
training mode too, and never moves them. Every `bn_mode`, `batch` among them, takes it so.

They follow from weights and training set alone, so the first statistic of a trial that needs them takes
them for all; no statistic counts the pass, about a third of a gradient, among its costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.cloning import clone
from workers.contract.errors import Fault, UserError, user_error
from workers.contract.statistics import BatchNormMode
from workers.estimators import Moments
from workers.params import copying_faults
from workers.resident import ResidentSplit
from workers.statistics.context import Arrays, Shared
from workers.statistics.passes import Passes, State, batch_edges

_BATCH_SIZE = 250
"""Examples whose moments are taken together: a choice, more than the usual training batch."""

_SUMS_KEY = "batch_norm"

_MOMENTS_KEY = "batch_norm.1"
"""Of the moments kept for the trial; its number is raised by hand when a change of code changes them."""


def as_functional(model: keras.Model) -> keras.Model:
    """Give the graph of layers of a functional or sequential model, sharing its layers.

    Raises:
        UserError: The model has no such graph, or not one input and one output.
    """
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) == len(outputs) == 1:
        return keras.Model(inputs[0], outputs[0], name=model.name)
    raise user_error(
        f"the model {model.name!r} of class {type(model).__name__} is not a graph of layers with one "
        "input and one output",
        where="model.name",
        mend="build it with the functional API: keras.Model(inputs, outputs)",
    )


def copy_network(model: keras.Model) -> keras.Model:
    """Copy a network and its weights, so that measuring leaves the original as it is.

    Raises:
        UserError: No graph of layers, a batch norm that cannot be frozen, or weights frozen one by one.
    """
    faults: list[Fault] = []

    def call(layer: keras.Layer, *args: keras.KerasTensor, **kwargs: object) -> object:
        if isinstance(layer, keras.layers.BatchNormalization):
            faults.extend(_faults(layer, len(args[0].shape), is_fixed=bool(kwargs.get("training"))))
        return layer(*args, **kwargs)

    copy = clone(as_functional(model), call_function=call)
    if faults:
        raise UserError(faults)
    copy.set_weights(model.get_weights())
    faults = copying_faults(model, copy)
    if faults:
        raise UserError(faults)
    return copy


def _faults(
    layer: keras.layers.BatchNormalization, rank: int, *, is_fixed: bool
) -> Iterator[Fault]:
    what, where = f"the batch norm {layer.name!r}", f"model, layer {layer.name!r}"
    if is_fixed:
        always = "is called with training=True, so that an example's outputs depend on its batch"
        yield Fault(f"{what} {always}", where, "call the layer without `training`")
    if layer.axis not in (-1, rank - 1):
        yield Fault(f"{what} normalises over axis {layer.axis}", where, "use axis=-1")


def freeze(
    network: keras.Model,
    bn_mode: BatchNormMode,
    train: Callable[[], ResidentSplit],
    passes: Passes,
    shared: Shared,
) -> None:
    """Make the network's batch norms hold the statistics to measure with, in inference mode.

    Population statistics are taken once a trial; they have the same bits whether found or taken.

    Args:
        network: A copy made for measuring.
        bn_mode: `frozen` takes population statistics, `moving_average` those Keras kept in training.
        train: Gives the training set, if it is needed.
        passes: Runs the pass over it, if it is needed.
        shared: Where the statistics of the trial find and keep them.

    Raises:
        Drained: A stop was asked for; the state has been saved.
    """
    layers = _layers(network)
    if bn_mode == "moving_average" or not layers:
        return
    moments = shared.find(_MOMENTS_KEY)
    if moments is None:
        moments = _population_moments(network, train(), passes)
        shared.keep(_MOMENTS_KEY, moments)
    cuts = np.cumsum(_sizes(layers))[:-1]
    pieces = (np.split(moments[name], cuts) for name in ("mean", "variance"))
    for layer, mean, variance in zip(layers, *pieces, strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def _layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    found = model._flatten_layers(include_self=False)
    return [layer for layer in found if isinstance(layer, keras.layers.BatchNormalization)]


def _sizes(layers: list[keras.layers.BatchNormalization]) -> list[int]:
    return [int(layer.moving_mean.shape[0]) for layer in layers]


def _population_moments(model: keras.Model, train: ResidentSplit, passes: Passes) -> Arrays:
    """Give the population `mean` and `variance` of all channels of all layers, one after the other."""
    passes.expect(len(train))
    batch_moments = compile_batch_moments(model)
    num_channels = sum(_sizes(_layers(model)))

    def step(state: State, places: npt.NDArray[np.int64]) -> State:
        inputs, _ = train.batch(tf.constant(places))
        mean, variance = (moment.numpy().astype(np.float64) for moment in batch_moments(inputs))
        before = Moments(state["weight"], state["mean"], state["variance"])
        merged = before.merge(Moments(np.array(float(len(places))), mean, variance))
        return {"weight": merged.weight, "mean": merged.mean, "variance": merged.variance}

    start = {"weight": np.array(0.0)}
    start |= {name: np.zeros(num_channels) for name in ("mean", "variance")}
    pooled = passes.run(_SUMS_KEY, step, start, batch_edges(len(train), _BATCH_SIZE))
    return {name: pooled[name] for name in ("mean", "variance")}


def compile_batch_moments(model: keras.Model) -> tf.types.experimental.GenericFunction:
    """Compile inputs [B, …] → means and variances of all channels of all layers, one after the other."""
    network = clone(model, clone_function=_recording, recursive=True)
    network.set_weights(model.get_weights())
    layers = _layers(network)

    def batch_moments(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        network(inputs, training=True)
        means = [tf.convert_to_tensor(layer.moving_mean.value) for layer in layers]
        variances = [tf.convert_to_tensor(layer.moving_variance.value) for layer in layers]
        return tf.concat(means, 0), tf.concat(variances, 0)

    signature = [tf.TensorSpec([None, *network.input_shape[1:]], network.inputs[0].dtype)]
    return tf.function(batch_moments, input_signature=signature, autograph=False)


def _recording(layer: keras.Layer) -> keras.Layer:
    is_norm = isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    kind = _RecordingNorm if is_norm else type(layer)
    return kind.from_config(layer.get_config())


@final
class _RecordingNorm(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras ships no types
    """Normalises over the batch; its moving statistics become the last batch's moments.

    One fused operation, which takes 3/4 of the time of Keras' own four.
    """

    def call(self, inputs: tf.Tensor, **_: object) -> tf.Tensor:
        """Normalise [B, …, channels] in float32."""
        rows = tf.reshape(inputs, [1, -1, 1, inputs.shape[-1]])
        outputs, mean, corrected_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=rows,
            scale=tf.ones_like(self.moving_mean) if self.gamma is None else self.gamma.value,
            offset=tf.zeros_like(self.moving_mean) if self.beta is None else self.beta.value,
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        num_rows = tf.cast(tf.shape(rows)[1], tf.float32)
        self.moving_mean.assign(mean)
        self.moving_variance.assign(corrected_variance * (num_rows - 1) / num_rows)
        return tf.reshape(outputs, tf.shape(inputs))
