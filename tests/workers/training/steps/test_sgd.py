"""Compiled steps against the update written out, and their independence of chunks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.datasets.dataset import Split
from workers.models.mlp import MLPSpec
from workers.models.resnet import ResNetSpec
from workers.network.resident import make_resident
from workers.training.seeding import epoch_order
from workers.training.steps import tally
from workers.training.steps.sgd import CompiledSGD


def compile_steps(job, *, has_ragged_batch=False):
    split = make_resident(job.dataset.train, job.dataset)
    return CompiledSGD(job.model, job.loss, split, job.trial, has_ragged_batch=has_ragged_batch)


def batches_of(num_steps, batch_size, num_train=50):
    order = [epoch_order(0, e, num_train=num_train, sampler="shuffle") for e in range(9)]
    return np.concatenate(order)[: num_steps * batch_size].reshape(num_steps, batch_size)


def weights_of(job):
    return [variable.numpy() for variable in job.model.weights]


def test_steps_are_sgd_with_momentum_and_decayed_kernels(make_job):
    """Three steps equal v ← μv + g + λθ (kernels only), θ ← θ - ηv, written out in NumPy."""
    job = make_job(momentum=0.9, weight_decay=0.1)
    job.model.get_layer("hidden0").bias.assign(np.full(5, 0.3, np.float32))  # does not decay
    batches = batches_of(3, 8)
    params = weights_of(job)
    velocity = [np.zeros_like(param) for param in params]
    reference = make_job().model
    for indices in batches:
        reference.set_weights(params)
        inputs = (job.dataset.train.inputs[indices].astype(np.float32) - 128) / 64
        with tf.GradientTape() as tape:
            losses = job.loss.per_example(reference(inputs), job.dataset.train.targets[indices])
            objective = tf.reduce_mean(losses)
        gradients = tape.gradient(objective, reference.trainable_variables)
        for place, gradient in enumerate(gradients):
            decay = 0.1 if place % 2 == 0 else 0.0  # kernel, bias, kernel, bias
            velocity[place] = 0.9 * velocity[place] + gradient.numpy() + decay * params[place]
            params[place] = params[place] - 0.05 * velocity[place]
    done, _ = compile_steps(job).run(
        batches, tally.empty(), seed=0, first_step=0, learning_rate=0.05
    )
    assert done == 3
    for found, expected in zip(weights_of(job), params, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_sums_are_those_of_the_examples_seen_before_each_update(make_job):
    """At η = 0 they are the sums over the batches of the untouched network."""
    job = make_job()
    batches = batches_of(4, 8)
    _, sums = compile_steps(job).run(
        batches, tally.empty(), seed=0, first_step=0, learning_rate=0.0
    )
    indices = batches.ravel()
    inputs = (job.dataset.train.inputs[indices].astype(np.float32) - 128) / 64
    targets = job.dataset.train.targets[indices]
    outputs = job.model(inputs).numpy()
    losses = job.loss.per_example(outputs, targets).numpy()
    correct = (outputs.argmax(axis=1) == targets.argmax(axis=1)).sum()
    np.testing.assert_allclose(sums, [losses.sum(), correct, 32], rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "augmentation": "pad_crop_flip"}])
def test_the_bits_do_not_depend_on_the_chunks(make_job, options):
    """Nine steps at once equal nine steps as 1 + 3 + 5, batch norm and augmentation included."""
    batches = batches_of(9, 8)
    digests = []
    for cuts in ([9], [1, 3, 5]):
        job = make_job(model=ResNetSpec(depth=8), **options)
        steps, sums, first = compile_steps(job), tally.empty(), 0
        for length in cuts:
            part = batches[first : first + length]
            done, sums = steps.run(part, sums, seed=0, first_step=first, learning_rate=0.05)
            first += done
        digests.append([array.tobytes() for array in (*weights_of(job), sums)])
    assert digests[0] == digests[1]


def test_the_loop_ends_after_the_step_whose_loss_is_not_finite(make_job, toy_dataset):
    """The third batch holds an infinite input; steps four and five are not taken."""
    inputs = toy_dataset.train.inputs.astype(np.float32)
    inputs[20] = np.inf
    split = Split(inputs, toy_dataset.train.targets)
    dataset = type(toy_dataset)(**{**vars(toy_dataset), "train": split})
    job = make_job(dataset=dataset, model=MLPSpec())
    batches = np.arange(40, dtype=np.int32).reshape(5, 8)
    done, sums = compile_steps(job).run(
        batches, tally.empty(), seed=0, first_step=0, learning_rate=0.1
    )
    assert done == 3
    assert not np.isfinite(sums[0])
    assert sums[2] == 24


def test_a_smaller_batch_is_averaged_over_its_own_size(make_job):
    """The same example twice moves the weights as the example once does."""
    weights = []
    for batch in ([[7]], [[7, 7]]):
        job = make_job()
        steps = compile_steps(job, has_ragged_batch=True)
        steps.run(np.int32(batch), tally.empty(), seed=0, first_step=0, learning_rate=0.1)
        weights.append(weights_of(job))
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)


def test_mixed_precision_computes_in_bfloat16_and_keeps_float32_weights(make_job):
    """Layers compute in bfloat16; weights, velocity and loss are float32."""
    job = make_job(precision="mixed_bfloat16", momentum=0.9)
    steps = compile_steps(job)
    assert job.model(np.zeros((1, 8, 8, 1))).dtype == "bfloat16"
    assert {variable.dtype for variable in job.model.weights} == {"float32"}
    _, sums = steps.run(batches_of(2, 8), tally.empty(), seed=0, first_step=0, learning_rate=0.05)
    assert np.isfinite(sums).all()
    assert keras.config.dtype_policy().name == "float32"
