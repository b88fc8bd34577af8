"""Residual networks for small images, of depth 6n+2: three stages of n blocks with 16, 32, 64 channels.

Two variants. `he2015` (He et al. 2015, 1512.03385, section 4.2): convolutions without bias and
parameter-free shortcuts, where a stage begins by taking every second pixel and padding the channels
with zeros (option A). `keras_example` (version 1 of the Keras example `cifar10_resnet`):
convolutions with bias, and 1 × 1 projections without normalisation where a stage begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import keras

from workers.contract.specs import ResNetSpec
from workers.models.initialisation import he_normal

_STAGE_CHANNELS = (16, 32, 64)


def build(
    spec: ResNetSpec, input_shape: tuple[int, ...], num_outputs: int, seed: int
) -> keras.Model:
    """Build the network; its output is raw (logits).

    Args:
        spec: Depth 6n+2 and variant.
        input_shape: [height, width, channels] of one image, of any size.
        num_outputs: C, the number of classes.
        seed: Decides the initial weights: He-normal kernels, zero biases, γ = 1, β = 0.
    """
    layers = _Layers(seed, has_bias=spec.variant == "keras_example")
    inputs = keras.Input(input_shape, name="inputs")
    values = layers.convolution(inputs, "stem", channels=_STAGE_CHANNELS[0])
    values = layers.relu(values, "stem_relu")
    for stage, channels in enumerate(_STAGE_CHANNELS, start=1):
        for block in range((spec.depth - 2) // 6):
            is_first = stage > 1 and block == 0
            values = layers.block(
                values, f"stage{stage}_block{block}", channels=channels, halves=is_first
            )
    values = keras.layers.GlobalAveragePooling2D(name="pool")(values)
    outputs = keras.layers.Dense(
        num_outputs, kernel_initializer=layers.next_initializer(), name="outputs"
    )(values)
    return keras.Model(inputs, outputs, name=f"resnet{spec.depth}_{spec.variant}")


@dataclass(frozen=True)
class _Layers:
    """Makes the layers of one network, counting their positions for their seeds."""

    seed: int
    has_bias: bool
    positions: count[int] = field(default_factory=count)

    def next_initializer(self) -> keras.initializers.Initializer:
        return he_normal(self.seed, next(self.positions))

    def relu(self, values: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return keras.layers.ReLU(name=name)(values)

    def convolution(
        self,
        values: keras.KerasTensor,
        name: str,
        *,
        channels: int,
        stride: int = 1,
        order: str = "",
    ) -> keras.KerasTensor:
        """Convolve 3 × 3, then normalise over the batch."""
        values = keras.layers.Conv2D(
            channels,
            kernel_size=3,
            strides=stride,
            padding="same",
            use_bias=self.has_bias,
            kernel_initializer=self.next_initializer(),
            name=f"{name}_conv{order}",
        )(values)
        return keras.layers.BatchNormalization(name=f"{name}_norm{order}")(values)

    def block(
        self, values: keras.KerasTensor, name: str, *, channels: int, halves: bool
    ) -> keras.KerasTensor:
        """Add two convolutions to a shortcut; `halves` begins a stage: half the size, new channels."""
        stride = 2 if halves else 1
        residual = self.convolution(values, name, channels=channels, stride=stride, order="1")
        residual = self.relu(residual, f"{name}_relu1")
        residual = self.convolution(residual, name, channels=channels, order="2")
        shortcut = self.shortcut(values, name, channels=channels) if halves else values
        total = keras.layers.Add(name=f"{name}_add")([shortcut, residual])
        return self.relu(total, f"{name}_relu2")

    def shortcut(self, values: keras.KerasTensor, name: str, *, channels: int) -> keras.KerasTensor:
        """Halve height and width and widen to `channels`: projected, or padded with zeros."""
        if self.has_bias:
            return keras.layers.Conv2D(
                channels,
                kernel_size=1,
                strides=2,
                padding="same",
                kernel_initializer=self.next_initializer(),
                name=f"{name}_projection",
            )(values)
        values = keras.layers.AveragePooling2D(
            pool_size=1, strides=2, name=f"{name}_shortcut_subsample"
        )(values)
        missing = channels - values.shape[-1]
        # "channels_first" makes this plain layer pad the last two dimensions: width and channels.
        return keras.layers.ZeroPadding2D(
            padding=((0, 0), (missing // 2, missing - missing // 2)),
            data_format="channels_first",
            name=f"{name}_shortcut_pad",
        )(values)
