"""Second derivatives: correct ones of means and variances, for Keras' normalisation layers; lost ones refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf

from workers.contract.errors import Fault, UserError

_LOST = frozenset(
    {
        "ResizeBilinearGrad",
        "FakeQuantWithMinMaxArgsGradient",
        "FakeQuantWithMinMaxVarsGradient",
        "FakeQuantWithMinMaxVarsPerChannelGradient",
        "SparseAddGrad",
    }
)
"""Gradients that TensorFlow registers as not differentiable, though they are linear in their cotangents: all there
are in 2.x. Of others without a second derivative it raises a LookupError."""


@contextmanager
def right_second_derivatives() -> Iterator[None]:
    """Trace layers that normalise by their inputs' moments with correct second derivatives.

    `tf.nn.moments`, on which batch, layer and group normalisation rest, treats the mean in the
    variance (1/n) Σ (x_i - mean)² as a constant. The first derivative is correct nevertheless, as Σ
    (x_i - mean) = 0; the second, 2/n (δ_ij - 1/n), loses its -2/n². Within the context the mean is
    differentiated too. What is traced in it stays correct afterwards.
    """
    before = tf.nn.moments
    tf.nn.moments = _moments
    try:
        yield
    finally:
        tf.nn.moments = before


def _moments(
    x: tf.Tensor,
    axes: Sequence[int],
    shift: None = None,  # noqa: ARG001 - not used by TensorFlow either
    keepdims: bool = False,  # noqa: FBT001, FBT002 - TensorFlow's signature
    name: str | None = None,  # noqa: ARG001 - as above
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and uncorrected variance of x [...] over the axes, of size 1 with `keepdims`."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    if keepdims:
        return mean, variance
    return tf.squeeze(mean, axes), tf.squeeze(variance, axes)


def refuse_lost_second_derivatives(graph: tf.Graph) -> None:
    """Refuse gradients that TensorFlow takes for constants when they are differentiated once more.

    Decided by the operations of the graph, not by uᵀHv = vᵀHu: where no parameters follow the operation, the
    part that is lost is symmetric. A difference of gradients is no judge either, as ReLUs have kinks.

    Args:
        graph: Holds the gradient, and nothing yet of its derivative; functions that it calls count.

    Raises:
        UserError: There are such; all at once.
    """
    definition = graph.as_graph_def()
    functions = (node for each in definition.library.function for node in each.node_def)
    nodes = [*definition.node, *functions]
    places = {node.name.removeprefix("gradient_tape/"): node.op for node in nodes}
    faults = [
        Fault(
            f"TensorFlow cannot differentiate {kind} and takes it for constant, at {place!r}, so that second "
            "derivatives would lack a part",
            "model",
            "do without that operation (instead of bilinear, UpSampling2D takes interpolation='nearest'), or "
            "leave statistics that need second derivatives out of `measure`",
        )
        for place, kind in sorted(places.items())
        if kind in _LOST
    ]
    if faults:
        raise UserError(faults)
