"""A statistic of one's own: the Brier score of each class."""

import numpy as np
import tensorflow as tf

from workers.contract.records import Measurement
from workers.resumable.passes import Passes, batch_edges
from workers.statistics.measuring.frozen_network import FrozenNetwork


def measure(context, settings):
    """Measure the mean of Σ_k (p_k - y_k)², p = softmax(z), over the examples of each class; exact.

    `index` is the class. Batch norm is frozen to the statistics of the training set; a killed
    measurement goes on at the batch where it was.

    Args:
        context: The kept model, its data, loss and trial, and where partial sums are kept.
        settings: `split`, train or test.
    """
    name = settings["split"]
    passes = Passes(context.partials, len(context.split(name)))
    frozen = FrozenNetwork.of(context, "frozen", [name], passes)
    network, split = frozen.network, frozen.splits[name]

    def step(sums, places):
        inputs, targets = split.batch(tf.constant(places))
        distances = tf.nn.softmax(network(inputs, training=False)) - targets
        scores = np.sum(np.square(distances), axis=1, dtype=np.float64)
        is_class = targets.numpy().astype(np.float64)
        return {
            "scores": sums["scores"] + is_class.T @ scores,
            "counts": sums["counts"] + is_class.sum(axis=0),
        }

    start = {name: np.zeros(context.dataset.num_outputs) for name in ("scores", "counts")}
    sums = passes.run("brier", step, start, batch_edges(len(split), 500))
    classes = enumerate(zip(sums["scores"], sums["counts"], strict=True))
    return [_row(index, score, int(count), settings) for index, (score, count) in classes]


def _row(index, score, count, settings):
    """Make the row of one class; one without examples says so."""
    return Measurement(
        quantity="brier_score",
        index=index,
        value=score / count if count else None,
        stderr=0.0 if count else None,
        num_samples=count,
        method="whole_split",
        bn_mode="frozen",
        split=settings["split"],
        objective="data",
        skipped_reason=None if count else f"no example of class {index} in the split",
    )
