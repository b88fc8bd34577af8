"""On a ResNet-20 two independent routes to tr H agree: first derivatives, and products with the Hessian."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import pytest

from workers.batch_norm import copy_network, freeze
from workers.contract.specs import Cifar10Spec, ResNetSpec
from workers.contract.statistics import TracesSpec
from workers.datasets import cifar10
from workers.models.resnet import build
from workers.resident import make_resident
from workers.risk import Risk
from workers.statistics import traces
from workers.statistics.context import MeasurementContext
from workers.statistics.passes import Passes

NUM_IMAGES = 200
NUM_PROBES = 64


@pytest.fixture
def images():
    """Real CIFAR-10 images."""
    default = Path(__file__).parents[4] / "shared" / "data" / "cifar10"
    folder = Path(os.environ.get("MINIMA_CIFAR10_DIR", default))
    if not folder.is_dir():
        pytest.skip(f"CIFAR-10 is not at {folder}; set MINIMA_CIFAR10_DIR")
    return cifar10.load(Cifar10Spec(num_train=NUM_IMAGES), str(folder))


@pytest.fixture
def trained(images):
    """A ResNet-20 after some steps, so that neither weights nor predictions are those of a start."""
    keras.utils.set_random_seed(0)
    model = build(ResNetSpec(depth=20), (32, 32, 3), 10, seed=0)
    model.compile(
        keras.optimizers.SGD(0.05), keras.losses.CategoricalCrossentropy(from_logits=True)
    )
    inputs = (images.train.inputs.astype(np.float32) - images.offset) * images.scale
    model.fit(inputs, images.train.targets, batch_size=50, epochs=6, verbose=0)
    return model


@pytest.mark.slow
def test_both_routes_to_the_hessian_trace_agree(tools, images, trained):
    """Hutchinson with a fresh probe for each batch, at ≤ 3 % standard error, is within 3 of them."""
    case = tools.make_case("kld")
    context = MeasurementContext(
        trained, images, case.context.loss, case.context.trial, tools.partials()
    )
    rows = traces.measure(context, TracesSpec(columns="exact"))
    exact = tools.whole_model(rows, "hessian_trace").value
    network = copy_network(trained)
    train = make_resident(images.train, images)
    freeze(network, "frozen", train, Passes(tools.partials(), NUM_IMAGES))
    risk = Risk(network, context.loss)
    generator = np.random.default_rng(0)
    batches = [train.batch(np.arange(first, first + 50)) for first in range(0, NUM_IMAGES, 50)]
    num_params = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    draws = []
    for _ in range(NUM_PROBES):
        parts = []
        for inputs, targets in batches:
            probe = generator.choice([-1.0, 1.0], num_params)
            product = risk.batch_hessian_vector_product(inputs, targets, probe)
            parts.append(probe @ product / len(inputs))
        draws.append(np.mean(parts))
    stderr = np.std(draws, ddof=1) / np.sqrt(NUM_PROBES)
    assert stderr <= 0.03 * exact
    assert abs(np.mean(draws) - exact) < 3 * stderr
