"""The operations of small networks on arrays in Keras' layout, written again in float64 PyTorch.

Nothing here reads a Keras layer: weights come by name, and every convention (padding, order of pixels, ε)
is stated anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

Moments = dict[str, tuple[Tensor, Tensor]]
"""Mean and variance [channels] of every batch norm, by its name."""

_EPSILON = 1e-3
"""Of Keras' batch norms."""


@dataclass
class Layers:
    """A network's weights, and what its batch norms normalise by.

    Attributes:
        weights: By "layer/name", in Keras' layout.
        moments: Of the batch norms that hold some; the others take those of the inputs they are given.
        seen: Moments of these inputs, layer by layer.
    """

    weights: dict[str, Tensor]
    moments: Moments
    seen: Moments = field(default_factory=dict)

    def dense(self, name: str, values: Tensor) -> Tensor:
        """Give x W + b of x [N, inputs]."""
        return self._with_bias(name, values @ self.weights[f"{name}/kernel"])

    def convolution(
        self, name: str, values: Tensor, *, stride: int = 1, same: bool = False
    ) -> Tensor:
        """Cross-correlate [N, height, width, inputs] with a kernel [height, width, inputs, outputs].

        With `same`, zeros are added so that ⌈size / stride⌉ remain; of an odd number one more at the end.
        """
        kernel = self.weights[f"{name}/kernel"]
        images = values.permute(0, 3, 1, 2)
        if same:
            (top, bottom), (left, right) = (
                _margins(size, width, stride)
                for size, width in zip(images.shape[2:], kernel.shape[:2], strict=True)
            )
            images = torch.nn.functional.pad(images, (left, right, top, bottom))
        found = torch.nn.functional.conv2d(images, kernel.permute(3, 2, 0, 1), stride=stride)
        return self._with_bias(name, found.permute(0, 2, 3, 1))

    def norm(self, name: str, values: Tensor) -> Tensor:
        """γ (x - mean) / √(variance + ε) + β over the last axis, the variance divided by the number."""
        if name in self.moments:
            mean, variance = self.moments[name]
        else:
            rows = values.reshape(-1, values.shape[-1])
            mean = rows.mean(dim=0)
            variance = (rows - mean).square().mean(dim=0)
            self.seen[name] = (mean, variance)
        normal = (values - mean) / (variance + _EPSILON).sqrt()
        return self.weights[f"{name}/gamma"] * normal + self.weights[f"{name}/beta"]

    def _with_bias(self, name: str, values: Tensor) -> Tensor:
        bias = self.weights.get(f"{name}/bias")
        return values if bias is None else values + bias


def max_pool(values: Tensor) -> Tensor:
    """Take the largest of every 2 × 2 pixels."""
    return _windows(values).amax(dim=(2, 4))


def average_pool(values: Tensor) -> Tensor:
    """Average every 2 × 2 pixels."""
    return _windows(values).mean(dim=(2, 4))


def flat(values: Tensor) -> Tensor:
    """Join rows, columns and channels [N, height · width · channels], channels fastest."""
    return values.reshape(len(values), -1)


def _windows(values: Tensor) -> Tensor:
    num_examples, height, width, channels = values.shape
    return values.reshape(num_examples, height // 2, 2, width // 2, 2, channels)


def _margins(size: int, width: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + width - size, 0)
    return total // 2, total - total // 2
