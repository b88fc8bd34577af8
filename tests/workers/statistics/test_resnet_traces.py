"""Two independent routes to tr H of a ResNet-20 on CIFAR-10: first derivatives, and second ones."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from workers.datasets import cifar10
from workers.datasets.cifar10 import Cifar10Spec
from workers.models.resnet import ResNetSpec, build
from workers.network.resident import make_resident
from workers.statistics.algorithms import traces
from workers.statistics.norms import trace_passes
from workers.statistics.traces import TracesSpec

NUM_IMAGES = 500


@pytest.fixture
def cifar10_dir():
    found = os.environ.get("MINIMA_CIFAR10_DIR")
    path = Path(found) if found else Path(__file__).parents[4] / "shared" / "data" / "cifar10"
    if not path.is_dir():
        pytest.skip(f"no CIFAR-10 at {path}; name its folder in MINIMA_CIFAR10_DIR")
    return str(path)


def train_briefly(case, num_steps):
    """Take plain steps in training mode, so that the weights are no longer those of initialisation."""
    train = make_resident(case.dataset.train, case.dataset)
    params = case.model.trainable_variables

    @tf.function
    def step(places):
        inputs, targets = train.batch(places)
        with tf.GradientTape() as tape:
            losses = case.context.loss.per_example(case.model(inputs, training=True), targets)
            mean = tf.reduce_mean(losses)
        for param, gradient in zip(params, tape.gradient(mean, params), strict=True):
            param.value.assign_sub(0.05 * gradient)

    generator = np.random.default_rng(0)
    for _ in range(num_steps):
        step(tf.constant(generator.integers(0, NUM_IMAGES, 50)))


@pytest.mark.release
@pytest.mark.slow
def test_first_and_second_derivatives_agree_on_a_resnet(cifar10_dir, tools, monkeypatch):
    """Within three stated errors for the whole model, where products err by 3 % at most.

    For the layers together, the mean square of their z-scores is that of a standard normal.
    """
    case = tools.make_case("kld")
    case.dataset = cifar10.load(Cifar10Spec(num_train=NUM_IMAGES), cifar10_dir)
    case.model = build(ResNetSpec(depth=20), (32, 32, 3), 10, seed=0)
    train_briefly(case, num_steps=40)
    columns = traces.measure(case.context, TracesSpec(columns="exact"))

    monkeypatch.setattr(traces, "is_piecewise_linear", lambda network: False)
    monkeypatch.setattr(trace_passes, "PRODUCTS_BATCH_SIZE", 20)
    case = dataclasses.replace(case, partials=tools.partials())
    products = traces.measure(case.context, TracesSpec(columns=6))

    first, second = (tools.whole_model(rows, "hessian_trace") for rows in (columns, products))
    assert first.method == "gauss_newton_exact_columns"
    assert second.method == "hessian_vector_rademacher_6"
    assert first.stderr == 0
    assert second.stderr < 0.03 * second.value
    assert abs(first.value - second.value) < 3 * second.stderr
    scores = [
        (one.value - other.value) / other.stderr
        for one, other in zip(columns, products, strict=True)
        if one.quantity == "hessian_trace" and one.objective == "data" and one.layer
    ]
    # layers share their probes, so that their scores hang together: wider than √(2/41) alone
    assert 0.4 < np.mean(np.square(scores)) < 2.0
    noise = (tools.whole_model(rows, "gradient_noise_trace").value for rows in (columns, products))
    assert next(noise) == pytest.approx(next(noise), rel=1e-6)
