"""`tail` against the exact stationary second moments of SGD on linear regression."""

from __future__ import annotations

import dataclasses
import os

import keras
import numpy as np
import pytest
import scipy.stats

from workers.contract.catalog import resolve
from workers.contract.errors import Drained
from workers.contract.excursions import TailSpec
from workers.contract.quantities import STATISTIC_QUANTITIES
from workers.datasets.dataset import Dataset, Split
from workers.probes import half_width, mean_of_probes
from workers.statistics.context import MeasurementContext
from workers.statistics.excursion import Excursion
from workers.statistics.passes import Passes
from workers.statistics.tail import measure
from workers.statistics.tail_run import TailRun
from workers.statistics.tail_schedule import NUM_BLOCKS, legs_of
from workers.statistics.tail_stream import WatchedStream
from workers.statistics.tail_values import block_values

NUM_SEEDS = int(os.environ.get("MINIMA_COVERAGE_SEEDS", "40"))
NUM_TRAIN, BATCH_SIZE, WEIGHT_DECAY, LEARNING_RATE = 30, 3, 0.05, 0.1
EXACT = (
    "excess_loss",
    "harmonic_excess_loss",
    "expected_gradient_norm_squared",
    "batch_gradient_norm_squared",
    "velocity_norm_squared",
    "gradient_noise_trace",
)
CONSERVATIVE = ("fluctuation_dissipation_ratio", "fluctuation_dissipation_gap")


def spec(**settings) -> TailSpec:
    chosen = {"burn_in_steps": 200, "num_steps": 4000, "num_records": 128}
    return TailSpec(**chosen | {"num_directions": 2, "max_lanczos_steps": 20} | settings)


@pytest.fixture
def regression(tools, make_trial):
    """Make the context of a linear regression with three features, a bias and L2, at its minimum."""
    generator = np.random.default_rng(7)
    features = generator.normal(size=(NUM_TRAIN, 3)) * [1.5, 1.0, 0.7]
    targets = features @ [[1.0], [-2.0], [0.5]] + 0.7 * generator.normal(size=(NUM_TRAIN, 1))
    split = Split(features.astype(np.float32), targets.astype(np.float32))
    zero, one = np.zeros((), np.float32), np.ones((), np.float32)
    dataset = Dataset(split, split, zero, one, is_classification=False, digest="none")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="outputs")(inputs))
    model.set_weights([np.float32([[1], [-2], [0.5]]), np.zeros(1, np.float32)])

    def make(partials=None, away=0.0, **training):
        chosen = {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE}
        trial = make_trial(
            **chosen | {"weight_decay": WEIGHT_DECAY, "loss": "squared_error"} | training
        )
        placed = keras.models.clone_model(model)
        placed.set_weights([each + np.float32(away) for each in model.get_weights()])
        loss = resolve("loss", "squared_error")()
        return MeasurementContext(placed, dataset, loss, trial, partials or tools.partials())

    return make


def exact_values(context: MeasurementContext) -> dict[str, float]:
    """Solve for the stationary second moments S of (u, v), u = θ - θ*, on finite data.

    g_B = M u + b, M and b means over the m examples drawn with replacement of M_n = a_n a_nᵀ + γD and
    b_n = ∇ℓ_n(θ*) + γDθ*, so z ← Fz + f with F = [[I-ηM, -ημI], [M, μI]], f = (-ηb, b), E f = 0,
    and S = E[F S Fᵀ] + E[f fᵀ], where E[F ⊗ F] = F̄ ⊗ F̄ + (mean_n F_n ⊗ F_n - F̄ ⊗ F̄)/m.
    """
    split, training = context.dataset.train, context.trial.training
    rate, momentum = context.trial.learning_rate, training.momentum
    rows = np.hstack([split.inputs, np.ones((NUM_TRAIN, 1))]).astype(np.float64)
    size = rows.shape[1]
    identity = np.eye(size)
    decay = training.weight_decay * np.diag([1.0, 1, 1, 0])
    curvatures = rows[:, :, None] * rows[:, None, :] + decay
    hessian = curvatures.mean(axis=0)
    minimum = np.linalg.solve(hessian, (rows * split.targets).mean(axis=0))
    slopes = curvatures @ minimum - rows * split.targets
    forth = np.array(
        [
            np.block([[identity - rate * each, -rate * momentum * identity], [each, momentum * identity]])
            for each in curvatures
        ]
    )  # fmt: skip
    kicks = np.hstack([-rate * slopes, slopes])
    mean = np.kron(forth.mean(axis=0), forth.mean(axis=0))
    each = np.mean([np.kron(one, one) for one in forth], axis=0)
    moving = mean + (each - mean) / BATCH_SIZE
    kick = (kicks.T @ kicks / NUM_TRAIN / BATCH_SIZE).ravel()
    joint = np.linalg.solve(np.eye(len(moving)) - moving, kick).reshape(2 * size, 2 * size)
    spread = joint[:size, :size]
    squared_gradient = np.trace(hessian @ spread @ hessian)
    second = (curvatures @ spread @ curvatures).trace(axis1=1, axis2=2).mean()
    noise = second - squared_gradient + np.square(slopes).sum(axis=1).mean()
    excess = np.trace(hessian @ spread) / 2
    return {
        "excess_loss": excess,
        "harmonic_excess_loss": excess,
        "expected_gradient_norm_squared": squared_gradient,
        "batch_gradient_norm_squared": squared_gradient + noise / BATCH_SIZE,
        "velocity_norm_squared": np.trace(joint[size:, size:]),
        "gradient_noise_trace": noise,
        "fluctuation_dissipation_ratio": 1.0,
        "fluctuation_dissipation_gap": 0.0,
    }


def by_name(rows):
    return {(row.quantity, row.index): row for row in rows if row.method == "tail"}


def holds(row, exact):
    return abs(row.value - exact) <= half_width(row.stderr, row.num_samples)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_a_long_run_agrees_with_the_exact_stationary_moments(regression, momentum):
    """Every quantity is within 4 of its errors, which are below 8 %."""
    context = regression(momentum=momentum)
    found = by_name(measure(context, spec(num_steps=20_000, num_records=1024)))
    for quantity, exact in exact_values(context).items():
        row = found[quantity, None]
        print(quantity, row.value, row.stderr, exact)
        assert abs(row.value - exact) < 4 * row.stderr, (quantity, row, exact)
        assert quantity == "fluctuation_dissipation_gap" or row.stderr < 0.08 * exact
