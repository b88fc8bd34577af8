"""Layers of a residual network for small images, as `resnet` puts them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import keras

from workers.models.initialisation import he_normal


@dataclass(frozen=True)
class ResidualLayers:
    """Makes the layers of one network, counting their positions for their seeds."""

    seed: int
    has_bias: bool
    positions: count[int] = field(default_factory=count)

    def next_initializer(self) -> keras.initializers.Initializer:
        """Return the next layer's."""
        return he_normal(self.seed, next(self.positions))

    def relu(self, values: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Rectify."""
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
