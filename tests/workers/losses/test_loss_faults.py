"""A loss of the user's own is tried before training: members, shapes, derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workers.contract.catalog import CATALOG, resolve
from workers.losses.loss_faults import faults_of
from workers.losses.squared_error import SquaredError

TARGETS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]


class Reduced(SquaredError):
    def per_example(self, outputs, targets):
        return tf.reduce_mean(super().per_example(outputs, targets))


class Flat(SquaredError):
    def output_hessian(self, outputs, targets):
        return tf.ones_like(outputs)


class InFloat32(SquaredError):
    def per_example(self, outputs, targets):
        return super().per_example(tf.cast(outputs, tf.float32), targets)


class OverTheBatch(SquaredError):
    def per_example(self, outputs, targets):
        return super().per_example(outputs - tf.reduce_mean(outputs, axis=0), targets)


class WrongFactor(SquaredError):
    def output_hessian(self, outputs, targets):
        return 2 * super().output_hessian(outputs, targets)


class Concave(SquaredError):
    def per_example(self, outputs, targets):
        return -super().per_example(outputs, targets)

    def output_hessian(self, outputs, targets):
        return -super().output_hessian(outputs, targets)


class NotFinite(SquaredError):
    def per_example(self, outputs, targets):
        return tf.reduce_sum(tf.math.log(outputs - 9), axis=-1)


BROKEN = {
    Reduced: (
        "per_example of the loss 'own' gives the shape (), not (5,)",
        "give one value for each example, not reduced",
    ),
    Flat: (
        "output_hessian of the loss 'own' gives the shape (5, 3), not (5, 3, 3)",
        "give a matrix for each example",
    ),
    InFloat32: (
        "per_example of the loss 'own' gives float32 of outputs in float64",
        "convert the targets to outputs.dtype, not the outputs",
    ),
    OverTheBatch: (
        "the loss 'own' gives an example another value beside other examples than alone",
        "let each example's value depend on its own outputs and targets",
    ),
    WrongFactor: (
        "output_hessian of the loss 'own' is up to 1 away from the second derivative of per_example",
        "mend one of the two; tr H is made of output_hessian",
    ),
    Concave: (
        "the loss 'own' is said to be convex, and its Hessian has the eigenvalue -1",
        "say is_convex_in_outputs = False",
    ),
    NotFinite: (
        "the loss 'own' gives values or derivatives that are not finite numbers",
        "take logarithms and quotients where they are defined",
    ),
}


@pytest.mark.parametrize(("kind", "expected"), BROKEN.items(), ids=lambda item: str(item)[-30:])
def test_each_fault_is_told_with_its_cure(kind, expected):
    """Found on five examples, in the compiled form that training uses."""
    [fault] = faults_of(kind(), "own", TARGETS)
    assert (fault.what, fault.mend) == expected
    assert fault.where == "loss"


def test_missing_members_are_told_all_at_once():
    """What is there must be of the right kind, too."""

    class Empty:
        is_convex_in_outputs = "yes"

    found = [(fault.what, fault.mend) for fault in faults_of(Empty(), "own", TARGETS)]
    assert found == [
        (
            "the loss 'own' has no per_example",
            "give it a method (outputs [B, C], targets [B, C]) -> [B]",
        ),
        (
            "the loss 'own' has no output_hessian",
            "give it a method (outputs [B, C], targets [B, C]) -> [B, C, C]",
        ),
        ("the loss 'own' has 'yes' as is_convex_in_outputs", "give it True or False"),
    ]


@pytest.mark.parametrize("name", CATALOG["loss"])
def test_the_built_in_losses_have_none(name):
    """They would pass as a user's own."""
    assert faults_of(resolve("loss", name)(), name, TARGETS) == []
