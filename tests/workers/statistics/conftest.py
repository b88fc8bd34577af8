"""A small network with every kind of layer, its data, and a dense float64 reference for its traces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.contract.catalog import resolve
from workers.contract.errors import Drained
from workers.contract.records import Measurement
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.datasets.dataset import Dataset, Split
from workers.datasets.digits import DigitsSpec
from workers.models.mlp import MLPSpec
from workers.resumable.keeping import Partial
from workers.statistics.measuring.context import MeasurementContext

WEIGHT_DECAY = 0.01


@dataclass
class MemoryPartials:
    """Keeps the last state of each key; asks to stop after some number of batches."""

    stop_after: int | None = None
    saved: dict[str, Partial] = field(default_factory=dict)
    progress: list[tuple[int, int]] = field(default_factory=list)

    def restore(self, key: str) -> Partial | None:
        return self.saved.get(key)

    def advance(self, key: str, partial: Partial, done: int, total: int) -> None:
        self.saved[key] = {name: np.array(array) for name, array in partial.items()}
        self.progress.append((done, total))
        if self.stop_after is not None and len(self.progress) == self.stop_after:
            raise Drained("stopped")


def build_network(dtype: str, activation: str, num_outputs: int) -> keras.Model:
    """Build a network with every kind of layer, for images of 6 × 6 × 2.

    Convolutions with and without bias, stride, batch norm, or an activation of their own; a shortcut;
    batch norms behind other layers; dense layers.
    """
    layers = keras.layers
    with_dtype = {"dtype": dtype}
    inputs = keras.Input((6, 6, 2), dtype=dtype)
    x = layers.Conv2D(3, 3, padding="same", use_bias=False, name="stem", **with_dtype)(inputs)
    x = layers.BatchNormalization(name="stem_norm", **with_dtype)(x)
    x = layers.Activation(activation, name="stem_act", **with_dtype)(x)
    y = layers.Conv2D(4, 3, strides=2, padding="same", name="down", **with_dtype)(x)
    y = layers.BatchNormalization(scale=False, name="down_norm", **with_dtype)(y)
    shortcut = layers.Conv2D(4, 1, strides=2, use_bias=False, name="project", **with_dtype)(x)
    x = layers.Add(name="sum", **with_dtype)([y, shortcut])
    x = layers.BatchNormalization(center=False, name="pre_norm", **with_dtype)(x)
    x = layers.Activation(activation, name="sum_act", **with_dtype)(x)
    x = layers.Conv2D(4, 2, activation=activation, name="plain", **with_dtype)(x)
    x = layers.GlobalAveragePooling2D(name="pool", **with_dtype)(x)
    x = layers.Dense(5, activation=activation, name="hidden", **with_dtype)(x)
    x = layers.BatchNormalization(name="hidden_norm", **with_dtype)(x)
    return keras.Model(inputs, layers.Dense(num_outputs, name="outputs", **with_dtype)(x))


def build_residual_network(dtype: str, activation: str, num_outputs: int) -> keras.Model:
    """Build a small one for the same images: a convolution, and another beside a shortcut, with batch norms."""
    layers, with_dtype = keras.layers, {"dtype": dtype}
    inputs = keras.Input((6, 6, 2), dtype=dtype)
    x = layers.Conv2D(2, 3, padding="same", use_bias=False, name="stem", **with_dtype)(inputs)
    x = layers.BatchNormalization(name="stem_norm", **with_dtype)(x)
    x = layers.Activation(activation, name="stem_act", **with_dtype)(x)
    y = layers.Conv2D(2, 3, padding="same", use_bias=False, name="inner", **with_dtype)(x)
    y = layers.BatchNormalization(name="inner_norm", **with_dtype)(y)
    x = layers.Add(name="sum", **with_dtype)([x, y])
    x = layers.Activation(activation, name="sum_act", **with_dtype)(x)
    x = layers.GlobalAveragePooling2D(name="pool", **with_dtype)(x)
    return keras.Model(inputs, layers.Dense(num_outputs, name="outputs", **with_dtype)(x))


def randomise(model: keras.Model, seed: int) -> None:
    """Give every weight a generic float32 value: γ not 1, moving statistics not 0 and 1."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        values = generator.normal(0, 0.5, weight.shape)
        if weight.name in ("gamma", "moving_variance"):
            values = generator.uniform(0.5, 1.5, weight.shape)
        weight.assign(values.astype(np.float32))


def make_split(num_examples: int, num_outputs: int, seed: int) -> Split:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (num_examples, 6, 6, 2)).astype(np.uint8)
    labels = generator.integers(0, num_outputs, num_examples)
    return Split(pixels, np.eye(num_outputs, dtype=np.float32)[labels])


def make_trial(loss: str) -> TrialSpec:
    return TrialSpec(
        model=MLPSpec(),
        dataset=DigitsSpec(),
        data_digest="none",
        loss=loss,
        training=TrainingSpec(epochs=1, weight_decay=WEIGHT_DECAY),
        batch_size=10,
        learning_rate=0.1,
        seed=0,
    )


@dataclass
class Case:
    """A network in float32 as it is measured, its twin in float64, and data."""

    model: keras.Model
    twin: keras.Model
    dataset: Dataset
    loss_name: str
    partials: MemoryPartials = field(default_factory=MemoryPartials)

    @property
    def context(self) -> MeasurementContext:
        loss = resolve("loss", self.loss_name)()
        trial = make_trial(self.loss_name)
        return MeasurementContext(self.model, self.dataset, loss, trial, self.partials)

    def inputs(self, split: str = "train") -> tf.Tensor:
        stored = getattr(self.dataset, split).inputs.astype(np.float32)
        return tf.constant((stored - self.dataset.offset) * self.dataset.scale, tf.float64)


def make_case(
    loss_name: str, *, activation: str = "relu", num_train: int = 24, is_small: bool = False
) -> Case:
    num_outputs = 3
    build = build_residual_network if is_small else build_network
    model = build("float32", activation, num_outputs)
    twin = build("float64", activation, num_outputs)
    randomise(model, seed=1)
    twin.set_weights(model.get_weights())
    dataset = Dataset(
        train=make_split(num_train, num_outputs, seed=2),
        test=make_split(9, num_outputs, seed=3),
        offset=np.full(2, 128, np.float32),
        scale=np.full(2, 1 / 64, np.float32),
        is_classification=True,
        digest="none",
    )
    return Case(model, twin, dataset, loss_name)


@dataclass
class Reference:
    """Dense float64 values by layer (None: whole model) of the data objective."""

    gradients: np.ndarray
    hessian: np.ndarray
    params: np.ndarray
    layers: list[str]
    is_kernel: np.ndarray

    def total_hessian(self, weight_decay: float = 0.0) -> np.ndarray:
        return self.hessian + weight_decay * np.diag(self.is_kernel)

    def value(self, quantity: str, layer: str | None, weight_decay: float = 0.0) -> float:
        chosen = np.array([layer in (None, each) for each in self.layers])
        mean = self.gradients.mean(axis=0)
        noise = np.cov(self.gradients, rowvar=False, bias=True)
        hessian = self.hessian + weight_decay * np.diag(self.is_kernel)
        total_mean = mean + weight_decay * self.is_kernel * self.params
        values = {
            "hessian_noise_trace": (noise * hessian).sum(axis=1),
            "gradient_curvature": total_mean * (hessian @ total_mean),
            "hessian_frobenius_squared": np.square(hessian).sum(axis=1),
            "gradient_noise_trace": np.square(self.gradients - mean).mean(axis=0),
            "hessian_trace": np.diag(hessian),
            "gradient_norm_squared": np.square(total_mean),
            "parameter_norm_squared": np.square(self.params),
        }
        return float(values[quantity][chosen].sum())


def dense_reference(case: Case, split: str = "train") -> Reference:
    """Take every example's gradient on its own and the whole Hessian by differentiating gradients."""
    loss = resolve("loss", case.loss_name)()
    inputs = case.inputs(split)
    targets = tf.constant(getattr(case.dataset, split).targets, tf.float64)
    variables = [each.value for each in case.twin.trainable_variables]

    @tf.function
    def gradient(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss.per_example(case.twin(x, training=False), y))
        return tape.gradient(value, variables)

    @tf.function
    def hessian(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as outer:
            flat = tf.concat([tf.reshape(each, [-1]) for each in gradient(x, y)], 0)
        rows = outer.jacobian(flat, variables, experimental_use_pfor=False)
        return tf.concat([tf.reshape(each, [flat.shape[0], -1]) for each in rows], 1)

    def flatten(tensors: list[tf.Tensor]) -> np.ndarray:
        return np.concatenate([np.ravel(each) for each in tensors])

    singles = range(len(inputs))
    trained = case.twin.trainable_variables
    sizes = [int(np.prod(each.shape)) for each in trained]
    return Reference(
        gradients=np.stack(
            [flatten(gradient(inputs[i : i + 1], targets[i : i + 1])) for i in singles]
        ),
        hessian=hessian(inputs, targets).numpy(),
        params=flatten(variables),
        layers=list(np.repeat([each.path.split("/")[0] for each in trained], sizes)),
        is_kernel=np.repeat([float(each.name == "kernel") for each in trained], sizes),
    )


def whole_model(rows: list[Measurement], quantity: str, objective: str = "data") -> Measurement:
    found = [
        row
        for row in rows
        if (row.quantity, row.objective, row.layer) == (quantity, objective, None)
    ]
    assert len(found) == 1
    return found[0]


@dataclass(frozen=True)
class Tools:
    """The functions above, for tests in other files."""

    make_case: Callable[..., Case] = make_case
    randomise: Callable[[keras.Model, int], None] = randomise
    dense_reference: Callable[..., Reference] = dense_reference
    whole_model: Callable[..., Measurement] = whole_model
    partials: type[MemoryPartials] = MemoryPartials
    weight_decay: float = WEIGHT_DECAY


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools()


def tiny_network(
    *, has_norm: bool, dtype: str = "float64", activation: str = "tanh"
) -> keras.Model:
    """Build 3 → 2 → 4 units with 20 parameters, with batch norm or without; then the last has a bias."""
    inputs = keras.Input((3,), dtype=dtype)
    x = keras.layers.Dense(2, activation=activation, name="hidden", dtype=dtype)(inputs)
    if has_norm:
        x = keras.layers.BatchNormalization(name="norm", dtype=dtype)(x)
    outputs = keras.layers.Dense(4, use_bias=not has_norm, name="outputs", dtype=dtype)(x)
    model = keras.Model(inputs, outputs)
    generator = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(generator.uniform(0.4, 1.4, weight.shape) * generator.choice([-1, 1]))
    return model


def tiny_dataset(num_examples: int) -> Dataset:
    """Draw features and targets from a normal distribution."""
    generator = np.random.default_rng(5)
    features = generator.normal(size=(num_examples, 3)).astype(np.float32)
    targets = generator.normal(size=(num_examples, 4)).astype(np.float32)
    split = Split(features, targets)
    offset, scale = np.zeros(3, np.float32), np.ones(3, np.float32)
    return Dataset(split, split, offset, scale, is_classification=False, digest="none")


@pytest.fixture
def tiny(tools, make_trial):
    """Make a context of a tiny network, squared errors and a batch size."""

    def make(*, num_train=5, batch_size=2, model=None, partials=None, **options):
        return MeasurementContext(
            model=model or tiny_network(**options),
            dataset=tiny_dataset(num_train),
            loss=resolve("loss", "squared_error")(),
            trial=make_trial(batch_size=batch_size, weight_decay=tools.weight_decay),
            partials=partials or tools.partials(),
        )

    return make
