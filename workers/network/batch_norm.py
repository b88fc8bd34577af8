"""Batch normalisation made a fixed affine map, with population statistics of the measured weights.

Population statistics are a fixed point: each batch norm holds the mean and the uncorrected
variance, over all positions of all training examples, of its inputs while all batch norms before it
hold theirs. They are exact up to the rounding of float32, in which layers compute and hold them;
sums and squares are float64. They are computed stage by stage (`batch_norm_stages`), with a pass
over the training set for each: where the activations fit in memory the passes together go through
the network once, else once per stage.

A batch norm made with trainable=False keeps its moving statistics: Keras normalises with them in
training mode too, and never moves them. Every `bn_mode`, including `batch`, respects this.

They follow from weights and training set alone, so the first statistic of a trial that needs them
computes them for all; no statistic counts them among its costs. Statistics of batches, pooled in
one pass ("precise batch norm", Wu and Johnson 2021, 2105.07576, section 3.1), are not such a fixed
point behind the first layer: with batches of 250 on a small ResNet they leave ‖∇L‖² off by 0.3 %.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.errors import Fault, UserError, user_error
from workers.contract.settings import BatchNormMode
from workers.network.batch_norm_stages import (
    CompiledStage,
    StageMoments,
    compile_stage,
    is_measured,
    stages_of,
)
from workers.network.cloning import clone
from workers.network.graph import Call, Graph, graph_of, is_masked
from workers.network.params import copying_faults
from workers.network.resident import ResidentSplit
from workers.numerics.estimators import Moments
from workers.process.built import Built
from workers.resumable.keeping import Arrays, Shared
from workers.resumable.passes import Passes, State, batch_edges

_BATCH_SIZE = 250
"""Examples that go through the network together; it changes the moments by rounding alone."""

_SUMS_KEY, _STAGES_KEY = "batch_norm", "batch_norm_stages"

_MOMENTS_KEY = "batch_norm.2"
"""Key of the trial's moments; its number is raised by hand when a change of code changes them."""

_Columns = dict[keras.Layer, npt.NDArray[np.int64]]
"""Indices [channels] of each batch norm's channels among those of all."""


def as_functional(model: keras.Model) -> keras.Model:
    """Return the graph of layers of a functional or sequential model, sharing its layers.

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
        UserError: There is no graph of layers, a batch norm cannot be frozen, or single weights are
            frozen.
    """
    copy = clone(as_functional(model))
    faults = [
        fault
        for call in graph_of(copy, opens_nested=True).calls
        if isinstance(call.operation, keras.layers.BatchNormalization)
        for fault in _faults(call)
    ]
    if faults:
        raise UserError(faults)
    copy.set_weights(model.get_weights())
    faults = copying_faults(model, copy)
    if faults:
        raise UserError(faults)
    return copy


def _faults(call: Call) -> Iterator[Fault]:
    what, where = _names(call.operation)
    if call.training:
        always = "is called with training=True, so that an example's outputs depend on its batch"
        yield Fault(f"{what} {always}", where, "call the layer without `training`")
    axis = call.operation.axis
    if axis not in (-1, len(call.inputs[0].shape) - 1):
        yield Fault(f"{what} normalises over axis {axis}", where, "use axis=-1")


def _names(norm: keras.Layer) -> tuple[str, str]:
    return f"the batch norm {norm.name!r}", f"model, layer {norm.name!r}"


def freeze(
    network: keras.Model,
    bn_mode: BatchNormMode,
    train: Callable[[], ResidentSplit],
    passes: Passes,
    shared: Shared,
    *,
    built: Built,
) -> None:
    """Set the network's batch norms to the statistics to measure with, in inference mode.

    Population statistics are computed once per trial; they have the same bits whether found or
    computed. A batch norm that was not trained (`trainable=False`) keeps its own.

    Args:
        network: A copy made for measuring.
        bn_mode: `frozen` uses population statistics, `moving_average` those that Keras kept in
            training.
        train: Returns the training set, if it is needed.
        passes: Runs the passes over it, if needed.
        shared: Where the trial's statistics find and keep them.
        built: What is compiled of this network.

    Raises:
        UserError: A batch norm has no population statistics of its own.
        Drained: A stop was asked for; the state has been saved.
    """
    columns = _columns(network)
    if bn_mode == "moving_average" or not columns:
        return
    moments = shared.find(_MOMENTS_KEY)
    if moments is None:
        moments = _population_moments(network, train(), passes, built)
        shared.keep(_MOMENTS_KEY, moments)
    _assign(columns, moments)


def _columns(network: keras.Model) -> _Columns:
    """Number the channels of all measured batch norms, layer after layer."""
    layers = [each for each in network._flatten_layers(include_self=False) if is_measured(each)]
    edges = np.cumsum([0, *(int(layer.moving_mean.shape[0]) for layer in layers)])
    places = (np.arange(*ends) for ends in itertools.pairwise(edges))
    return dict(zip(layers, places, strict=True))


def _assign(columns: _Columns, moments: Arrays) -> None:
    """Set each batch norm to its part of the `mean` and `variance` [channels of all]."""
    for layer, places in columns.items():
        layer.moving_mean.assign(moments["mean"][places])
        layer.moving_variance.assign(moments["variance"][places])


def _population_moments(
    network: keras.Model, train: ResidentSplit, passes: Passes, built: Built
) -> Arrays:
    """Return the population `mean` and `variance` [channels of all]; changes the network's own."""
    columns = _columns(network)
    stages = built.get("batch norm stages", lambda: _compiled_stages(network, list(columns)))
    moments_of = StageMoments(stages)
    edges = batch_edges(len(train), _BATCH_SIZE)
    passes.expect(len(stages) * len(train))

    def measure(state: State) -> State:
        number = int(state["num_stages"])
        _assign(columns, state)

        def add(sums: State, places: npt.NDArray[np.int64]) -> State:
            """Merge the moments [channels] of the examples at places [B]."""
            inputs, _ = train.batch(tf.constant(places))
            mean, variance = moments_of.of(number, int(places[0]), inputs)
            before = Moments(sums["weight"], sums["mean"], sums["variance"])
            merged = before.merge(Moments(np.array(float(len(places))), mean, variance))
            return {"weight": merged.weight, "mean": merged.mean, "variance": merged.variance}

        channels = np.concatenate([columns[layer] for layer in stages[number].stage.norms])
        pooled = passes.run(
            _SUMS_KEY, add, _zeros(len(channels), "weight"), edges, repetition=number
        )
        found = {name: state[name].copy() for name in ("mean", "variance")}
        for name, values in found.items():
            values[channels] = pooled[name]
        return {"num_stages": np.array(number + 1.0), **found}

    start = _zeros(sum(map(len, columns.values())), "num_stages")
    found = passes.iterate(
        _STAGES_KEY, measure, start, lambda state: state["num_stages"] == len(stages), len(train)
    )
    return {name: found[name] for name in ("mean", "variance")}


def _compiled_stages(
    network: keras.Model, norms: list[keras.layers.BatchNormalization]
) -> list[CompiledStage]:
    graph = graph_of(network, opens_nested=True)
    _refuse(norms, graph)
    return [compile_stage(stage) for stage in stages_of(graph)]


def _zeros(num_channels: int, counted: str) -> State:
    zeros = {name: np.zeros(num_channels) for name in ("mean", "variance")}
    return {counted: np.array(0.0), **zeros}


def _refuse(norms: list[keras.Layer], graph: Graph) -> None:
    """Check that batch norms have population statistics of their own; raises all faults at once."""
    calls = [call for call in graph.calls if is_measured(call.operation)]
    uses = Counter(call.operation for call in calls)
    masked = {call.operation for call in calls if is_masked(call)}
    faults = []
    for norm in norms:
        what, where = _names(norm)
        if uses[norm] > 1:
            what += f" is used {uses[norm]} times, and what it reads differs from use to use"
            mend = "use a layer of its own each time"
        elif uses[norm] == 0:
            what += " lies within another layer, so that its inputs cannot be known"
            mend = "call it in the model's own graph"
        elif norm in masked:
            what += " reads inputs with a mask, and Keras counts in training what it leaves alone"
            mend = "build the model without masks"
        else:
            continue
        faults.append(Fault(what, where, f"{mend}, or measure with bn_mode: moving_average"))
    if faults:
        raise UserError(faults)
