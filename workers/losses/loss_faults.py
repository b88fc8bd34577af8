"""What is wrong with a user's own loss, found by trying it on a few examples in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.errors import Fault
from workers.losses.loss import Loss

Array = npt.NDArray[np.float64]

_NUM_EXAMPLES = 5
_TOLERANCE = 1e-6
"""Of derivatives in float64, relative to the largest: far above rounding, far below a wrong formula."""

_METHODS = {
    "per_example": "a method (outputs [B, C], targets [B, C]) -> [B]",
    "output_hessian": "a method (outputs [B, C], targets [B, C]) -> [B, C, C]",
}
_FLAGS = {"is_convex_in_outputs": "True or False"}


class _Tried(NamedTuple):
    """What a loss gave for B examples: values [B], Hessians [B, C, C], those of autodiff."""

    values: Array
    value_of_first_alone: Array
    hessians: Array
    differentiated: Array


def faults_of(loss: Loss, name: str, targets: npt.NDArray[np.float32]) -> list[Fault]:
    """List what is wrong with a loss: its members, its shapes, its derivatives.

    `output_hessian` is compared with the second derivative of `per_example`, and
    `is_convex_in_outputs` with its eigenvalues, at random outputs of the first examples' targets.
    """
    found = list(_member_faults(loss, name))
    if found:
        return found
    chosen = tf.constant(targets[:_NUM_EXAMPLES], tf.float64)
    generator = np.random.default_rng(0)
    outputs = tf.constant(generator.normal(size=chosen.shape))
    found = list(_shape_faults(loss, name, outputs, chosen))
    return found or list(_value_faults(loss, name, _try(loss, outputs, chosen)))


def _member_faults(loss: Loss, name: str) -> Iterator[Fault]:
    for member, wanted in (_METHODS | _FLAGS).items():
        value = getattr(loss, member, None)
        is_there = callable(value) if member in _METHODS else isinstance(value, bool)
        if not is_there:
            found = "has no" if value is None else f"has {value!r} as"
            yield Fault(f"the loss {name!r} {found} {member}", "loss", f"give it {wanted}")


def _shape_faults(loss: Loss, name: str, outputs: tf.Tensor, targets: tf.Tensor) -> Iterator[Fault]:
    num_examples, num_outputs = outputs.shape
    matrices = (num_examples, num_outputs, num_outputs)
    wanted = {
        loss.per_example: ((num_examples,), "give one value for each example, not reduced"),
        loss.output_hessian: (matrices, "give a matrix for each example"),
    }
    for method, (shape, mend) in wanted.items():
        found = tf.convert_to_tensor(_compiled(method)(outputs, targets))
        what = f"{method.__name__} of the loss {name!r} gives"
        if tuple(found.shape) != shape:
            yield Fault(f"{what} the shape {tuple(found.shape)}, not {shape}", "loss", mend)
        elif found.dtype != tf.float64:
            what = f"{what} {found.dtype.name} of outputs in float64"
            yield Fault(what, "loss", "convert the targets to outputs.dtype, not the outputs")


def _try(loss: Loss, outputs: tf.Tensor, targets: tf.Tensor) -> _Tried:
    def differentiate(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        zero = tf.UnconnectedGradients.ZERO
        with tf.GradientTape() as outer:
            outer.watch(outputs)
            with tf.GradientTape() as inner:
                inner.watch(outputs)
                values = loss.per_example(outputs, targets)
            gradient = inner.gradient(values, outputs, unconnected_gradients=zero)
        return outer.batch_jacobian(gradient, outputs, unconnected_gradients=zero)

    values = _compiled(loss.per_example)
    found = (
        values(outputs, targets),
        values(outputs[:1], targets[:1]),
        _compiled(loss.output_hessian)(outputs, targets),
        _compiled(differentiate)(outputs, targets),
    )
    return _Tried(*(each.numpy() for each in found))


def _value_faults(loss: Loss, name: str, tried: _Tried) -> Iterator[Fault]:
    scale = max(1.0, float(np.abs(tried.differentiated).max()))
    if not all(np.isfinite(each).all() for each in tried):
        what = f"the loss {name!r} gives values or derivatives that are not finite numbers"
        yield Fault(what, "loss", "take logarithms and quotients where they are defined")
    elif not np.allclose(tried.values[:1], tried.value_of_first_alone, rtol=_TOLERANCE):
        what = f"the loss {name!r} gives an example another value beside other examples than alone"
        yield Fault(what, "loss", "let each example's value depend on its own outputs and targets")
    elif (error := float(np.abs(tried.hessians - tried.differentiated).max())) > _TOLERANCE * scale:
        what = f"output_hessian of the loss {name!r} is up to {error:.3g} away from the second "
        mend = "mend one of the two; tr H is made of output_hessian"
        yield Fault(f"{what}derivative of per_example", "loss", mend)
    elif loss.is_convex_in_outputs and (least := _least(tried.hessians)) < -_TOLERANCE * scale:
        what = f"the loss {name!r} is said to be convex, and its Hessian has the eigenvalue "
        yield Fault(f"{what}{least:.3g}", "loss", "say is_convex_in_outputs = False")


def _least(hessians: Array) -> float:
    return float(np.linalg.eigvalsh(hessians).min())


def _compiled(
    method: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Compile as training does, for any number of examples."""
    compiled: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = tf.function(
        method, reduce_retracing=True, autograph=False
    )
    return compiled
