"""The pixels under a convolution's window, gathered by one table of positions."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Attributes:
        size: Size of the input.
        kernel_size: Pixels of the window.
        stride: Steps between windows.
        dilation: Steps between the pixels of a window.
        is_padded: Whether it has "same" padding with zeros; as in TensorFlow, an odd one comes
            last.
    """

    size: int
    kernel_size: int
    stride: int
    dilation: int
    is_padded: bool

    @property
    def reach(self) -> int:
        """The size of the dilated window."""
        return (self.kernel_size - 1) * self.dilation + 1

    @property
    def num_outputs(self) -> int:
        """The number of windows that fit."""
        covered = self.size if self.is_padded else self.size - self.reach + 1
        return -(-covered // self.stride)

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after."""
        missing = (self.num_outputs - 1) * self.stride + self.reach - self.size
        total = max(missing, 0) if self.is_padded else 0
        return total // 2, total - total // 2

    def places(self) -> npt.NDArray[np.int64]:
        """Return the positions [windows, kernel_size] of windows' pixels on the padded axis."""
        starts = np.arange(self.num_outputs) * self.stride
        return starts[:, None] + np.arange(self.kernel_size) * self.dilation


def axes_of(layer: keras.layers.Conv2D) -> tuple[Axis, Axis]:
    """Return the height and width axes of a built convolution."""
    height, width = (
        Axis(size, kernel_size, stride, dilation, layer.padding == "same")
        for size, kernel_size, stride, dilation in zip(
            layer.input.shape[1:3],
            layer.kernel_size,
            layer.strides,
            layer.dilation_rate,
            strict=True,
        )
    )
    return height, width


def extract_patches(inputs: tf.Tensor, height: Axis, width: Axis) -> tf.Tensor:
    """Gather the pixels under each window: [B, H, W, C] → [B, windows, kernel pixels · C].

    The last axis is ordered as a kernel [kernel height, kernel width, C, ·]. A single gather: on a
    CPU 2 to 3 times as fast as `tf.image.extract_patches`.
    """
    num_channels = inputs.shape[-1]
    padded = tf.pad(inputs, [[0, 0], height.padding, width.padding, [0, 0]])
    rows, columns = height.places(), width.places()
    padded_width = width.size + sum(width.padding)
    places = rows[:, None, :, None] * padded_width + columns[None, :, None, :]
    flat = tf.reshape(padded, [-1, padded.shape[1] * padded.shape[2], num_channels])
    gathered = tf.gather(flat, tf.constant(places.ravel(), tf.int32), axis=1)
    num_windows = height.num_outputs * width.num_outputs
    num_values = height.kernel_size * width.kernel_size * num_channels
    return tf.reshape(gathered, [-1, num_windows, num_values])
