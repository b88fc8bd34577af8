"""A split kept whole on the device in its stored type, normalised batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from workers.contract.settings import SplitName
from workers.contract.specs import DatasetSpec
from workers.datasets.dataset import Dataset, Split
from workers.process.built import Built


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


def find_resident(
    dataset: Dataset, spec: DatasetSpec, name: SplitName, built: Built
) -> ResidentSplit:
    """Return a split of a data set on the device, where it is copied once.

    Args:
        dataset: The data.
        spec: What they are and how they are cut; with their digest all that tells them from others.
        name: Of the split.
        built: Where it is kept.
    """
    split: Split = getattr(dataset, name)
    key = "resident", name, spec.model_dump_json(), dataset.digest
    return built.get(key, lambda: make_resident(split, dataset))
