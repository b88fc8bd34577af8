"""Streams of SGD: their batches, what is seen, and independence of the chunks."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workers.network.resident import make_resident
from workers.statistics.excursions.stream import CompiledStream, batches_between, squared_norm
from workers.training.seeding import epoch_order
from workers.training.steps.batches import next_batches
from workers.training.steps.sgd_step import SGDStep


@pytest.mark.parametrize("sampler", ["shuffle", "replacement"])
def test_batches_are_those_of_training(sampler):
    """Any stretch of steps is cut out of the epochs that training would draw, its rest dropped."""
    of_training = np.concatenate(
        [
            next_batches(epoch_order(5, epoch, num_train=23, sampler=sampler), 4, 0, 99)
            for epoch in range(4)
        ]
    )
    for first, end in ((0, 20), (0, 1), (3, 6), (5, 10), (4, 5), (9, 20)):
        drawn = batches_between(5, first, end, num_train=23, batch_size=4, sampler=sampler)
        np.testing.assert_array_equal(drawn, of_training[first:end])


def compiled_stream(job):
    sgd_step = SGDStep(job.model, job.loss, job.trial.training)
    split = make_resident(job.dataset.train, job.dataset)
    size = job.trial.batch_size
    return CompiledStream(sgd_step, split, size, lambda g: squared_norm(g)[None], num_seen=1)


def batches_of(job, num_steps):
    chosen = {"num_train": len(job.dataset.train), "batch_size": job.trial.batch_size}
    return batches_between(1, 0, num_steps, sampler="shuffle", **chosen)


def test_the_gradients_seen_are_those_before_each_step(make_job):
    """‖g_B‖² with the L2 part, at the weights that the step moves."""
    job, twin = (make_job(weight_decay=0.1, momentum=0.5) for _ in range(2))
    batches = batches_of(job, 5)
    seen = compiled_stream(job).run(batches, 0.1)
    sgd_step, split = (
        SGDStep(twin.model, twin.loss, twin.trial.training),
        make_resident(twin.dataset.train, twin.dataset),
    )
    for number, places in enumerate(batches):
        found = sgd_step.gradient(*split.batch(tf.constant(places)))
        expected = sum(np.square(each.numpy(), dtype=np.float64).sum() for each in found.directions)
        assert seen[number, 0] == pytest.approx(expected, rel=1e-5)
        sgd_step.update(found.directions, tf.constant(0.1))


def test_bits_do_not_depend_on_chunks(make_job):
    """One call of six steps, and three calls of one, two and three."""
    whole, cut = make_job(momentum=0.9), make_job(momentum=0.9)
    batches = batches_of(whole, 6)
    seen = compiled_stream(whole).run(batches, 0.1)
    stream = compiled_stream(cut)
    parts = [stream.run(batches[first:end], 0.1) for first, end in ((0, 1), (1, 3), (3, 6))]
    np.testing.assert_array_equal(np.concatenate(parts), seen)
    for one, other in zip(whole.model.weights, cut.model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
