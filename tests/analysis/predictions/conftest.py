"""Conditions of a cell, made by hand: whatever a test does not set is harmless."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import MeasuredExcursion
from analysis.evidence.noise_spectra import CellSpectra, Spectrum
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.records.cell_states import CellState
from analysis.records.seed_values import SeedValues
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.datasets.cifar10 import Cifar10Spec
from workers.models.resnet import ResNetSpec

BATCH_SIZE, NUM_TRAIN, LEARNING_RATE = 50, 1000, 0.001


def _spectrum(*draws):
    """Make a spectrum of draws, each a list of (λ, ω)."""
    nodes, weights, numbers = [], [], []
    for number, draw in enumerate(draws):
        for node, weight in draw:
            nodes.append(node)
            weights.append(weight)
            numbers.append(number)
    return Spectrum(np.array(nodes, float), np.array(weights, float), np.array(numbers))


def _exact(statistic="traces", statistic_id="s1", **by_seed):
    values = {int(seed.removeprefix("seed")): value for seed, value in by_seed.items()}
    errors = {seed: Uncertain(value) for seed, value in values.items()}
    return SeedValues(statistic_id, statistic, values, errors)


def _conditions(
    *, inputs=None, num_diverged=0, loss="kld", momentum=0.0, weight_decay=1e-3, noise=None,
    hessian=None, model=None, dataset=None, num_train=NUM_TRAIN, batch_size=BATCH_SIZE,
    seeds=(0, 1), additivity=None, **excursion,
):  # fmt: skip
    trial = TrialSpec(
        model=model or ResNetSpec(depth=8),
        dataset=dataset or Cifar10Spec(),
        data_digest="digest",
        loss=loss,
        training=TrainingSpec(epochs=1, momentum=momentum, weight_decay=weight_decay),
        batch_size=batch_size,
        learning_rate=0.1,
        seed=0,
    )
    given = {
        "statistic_id": None,
        "statistic": None,
        "learning_rate": LEARNING_RATE,
        "sampler": "replacement",
        "bn_mode": "frozen",
    }
    return CellConditions(
        cell=Cell(loss, batch_size, 0.1),
        state=CellState(len(seeds), 0, 0, num_diverged, num_train, ("e",), 0.001),
        trial=trial,
        trial_ids={seed: f"t{seed}" for seed in seeds},
        excursion=MeasuredExcursion(**given | excursion),
        inputs=inputs or {},
        spectra=None if noise is None else CellSpectra("s2", noise, hessian or {}),
        additivity=additivity,
    )


@pytest.fixture(scope="session")
def make_conditions():
    """Make conditions; by default η = 0.001, m = 50, N = 1000, a stationary run, seeds 0 and 1."""
    return _conditions


@pytest.fixture(scope="session")
def make_spectrum():
    """Make a spectrum of draws, each a list of (λ, ω)."""
    return _spectrum


@pytest.fixture(scope="session")
def exact():
    """Make exactly measured values, one a keyword: seed0, seed1 and so on."""
    return _exact
