"""Networks of the project beside their twins in PyTorch, on the same images."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for `peers` and `torch_twin`, which are no tests

from peers import peer  # noqa: E402

NUM_THREADS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.oracle)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def _few_threads():
    """Give TensorFlow its threads before any operation, whichever test comes first."""
    from workers.process.environment import prepare

    prepare(NUM_THREADS, uses_gpu=False)


@pytest.fixture(autouse=True, scope="session")
def _few_threads_of_torch():
    """Give PyTorch the same."""
    peer("torch").set_num_threads(NUM_THREADS)


class NoPartials:
    """Keeps nothing; a measurement runs through."""

    def restore(self, key):
        return None

    def advance(self, key, partial, done, total):
        pass


@pytest.fixture(scope="session")
def no_partials():
    """Give what keeps nothing."""
    return NoPartials()


@dataclass(frozen=True)
class Case:
    """One network, twice, and its data.

    Attributes:
        model: In Keras; its batch norms hold statistics that fit no batch.
        pixels: uint8 [N, …].
        labels: Classes [N].
        loss_name: Of the project.
    """

    model: object
    pixels: np.ndarray
    labels: np.ndarray
    loss_name: str = "kld"
    batch_size: int = 10
    _cache: dict[str, object] = field(default_factory=dict)

    @cached_property
    def loss(self):
        from workers.attempts.attempt import make_loss

        return make_loss(self.loss_name)

    @cached_property
    def twin(self):
        return self.torch_twin.twin_of(self.model)

    @property
    def torch_twin(self) -> ModuleType:
        import torch_twin

        return torch_twin

    @cached_property
    def dataset(self):
        from workers.datasets.dataset import Dataset, Split, one_hot

        split = Split(self.pixels, one_hot(self.labels, 10))
        offset, scale = np.full(3, 128, np.float32), np.full(3, 1 / 64, np.float32)
        return Dataset(split, split, offset, scale, is_classification=True, digest="none")

    @cached_property
    def images(self) -> np.ndarray:
        """Give x [N, …], which float32 holds exactly."""
        return ((self.pixels - 128.0) / 64).astype(np.float32)

    @property
    def context(self):
        """Give what a statistic is given."""
        from workers.contract.specs import TrainingSpec, TrialSpec
        from workers.datasets.digits import DigitsSpec
        from workers.models.mlp import MLPSpec
        from workers.statistics.measuring.context import MeasurementContext

        trial = TrialSpec(
            model=MLPSpec(),
            dataset=DigitsSpec(),
            data_digest="none",
            loss=self.loss_name,
            training=TrainingSpec(epochs=1),
            batch_size=1,
            learning_rate=0.1,
            seed=0,
        )
        return MeasurementContext(self.model, self.dataset, self.loss, trial, NoPartials())

    def batches(self) -> list:
        """Cut the examples into tensors x, y; the last batch is smaller."""
        import tensorflow as tf

        targets = self.dataset.train.targets
        cuts = range(0, len(targets), self.batch_size)
        return [
            tuple(tf.constant(each[cut : cut + self.batch_size]) for each in (self.images, targets))
            for cut in cuts
        ]

    def torch_data(self, batch_size: int | None = None) -> list:
        """Cut the same examples into the twin's inputs and labels."""
        torch = peer("torch")
        images = self.images
        if "stem_conv" in {layer.name for layer in self.model.layers}:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        size = batch_size or self.batch_size
        inputs = torch.tensor(images, dtype=getattr(torch, self.model.dtype))
        return list(zip(inputs.split(size), torch.tensor(self.labels).split(size), strict=True))


def _network(kind: str):
    from workers.models import mlp, resnet
    from workers.models.mlp import MLPSpec
    from workers.models.resnet import ResNetSpec

    if kind == "mlp":
        return mlp.build(MLPSpec(hidden_units=[12, 8]), (6, 6, 3), 10, seed=1)
    return resnet.build(ResNetSpec(depth=8, variant=kind), (32, 32, 3), 10, seed=1)


def _unsettle(model: object) -> None:
    """Give every bias, γ, β and statistic a value of its own, so that none can be mistaken."""
    generator = np.random.default_rng(5)
    spread = {"bias": 0.1, "beta": 0.1, "moving_mean": 0.2}
    for variable in model.weights:
        if variable.name in spread:
            variable.assign(generator.normal(0, spread[variable.name], variable.shape))
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(generator.uniform(0.6, 1.4, variable.shape))


@pytest.fixture
def make_case():
    """Make a case: `kind` is mlp, he2015 or keras_example."""
    import keras

    def make(
        kind: str, *, dtype: str = "float32", num_examples: int = 24, loss: str = "kld"
    ) -> Case:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        model = _network(kind)
        keras.config.set_dtype_policy(before)
        _unsettle(model)
        generator = np.random.default_rng(6)
        pixels = generator.integers(0, 256, (num_examples, *model.input_shape[1:]))
        labels = generator.integers(0, 10, num_examples)
        return Case(model, pixels.astype(np.uint8), labels, loss)

    return make


@pytest.fixture
def cifar10_pixels():
    """Give the first training images of CIFAR-10 and their labels."""
    from workers.datasets import cifar10
    from workers.datasets.cifar10 import Cifar10Spec

    beside = HERE.parents[2] / "shared" / "data" / "cifar10"
    folder = Path(os.environ.get("MINIMA_CIFAR10_DIR", beside))
    if not folder.is_dir():
        pytest.skip(f"no CIFAR-10 in {folder}; set MINIMA_CIFAR10_DIR to its folder")
    train = cifar10.load(Cifar10Spec(num_train=64), str(folder)).train
    return train.inputs, train.targets.argmax(axis=1)
