"""`losses`: mean loss and accuracy of the kept model over whole splits."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers import tally
from workers.batch_norm import copy_network, freeze, num_pass_examples
from workers.contract.records import Measurement
from workers.contract.statistics import LossesSpec, Objective
from workers.losses.loss import Loss
from workers.resident import ResidentSplit, make_resident
from workers.statistics.context import MeasurementContext
from workers.statistics.passes import Passes, State, batch_edges
from workers.weights import decayed_kernels

_BATCH_SIZE = 500


def measure(context: MeasurementContext, settings: LossesSpec) -> list[Measurement]:
    """Measure `mean_loss` of both objectives, and `accuracy` where targets are labels; all exact.

    The outputs are the network's, the loss is taken in float64 from there on. Resumable.

    Raises:
        UserError: The model is not a graph of layers, or its batch norm cannot be frozen.
        Drained: A stop was asked for; the partial sums have been saved.
    """
    dataset = context.dataset
    splits = {name: make_resident(getattr(dataset, name), dataset) for name in settings.splits}
    train = splits.get("train") or make_resident(dataset.train, dataset)
    extra = num_pass_examples(context.model, settings.bn_mode, len(train))
    passes = Passes(context.partials, extra + sum(len(split) for split in splits.values()))
    network = copy_network(context.model)
    freeze(network, settings.bn_mode, train, passes)
    tally_batch = _compile(network, context.loss)
    rows = []
    for name, split in splits.items():
        started = time.perf_counter()
        sums = _tally(name, split, tally_batch, passes)
        seconds = time.perf_counter() - started
        rows += _rows(context, settings, sums, split=name, seconds=seconds)
    return rows


def _compile(network: keras.Model, loss: Loss) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    def tally_batch(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        outputs = tf.cast(network(inputs, training=False), tf.float64)
        losses = loss.per_example(outputs, tf.cast(targets, tf.float64))
        return tally.of_batch(losses, outputs, targets)

    signature = [
        tf.TensorSpec([None, *network.input_shape[1:]], network.inputs[0].dtype),
        tf.TensorSpec([None, network.output_shape[-1]], tf.float32),
    ]
    compiled: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = tf.function(
        tally_batch, input_signature=signature, autograph=False
    )
    return compiled


def _tally(
    name: str,
    split: ResidentSplit,
    tally_batch: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    passes: Passes,
) -> tally.Tally:
    def step(state: State, places: npt.NDArray[np.int64]) -> State:
        return {"tally": state["tally"] + tally_batch(*split.batch(tf.constant(places))).numpy()}

    edges = batch_edges(len(split), _BATCH_SIZE)
    return passes.run(name, step, {"tally": tally.empty()}, edges)["tally"]


def _rows(
    context: MeasurementContext,
    settings: LossesSpec,
    sums: tally.Tally,
    *,
    split: str,
    seconds: float,
) -> list[Measurement]:
    means = tally.means(sums, is_classification=context.dataset.is_classification)
    kernels = decayed_kernels(context.model)
    decayed = sum(
        float(np.sum(np.square(each.value.numpy().astype(np.float64)))) for each in kernels
    )
    penalty = context.trial.training.weight_decay / 2 * decayed

    def row(quantity: str, value: float, objective: Objective) -> Measurement:
        return Measurement(
            quantity=quantity,
            value=value,
            stderr=0.0,
            num_samples=int(sums[2]),
            method="whole_split",
            bn_mode=settings.bn_mode,
            split=split,
            objective=objective,
            cost_gradients=1 / 3,
            wall_seconds=seconds,
        )

    rows = [row("mean_loss", means.loss, "data"), row("mean_loss", means.loss + penalty, "total")]
    if means.accuracy is not None:
        rows.append(row("accuracy", means.accuracy, "data"))
    return rows
