"""Why a network cannot be trained or measured on its data: shapes, precision, mixing in a batch.

Checked before training, so that no time is lost, and again on the kept network before any
statistic.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras.src.models import Functional  # has no public name

from workers.contract.errors import Fault, UserError
from workers.contract.registry import LOSSES
from workers.datasets.dataset import Dataset
from workers.network import params
from workers.network.batch_norm import as_functional
from workers.network.cloning import clone
from workers.network.precision import Precision

_NUM_TRIED = 4
_TOLERANCE = 1e-3
"""For equal outputs, relative to the largest: float32 differs by some 1e-6, bfloat16 by 1e-2."""

_CALLS_OF_GRAPHS = (Functional.call, keras.Sequential.call)
_OF_PROBABILITIES = (keras.activations.softmax, keras.activations.log_softmax)


def faults_of(
    model: keras.Model, dataset: Dataset, loss: str, precision: Precision = "float32"
) -> list[Fault]:
    """List what is wrong with a network for a data set, a loss by name, and a precision.

    A network is trained as it is called and measured by its graph of layers, which must say the same.
    A layer called with its own `training` would be overridden: Keras applies the mode in which the
    whole network is called. An example's outputs must depend on its own inputs alone, or no
    per-example gradient exists: a few examples are evaluated together, and the first one alone.
    """
    try:
        graph = as_functional(model)
    except UserError as error:
        return list(error.faults)
    found = [*_shape_faults(model, dataset), *_precision_faults(model, precision)]
    found += [*params.faults_of(model, graph), *_sharing_faults(graph), *_objective_faults(model)]
    found += [*_call_faults(model), *_mode_faults(model), *_output_faults(model, loss)]
    return found or list(_tried_faults(model, dataset, precision))


def _shape_faults(model: keras.Model, dataset: Dataset) -> Iterator[Fault]:
    wanted, taken = dataset.input_shape, tuple(model.inputs[0].shape[1:])
    fits = len(wanted) == len(taken) and all(
        size in (None, each) for size, each in zip(taken, wanted, strict=True)
    )
    what = f"the model {model.name!r}"
    if not fits:
        mend = "build it for the input_shape that build() is given"
        yield _fault(f"{what} takes examples of shape {taken}, and the data have {wanted}", mend)
    outputs, expected = tuple(model.outputs[0].shape), (None, dataset.num_outputs)
    if outputs != expected:
        mend = "end it in Dense(num_outputs), the raw outputs [batch, num_outputs]"
        yield _fault(f"{what} gives outputs {outputs}, not {expected}", mend)


def _precision_faults(model: keras.Model, precision: Precision) -> Iterator[Fault]:
    mend = "build it without a dtype of its own; training.precision chooses one"
    dtype = model.inputs[0].dtype
    if dtype != "float32":
        yield _fault(f"the model {model.name!r} takes inputs in {dtype}, not float32", mend)
    computes_in = {"float32", "bfloat16"} if precision == "mixed_bfloat16" else {"float32"}
    for layer in model._flatten_layers(include_self=False):
        if layer.compute_dtype not in computes_in or layer.variable_dtype != "float32":
            what = f"the layer {layer.name!r} computes in {layer.compute_dtype} on weights in "
            what += f"{layer.variable_dtype}, where the precision is {precision}"
            yield Fault(what, f"model, layer {layer.name!r}", mend)


def _objective_faults(model: keras.Model) -> Iterator[Fault]:
    """Find what the objective, data loss + L2 on kernels, would silently omit."""
    if model.losses:
        yield _own_loss_fault(model)
    for variable in model.trainable_variables:
        if getattr(variable, "constraint", None) is not None:
            mend = "leave the constraint out"
            yield _fault(
                f"the weight {variable.path!r} has a constraint, which is never applied", mend
            )


def _own_loss_fault(model: keras.Model) -> Fault:
    what = f"the model {model.name!r} has a regulariser or loss of its own, which is never added"
    return _fault(what, "leave it out; training.weight_decay is the L2 term on kernels")


def _sharing_faults(graph: keras.Model) -> Iterator[Fault]:
    """Find layers that two networks share, one of them within the other or both within a third."""
    inner = [each for each in graph._flatten_layers() if isinstance(each, keras.Model)]
    held = [each for network in inner for each in network.layers if each.weights]
    for layer in {
        each.name: each for each in held if sum(one is each for one in held) > 1
    }.values():
        what = f"the layer {layer.name!r} belongs to more than one network within the model, which "
        what += "Keras turns into separate layers when it reads the model back"
        mend = "use a layer of its own in each network, or call it outside of them"
        yield Fault(what, f"model, layer {layer.name!r}", mend)


def _call_faults(model: keras.Model) -> Iterator[Fault]:
    """Find networks, nested ones too, that compute something else than their graph of layers."""
    networks = [each for each in model._flatten_layers() if isinstance(each, keras.Model)]
    for network in [each for each in networks if getattr(each, "inputs", None)]:
        if getattr(network.call, "__func__", None) not in _CALLS_OF_GRAPHS:
            what = f"the model {network.name!r} has a call() of its own, which its graph of layers, by "
            what += "which it is measured, does not hold"
            mend = "leave call() out, and give what it adds to a layer of your own that the graph calls"
            yield Fault(
                what, "model" if network is model else f"model, layer {network.name!r}", mend
            )


def _mode_faults(model: keras.Model) -> Iterator[Fault]:
    modes: dict[str, bool] = {}

    def record(operation: keras.Operation, *args: object, **kwargs: object) -> object:
        mode = kwargs.get("training")
        is_norm = isinstance(operation, keras.layers.BatchNormalization)
        if mode is True or (mode is False and is_norm):  # False is the default of others
            modes[operation.name] = mode
        return operation(*args, **kwargs)

    graph = as_functional(model)
    clone(graph, clone_function=lambda layer: layer, call_function=record)
    for name, mode in modes.items():
        what = f"the layer {name!r} is called with training={mode}, which is overridden"
        mend = "call it without `training`; to freeze a batch norm, make it with trainable=False"
        yield Fault(what, f"model, layer {name!r}", mend)
    for layer in graph.layers:
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            yield from _mode_faults(layer)


def _output_faults(model: keras.Model, loss: str) -> Iterator[Fault]:
    """Find a softmax at the end, where a built-in loss applies its own."""
    if loss not in LOSSES or not LOSSES[loss].takes_softmax:
        return
    last = model.outputs[0]._keras_history.operation
    is_softmax = isinstance(last, keras.layers.Softmax)
    if is_softmax or getattr(last, "activation", None) in _OF_PROBABILITIES:
        what = (
            f"the model {model.name!r} ends in a softmax, and {loss} applies another to its outputs"
        )
        yield _fault(what, "end it in raw outputs, without the activation")


def _tried_faults(model: keras.Model, dataset: Dataset, precision: Precision) -> Iterator[Fault]:
    """Find what shows once a few examples go through the network."""
    stored = dataset.train.inputs[:_NUM_TRIED].astype(np.float32)
    inputs = tf.constant((stored - dataset.offset) * dataset.scale)
    together = _outputs(model, inputs)
    if model.losses or _adds_losses_in_training(model, inputs):  # Keras has those of the last call
        yield _own_loss_fault(model)
    yield from _batch_faults(model, inputs, together[0], precision)


def _adds_losses_in_training(model: keras.Model, inputs: tf.Tensor) -> bool:
    """Whether a call on inputs [B, …] adds losses, as of activities; no state is really moved."""
    with keras.StatelessScope(collect_losses=True) as scope:
        model(inputs, training=True)
    return bool(scope.losses)


def _batch_faults(
    model: keras.Model, inputs: tf.Tensor, together: np.ndarray, precision: Precision
) -> Iterator[Fault]:
    """Find outputs of the first example that differ between the batch [C] and alone."""
    alone = _outputs(model, inputs[:1])[0]
    tolerance = 0.1 if precision == "mixed_bfloat16" else _TOLERANCE
    largest = np.abs(alone).max()
    if not np.isfinite(largest) or np.abs(together - alone).max() <= tolerance * largest:
        return
    what = f"the model {model.name!r} gives"
    if np.array_equal(together, _outputs(model, inputs)[0]):
        mend = "combine nothing across the first axis, in inference mode"
        yield _fault(f"{what} an example different outputs in a batch than alone", mend)
    else:
        mend = "let no layer draw random numbers in inference mode"
        yield _fault(f"{what} the same examples different outputs each time", mend)


def _outputs(model: keras.Model, inputs: tf.Tensor) -> np.ndarray:
    """Return z [B, C] of inputs [B, …] in inference mode, float64."""
    return np.asarray(tf.cast(model(inputs, training=False), tf.float64))


def _fault(what: str, mend: str) -> Fault:
    return Fault(what, "model", mend)
