"""A pass over a split."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workers.contract.errors import Drained
from workers.models.resnet import ResNetSpec
from workers.network.resident import make_resident
from workers.resumable.pulse import Pace
from workers.training.steps import evaluation


def evaluator(job, split, monkeypatch, batch_size):
    monkeypatch.setattr(evaluation, "_BATCH_SIZE", batch_size)
    resident = make_resident(split, job.dataset)
    return evaluation.CompiledEvaluation(job.model, job.loss, resident)


def ticking(seconds):
    ticks = itertools.count()
    return lambda: next(ticks) * seconds


@pytest.mark.parametrize("batch_size", [7, 10, 250])
def test_every_example_counts_once(make_job, monkeypatch, batch_size):
    """Whether the batch size divides the 20 examples or not; moving averages are used."""
    job = make_job(model=ResNetSpec(depth=8))
    test = job.dataset.test
    inputs = (test.inputs.astype(np.float32) - 128) / 64
    outputs = job.model(inputs, training=False).numpy()
    losses = job.loss.per_example(outputs, test.targets).numpy()
    correct = (outputs.argmax(axis=1) == test.targets.argmax(axis=1)).sum()
    sums = evaluator(job, test, monkeypatch, batch_size).run(Pace(1.0), ticking(0.1), lambda: None)
    np.testing.assert_allclose(sums, [losses.sum(), correct, 20], rtol=1e-5)


def test_the_bits_do_not_depend_on_the_chunks(make_job, monkeypatch):
    """Steps that take longer make shorter chunks, with the same sums."""
    job = make_job()
    passes = evaluator(job, job.dataset.train, monkeypatch, 7)
    one_by_one, at_once = (passes.run(Pace(1.0), ticking(s), lambda: None) for s in (9.0, 0.01))
    np.testing.assert_array_equal(one_by_one, at_once)


def test_what_is_raised_between_chunks_ends_the_pass(make_job, monkeypatch):
    """A stop is not kept waiting until the end of the split."""
    job = make_job()

    def leave():
        raise Drained("stopped")

    with pytest.raises(Drained, match="stopped"):
        evaluator(job, job.dataset.test, monkeypatch, 7).run(Pace(1.0), ticking(0.1), leave)
