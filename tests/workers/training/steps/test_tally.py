"""Running sums over examples."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from workers.training.steps import tally

OUTPUTS = np.float32([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
TARGETS = np.float32([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])


def test_a_batch_gives_loss_correct_answers_and_examples():
    """Summed, not averaged."""
    found = tally.of_batch(tf.constant([1.0, 2.0, 4.0]), OUTPUTS, TARGETS)
    np.testing.assert_array_equal(found, [7.0, 2.0, 3.0])


def test_what_does_not_count_leaves_no_trace_even_when_not_finite():
    """Examples that fill up a batch may have any loss."""
    losses = tf.constant([1.0, 2.0, np.nan])
    found = tally.of_batch(losses, OUTPUTS, TARGETS, counted=tf.constant([True, True, False]))
    np.testing.assert_array_equal(found, [3.0, 1.0, 2.0])


def test_losses_are_added_in_float64():
    """10⁸ + 1 is not representable in float32."""
    found = tally.of_batch(tf.constant([1e8, 1.0]), OUTPUTS[:2], TARGETS[:2])
    assert float(found[0]) == 1e8 + 1


def test_means_have_no_accuracy_without_labels():
    """Accuracy is None for regression targets."""
    sums = np.array([6.0, 1.0, 4.0])
    assert tally.means(sums, is_classification=True) == tally.Means(1.5, 0.25)
    assert tally.means(sums, is_classification=False) == tally.Means(1.5, None)
