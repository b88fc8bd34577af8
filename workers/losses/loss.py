"""What every loss offers: per-example values and the loss Hessian in the outputs."""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf


class Loss(Protocol):
    """A loss of raw outputs z [B, C] and targets y [B, C].

    Attributes:
        is_convex_in_outputs: Whether A = ∂²ℓ/∂z² is positive semi-definite for every z.
    """

    is_convex_in_outputs: bool

    def per_example(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return ℓ(z, y) [B], unreduced."""
        ...

    def output_hessian(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return A = ∂²ℓ/∂z² [B, C, C]."""
        ...
