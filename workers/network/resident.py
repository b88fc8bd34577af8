"""A split kept whole on the device in its stored type, normalised batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from workers.datasets.dataset import Dataset, Split


@dataclass(frozen=True)
class ResidentSplit:
    """A split on the device.

    Attributes:
        inputs: x [N, …], as stored (uint8 pixels take a quarter of float32's memory).
        targets: y [N, C] float32.
        offset: float32, broadcastable to one example.
        scale: float32, broadcastable to one example.
    """

    inputs: tf.Tensor
    targets: tf.Tensor
    offset: tf.Tensor
    scale: tf.Tensor

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def batch(self, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return x = (stored - offset) · scale [B, …] and y [B, C] of the examples [B]."""
        stored = tf.cast(tf.gather(self.inputs, indices), tf.float32)
        return (stored - self.offset) * self.scale, tf.gather(self.targets, indices)


def make_resident(split: Split, dataset: Dataset) -> ResidentSplit:
    """Copy a split of a data set to the device."""
    return ResidentSplit(
        inputs=tf.constant(split.inputs),
        targets=tf.constant(split.targets),
        offset=tf.constant(dataset.offset),
        scale=tf.constant(dataset.scale),
    )
