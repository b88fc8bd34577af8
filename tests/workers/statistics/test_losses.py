"""`losses` against sums over examples in float64."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from workers.contract.catalog import resolve
from workers.contract.errors import Drained
from workers.statistics.algorithms import losses
from workers.statistics.losses import LossesSpec

MOVING = LossesSpec(bn_mode="moving_average")


@pytest.mark.parametrize("loss", ["kld", "gradlog_l1", "gradlog_l2", "squared_error"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_both_objectives_and_the_accuracy_are_those_of_the_float64_twin(loss, split, tools):
    """To the rounding of the float32 network, with no error stated."""
    case = tools.make_case(loss)
    targets = tf.constant(getattr(case.dataset, split).targets, tf.float64)
    outputs = case.twin(case.inputs(split), training=False)
    mean = float(tf.reduce_mean(resolve("loss", loss)().per_example(outputs, targets)))
    kernels = [each for each in case.twin.trainable_variables if each.name == "kernel"]
    penalty = tools.weight_decay / 2 * sum(float(tf.reduce_sum(each.value**2)) for each in kernels)
    hits = np.argmax(outputs, 1) == np.argmax(targets, 1)
    rows = [row for row in losses.measure(case.context, MOVING) if row.split == split]
    assert tools.whole_model(rows, "mean_loss").value == pytest.approx(mean, rel=1e-6)
    total = tools.whole_model(rows, "mean_loss", "total")
    assert total.value == pytest.approx(mean + penalty, rel=1e-6)
    assert tools.whole_model(rows, "accuracy").value == hits.mean()
    assert {row.stderr for row in rows} == {0.0}
    assert {row.num_samples for row in rows} == {len(targets)}
    assert {row.bn_mode for row in rows} == {"moving_average"}


def test_regression_has_no_accuracy(tools):
    """Targets that are not labels leave the row out."""
    case = tools.make_case("squared_error")
    case.dataset = dataclasses.replace(case.dataset, is_classification=False)
    rows = losses.measure(case.context, MOVING)
    assert {row.quantity for row in rows} == {"mean_loss"}


def test_frozen_statistics_are_those_of_the_population(tools):
    """One batch holds all 24 examples, so that the outputs are those of training mode on it."""
    case = tools.make_case("kld")
    outputs = case.twin(case.inputs(), training=True)
    targets = tf.constant(case.dataset.train.targets, tf.float64)
    mean = float(tf.reduce_mean(resolve("loss", "kld")().per_example(outputs, targets)))
    rows = losses.measure(case.context, LossesSpec(splits=["train"]))
    assert tools.whole_model(rows, "mean_loss").value == pytest.approx(mean, rel=1e-5)


def test_a_stopped_measurement_goes_on_to_the_same_bits(tools, monkeypatch):
    """Stopped within a split, over batches of 5."""
    monkeypatch.setattr(losses, "_BATCH_SIZE", 5)
    case = tools.make_case("kld")
    values = [row.value for row in losses.measure(case.context, MOVING)]
    case.partials = tools.partials(stop_after=3)
    with pytest.raises(Drained):
        losses.measure(case.context, MOVING)
    case.partials.stop_after = None
    assert [row.value for row in losses.measure(case.context, MOVING)] == values
