"""The networks measured: each built in Keras, and its outputs written again beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import torch
from dense.layers import Layers, average_pool, flat, max_pool
from torch import Tensor

IMAGE = (8, 8, 3)
NUM_CLASSES = 4

_layers = keras.layers


@dataclass(frozen=True)
class Network:
    """One network twice.

    Attributes:
        build: Makes it in Keras.
        outputs: Gives z [N, C] of images [N, 8, 8, 3], from its weights by name.
        untrained: Layers that training leaves alone; batch norms among them keep the moving statistics.
        norms: Batch norms that are trained.
    """

    build: Callable[[], keras.Model]
    outputs: Callable[[Layers, Tensor], Tensor]
    untrained: tuple[str, ...] = ()
    norms: tuple[str, ...] = ()


def _build_smooth() -> keras.Model:
    inputs = keras.Input(IMAGE)
    x = _layers.AveragePooling2D(2, name="shrink")(inputs)
    x = _layers.Flatten(name="flatten")(x)
    x = _layers.Dense(5, activation="tanh", kernel_initializer=_seeded(1), name="first")(x)
    x = _layers.Dense(6, activation="tanh", kernel_initializer=_seeded(2), name="second")(x)
    return _ending_in(inputs, x, seed=3)


def _smooth(layers: Layers, images: Tensor) -> Tensor:
    x = torch.tanh(layers.dense("first", flat(average_pool(images))))
    x = torch.tanh(layers.dense("second", x))
    return layers.dense("outputs", x)


def _build_normalised() -> keras.Model:
    inputs = keras.Input(IMAGE)
    x = _convolution(4, 3, seed=1, name="conv1", use_bias=False)(inputs)
    x = _layers.BatchNormalization(name="norm1")(x)
    x = _layers.ReLU(name="relu1")(x)
    x = _layers.MaxPooling2D(2, name="largest")(x)
    x = _convolution(5, 2, seed=2, name="conv2", padding="same")(x)
    x = _layers.BatchNormalization(name="norm2")(x)
    x = _layers.ReLU(name="relu2")(x)
    x = _layers.Cropping2D(((1, 0), (0, 1)), name="crop")(x)
    x = _layers.AveragePooling2D(2, name="mean")(x)
    return _ending_in(inputs, _layers.Flatten(name="flatten")(x), seed=3)


def _normalised(layers: Layers, images: Tensor) -> Tensor:
    x = torch.relu(layers.norm("norm1", layers.convolution("conv1", images)))
    x = layers.convolution("conv2", max_pool(x), same=True)
    x = torch.relu(layers.norm("norm2", x))
    return layers.dense("outputs", flat(average_pool(x[:, 1:, :-1])))


def _build_partly_trained() -> keras.Model:
    inputs = keras.Input(IMAGE)
    x = _convolution(4, 3, seed=1, name="conv", padding="same")(inputs)
    x = _layers.BatchNormalization(trainable=False, name="fixed_norm")(x)
    x = _layers.ReLU(name="relu1")(x)
    x = _layers.MaxPooling2D(2, name="largest")(x)
    x = _layers.AveragePooling2D(2, name="mean")(x)
    x = _layers.Flatten(name="flatten")(x)
    x = _layers.Dense(
        6, activation="relu", kernel_initializer=_seeded(2), trainable=False, name="fixed"
    )(x)
    x = _layers.Dense(6, activation="relu", kernel_initializer=_seeded(4), name="hidden")(x)
    model = _ending_in(inputs, x, seed=3)
    fixed = model.get_layer("fixed_norm")
    fixed.moving_mean.assign([0.3, -0.2, 0.1, 0.0])
    fixed.moving_variance.assign([1.5, 0.7, 1.1, 0.9])
    fixed.gamma.assign([1.2, 0.8, 1.0, 0.9])
    fixed.beta.assign([0.1, 0.2, -0.1, 0.0])
    return model


def _partly_trained(layers: Layers, images: Tensor) -> Tensor:
    x = layers.convolution("conv", images, same=True)
    x = torch.relu(layers.norm("fixed_norm", x))
    x = torch.relu(layers.dense("fixed", flat(average_pool(max_pool(x)))))
    x = torch.relu(layers.dense("hidden", x))
    return layers.dense("outputs", x)


def _build_residual() -> keras.Model:
    inputs = keras.Input(IMAGE)
    x = _convolution(3, 3, seed=1, name="stem", padding="same")(inputs)
    x = _layers.ReLU(name="stem_relu")(x)
    y = _convolution(3, 3, seed=2, name="inner1", padding="same")(x)
    y = _layers.ReLU(name="inner_relu1")(y)
    y = _convolution(3, 3, seed=3, name="inner2", padding="same", use_bias=False)(y)
    x = _layers.ReLU(name="sum_relu1")(_layers.Add(name="sum1")([y, x]))
    y = _convolution(4, 3, seed=4, name="inner3", padding="same", strides=2)(x)
    x = _convolution(4, 1, seed=5, name="project", strides=2)(x)
    x = _layers.ReLU(name="sum_relu2")(_layers.Add(name="sum2")([y, x]))
    x = _layers.GlobalAveragePooling2D(name="pool")(x)
    return _ending_in(inputs, x, seed=6)


def _residual(layers: Layers, images: Tensor) -> Tensor:
    x = torch.relu(layers.convolution("stem", images, same=True))
    y = torch.relu(layers.convolution("inner1", x, same=True))
    x = torch.relu(x + layers.convolution("inner2", y, same=True))
    y = layers.convolution("inner3", x, stride=2, same=True)
    x = torch.relu(y + layers.convolution("project", x, stride=2))
    return layers.dense("outputs", x.mean(dim=(1, 2)))


def _seeded(seed: int) -> keras.Initializer:
    return keras.initializers.HeNormal(seed=seed)


def _convolution(channels: int, width: int, *, seed: int, **options: object) -> keras.Layer:
    return _layers.Conv2D(channels, width, kernel_initializer=_seeded(seed), **options)


def _ending_in(inputs: keras.KerasTensor, x: keras.KerasTensor, *, seed: int) -> keras.Model:
    outputs = _layers.Dense(NUM_CLASSES, kernel_initializer=_seeded(seed), name="outputs")(x)
    return keras.Model(inputs, outputs)


NETWORKS = {
    "smooth": Network(_build_smooth, _smooth),
    "normalised": Network(_build_normalised, _normalised, norms=("norm1", "norm2")),
    "partly_trained": Network(
        _build_partly_trained, _partly_trained, untrained=("fixed_norm", "fixed")
    ),
    "residual": Network(_build_residual, _residual),
}
