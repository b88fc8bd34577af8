"""Running sums over examples: loss, correct answers, examples; float64, added in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Tally = npt.NDArray[np.float64]
"""[3]: sum of losses, number of correct answers, number of examples."""

TALLY_SPEC = tf.TensorSpec([3], tf.float64)


@dataclass(frozen=True)
class Means:
    """Means over examples; `accuracy` is None where targets are not labels."""

    loss: float
    accuracy: float | None


def empty() -> Tally:
    """Return an empty tally [3]."""
    return np.zeros(3)


def of_batch(
    losses: tf.Tensor, outputs: tf.Tensor, targets: tf.Tensor, counted: tf.Tensor | None = None
) -> tf.Tensor:
    """Return the tally [3] of one batch.

    Args:
        losses: ℓ [B].
        outputs: z [B, C].
        targets: y [B, C].
        counted: Booleans [B]; False leaves an example out. None counts all.
    """
    counted = tf.ones_like(losses, tf.bool) if counted is None else counted
    is_correct = tf.argmax(outputs, axis=-1) == tf.argmax(targets, axis=-1)
    columns = [
        tf.where(counted, tf.cast(losses, tf.float64), 0.0),
        tf.cast(counted & is_correct, tf.float64),
        tf.cast(counted, tf.float64),
    ]
    return tf.reduce_sum(tf.stack(columns), axis=1)


def means(tally: Tally, *, is_classification: bool) -> Means:
    """Divide the sums of a tally [3] by the number of examples."""
    loss, correct, num_examples = (float(value) for value in tally)
    return Means(loss / num_examples, correct / num_examples if is_classification else None)
