"""Linear regression beside its exact moments, and laws beside their conditions; no PyTorch is needed here."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `exact_sgd`, which is no test

from exact_sgd import regression

SEEDS = (0,)


@pytest.fixture(autouse=True, scope="session")
def _few_threads_of_torch():
    """Leave PyTorch alone."""


def _regression(
    partials, num_train, *, away, batch_size, learning_rate, momentum=0.0, is_shuffled=False
):
    """Make the context of a network and its exact SGD, `away` from the minimum, with L2."""
    import keras

    from workers.attempts.attempt import make_loss
    from workers.contract.specs import TrainingSpec, TrialSpec
    from workers.datasets.dataset import Dataset, Split
    from workers.datasets.digits import DigitsSpec
    from workers.models.mlp import MLPSpec
    from workers.statistics.measuring.context import MeasurementContext

    generator = np.random.default_rng(3)
    features = generator.normal(size=(num_train, 2)).astype(np.float32)
    targets = (features @ [1.0, -0.5] + generator.normal(size=num_train)).astype(np.float32)
    exact = regression(
        features.astype(np.float64),
        targets.astype(np.float64),
        weight_decay=0.05,
        learning_rate=learning_rate,
        momentum=momentum,
        batch_size=batch_size,
        is_shuffled=is_shuffled,
    )
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="outputs")(inputs))
    start = (exact.minimum + away).astype(np.float32)
    model.set_weights([start[:2, None], start[2:]])
    split = Split(features, targets[:, None])
    zero, one = np.zeros((), np.float32), np.ones((), np.float32)
    dataset = Dataset(split, split, zero, one, is_classification=False, digest="none")
    trial = TrialSpec(
        model=MLPSpec(),
        dataset=DigitsSpec(),
        data_digest="none",
        loss="squared_error",
        training=TrainingSpec(epochs=1, momentum=momentum, weight_decay=0.05),
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=0,
    )
    context = MeasurementContext(model, dataset, make_loss("squared_error"), trial, partials)
    return context, exact, start.astype(np.float64)


@pytest.fixture(scope="session")
def make_regression(no_partials):
    """Make the context of a linear regression, its exact SGD, and the kept weights."""
    return partial(_regression, no_partials)


def _conditions(exact, **changes):
    """Make what a law is told of SGD at its minimum: traces, and μ_σ, all exact; a stationary run."""
    from analysis.evidence.conditions import CellConditions
    from analysis.evidence.excursions import MeasuredExcursion
    from analysis.evidence.noise_spectra import CellSpectra, Spectrum
    from analysis.mathematics.uncertain import Uncertain
    from analysis.records.cell import Cell
    from analysis.records.cell_states import CellState
    from analysis.records.seed_values import SeedValues
    from workers.contract.specs import TrainingSpec, TrialSpec
    from workers.datasets.digits import DigitsSpec
    from workers.models.mlp import MLPSpec

    at_minimum = exact.curvatures @ exact.minimum - exact.offsets
    noise = at_minimum.T @ at_minimum / exact.num_train
    eigenvalues, vectors = np.linalg.eigh(exact.hessian)
    shares = np.einsum("ji,jk,ki->i", vectors, noise, vectors)
    draws = np.repeat([0, 1], len(shares))
    spectrum = Spectrum(np.tile(eigenvalues, 2), np.tile(shares, 2), draws)
    traces = {
        "gradient_noise_trace": np.trace(noise),
        "hessian_trace": np.trace(exact.hessian),
        "hessian_noise_trace": np.trace(noise @ exact.hessian),
    }
    trial = {"model": MLPSpec(), "dataset": DigitsSpec()}
    trial |= {name: changes.pop(name) for name in trial if name in changes}
    excursion = {
        "statistic_id": "s",
        "statistic": "fork",
        "learning_rate": exact.learning_rate,
        "sampler": "shuffle" if exact.is_shuffled else "replacement",
        "bn_mode": "frozen",
    }
    return CellConditions(
        cell=Cell("squared_error", exact.batch_size, exact.learning_rate),
        state=CellState(1, 0, 0, 0, exact.num_train, ("e",), exact.learning_rate),
        trial=TrialSpec(
            **trial,
            data_digest="none",
            loss="squared_error",
            training=TrainingSpec(epochs=1, momentum=exact.momentum),
            batch_size=exact.batch_size,
            learning_rate=exact.learning_rate,
            seed=0,
        ),
        trial_ids=dict.fromkeys(SEEDS, "t"),
        excursion=MeasuredExcursion(**excursion | changes),
        inputs={
            name: SeedValues("s", "traces", {0: float(value)}, {0: Uncertain(float(value))})
            for name, value in traces.items()
        },
        spectra=CellSpectra("p", {0: spectrum}, {}),
    )


@pytest.fixture(scope="session")
def predict():
    """Give (excess loss, E‖∇L‖²) of a law for an exact SGD; None for a target it does not speak of."""
    from analysis.predictions import laws

    def make(law, exact, **changes):
        found = {each.target: each.predicted for each in laws()[law](_conditions(exact, **changes))}
        return found.get("excess_loss"), found.get("expected_gradient_norm_squared")

    return make
