"""`losses`: mean loss and accuracy of the kept model over whole splits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.records import Measurement
from workers.contract.settings import Objective
from workers.losses.loss import Loss
from workers.network.params import params_of
from workers.network.resident import ResidentSplit
from workers.resumable.passes import Passes, State, batch_edges
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.frozen_network import FrozenNetwork
from workers.statistics.measuring.split_rows import SplitRows
from workers.training.steps import tally

if TYPE_CHECKING:
    from workers.statistics.losses import LossesSpec

_BATCH_SIZE = 500


def measure(context: MeasurementContext, settings: LossesSpec) -> list[Measurement]:
    """Measure `mean_loss` of both objectives, and `accuracy` where targets are labels; all exact.

    The outputs are the network's, the loss is taken in float64 from there on. Resumable.

    `cost_gradients` counts a pass forward as 1/3. The population statistics of batch norm are taken
    once a trial, not counted.

    Raises:
        UserError: The model is not a graph of layers, or its batch norm cannot be frozen.
        Drained: A stop was asked for; the partial sums have been saved.
    """
    passes = Passes(context.partials, sum(len(context.split(name)) for name in settings.splits))
    frozen = FrozenNetwork.of(context, settings.bn_mode, settings.splits, passes)
    tally_batch = frozen.built.get("losses", lambda: _compile(frozen.network, context.loss))
    rows = []
    for name, split in frozen.splits.items():
        started = time.perf_counter()
        sums = _tally(name, split, tally_batch, passes)
        seconds = time.perf_counter() - started
        rows += _rows(SplitRows(name, settings.bn_mode, 1 / 3, seconds), context, sums)
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


def _rows(about: SplitRows, context: MeasurementContext, sums: tally.Tally) -> list[Measurement]:
    means = tally.means(sums, is_classification=context.dataset.is_classification)
    kernels = [each.values for each in params_of(context.model) if each.has_decay]
    decayed = sum(float(np.sum(np.square(values))) for values in kernels)
    penalty = context.weight_decay("total") / 2 * decayed

    def row(quantity: str, value: float, objective: Objective) -> Measurement:
        num_samples = int(sums[2])
        return about.row(
            quantity, "whole_split", value, 0.0, objective=objective, num_samples=num_samples
        )

    rows = [row("mean_loss", means.loss, "data"), row("mean_loss", means.loss + penalty, "total")]
    if means.accuracy is not None:
        rows.append(row("accuracy", means.accuracy, "data"))
    return rows
