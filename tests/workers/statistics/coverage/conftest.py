"""Tools of the coverage studies: intervals of a statistic's rows over many seeds, held against the truth.

The number of seeds is that of `MINIMA_COVERAGE_SEEDS`; with the 2,000 of a full study the share of
intervals that hold the truth must be within 93-97 %, with fewer it must not contradict that (exact
binomial limits at 10⁻⁴ on each side).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats
from threadpoolctl import threadpool_limits

from workers.contract.records import Measurement
from workers.numerics.probes import half_width

NUM_SEEDS = int(os.environ.get("MINIMA_COVERAGE_SEEDS", "50"))
LOW, HIGH = 0.93, 0.97
FULL_STUDY, UNLIKELY = 2000, 1e-4
ROUNDING = 1e-5
"""Of the whole model's value: float32 networks against float64."""
TOLD_APART = 100
"""Intervals wider than so many times the rounding must not cover too much either."""


class Key(NamedTuple):
    """What rows of one series of layers have in common."""

    quantity: str
    method: str
    objective: str


class Series(NamedTuple):
    """One quantity over seeds S and groups G: values and half-widths of the 95 % intervals [S, G]."""

    names: list[str | None]
    values: np.ndarray
    half_widths: np.ndarray

    def coverage(self, truth: np.ndarray, rounding: float = ROUNDING) -> np.ndarray:
        """Give the share of intervals [G] that hold the truth, those that rounding matters to made wider."""
        allowed = np.where(self.is_wide(truth, rounding), 0.0, rounding * abs(truth[0]))
        return (np.abs(self.values - truth) <= self.half_widths + allowed).mean(axis=0)

    def is_wide(self, truth: np.ndarray, rounding: float) -> np.ndarray:
        """Say which groups [G] have errors beside which rounding is nothing."""
        least = TOLD_APART * rounding * abs(truth[0])
        return np.asarray(np.median(self.half_widths, axis=0) > least)

    def faults(self, truth: np.ndarray, rounding: float = ROUNDING) -> list[int]:
        """Name the groups that are covered less than 93 %, or more than 97 %, or exact and wrong."""
        shares, num_seeds = self.coverage(truth, rounding), len(self.values)
        covered = np.rint(shares * num_seeds)
        if num_seeds >= FULL_STUDY:
            is_low, is_high = shares < LOW, shares > HIGH
        else:
            is_low = scipy.stats.binom.cdf(covered, num_seeds, LOW) < UNLIKELY
            is_high = scipy.stats.binom.sf(covered - 1, num_seeds, HIGH) < UNLIKELY
        is_exact = ~self.half_widths.any(axis=0)
        is_wrong = is_low | (is_high & self.is_wide(truth, rounding))
        return list(np.flatnonzero(np.where(is_exact, shares < 1, is_wrong)))


def series_of(runs: list[list[Measurement]]) -> dict[Key, Series]:
    """Sort the rows of all seeds; the interval is what a record's columns state."""
    found: dict[Key, dict[str | None, list[tuple[float, float]]]] = defaultdict(dict)
    for rows in runs:
        for row in rows:
            if isinstance(row, Measurement) and row.stderr is not None and row.index is None:
                key = Key(row.quantity, row.method, row.objective)
                interval = (row.value, half_width(row.stderr, row.num_samples))
                found[key].setdefault(row.layer, []).append(interval)
    return {
        key: Series(list(layers), *np.array(list(layers.values())).transpose(2, 1, 0))
        for key, layers in found.items()
    }


def assert_covers(
    measure: Callable[[int], list[Measurement]],
    truth: Callable[[Key, str | None], float],
    estimated: set[str],
    *,
    rounding: float = ROUNDING,
) -> None:
    """Measure with each seed: estimated groups are covered as stated, the others are exact.

    Args:
        measure: Gives the rows of a probe seed.
        truth: Gives the true value of a layer, None for the whole model.
        estimated: The quantities whose whole-model value has an error.
        rounding: Of the whole model's value.
    """
    runs = [measure(seed) for seed in range(NUM_SEEDS)]
    wrong, found = [], set()
    for key, series in series_of(runs).items():
        assert series.values.shape == (NUM_SEEDS, len(series.names))
        true_values = np.array([truth(key, name) for name in series.names])
        shares = series.coverage(true_values, rounding)
        is_wide = series.is_wide(true_values, rounding)
        _print(key, series, shares, is_wide)
        found |= {key.quantity} if is_wide[0] else set()
        wrong += [
            (key, series.names[place], shares[place])
            for place in series.faults(true_values, rounding)
        ]
    assert found == estimated
    assert not wrong, "\n".join(map(str, wrong))


def _print(key: Key, series: Series, shares: np.ndarray, is_wide: np.ndarray) -> None:
    head = f"{len(series.values)} seeds, {key.quantity}, {key.method}, {key.objective}:"
    if not series.half_widths.any():
        print(head, f"exact in {shares.min():.0%}")
        return
    table = dict(zip(series.names, shares, strict=True))
    of_layers = [table[name] for name in table if name and is_wide[series.names.index(name)]]
    extremes = f", layers {min(of_layers):.4f}-{max(of_layers):.4f}" if of_layers else ""
    print(f"{head} whole {shares[0]:.4f}{extremes}")
    print("   ", {name: round(float(share), 4) for name, share in table.items() if name})


@pytest.fixture(autouse=True)
def _one_thread_of_blas():
    """Keep small products from waiting for each other's threads on a busy machine."""
    with threadpool_limits(1):
        yield


@dataclass
class Forgetful:
    """Saves nothing, so that every measurement starts anew."""

    def restore(self, key):
        return None

    def advance(self, key, partial, done, total):
        pass


def until_about(
    num_probes: int, measure: Callable[..., list[Measurement]], quantity: str, *, least: int
) -> dict[str, float]:
    """Give settings that stop at about so many probes: at the width a first measurement had there."""
    row = next(
        row
        for row in measure(10**6, num_probes=num_probes)
        if (row.quantity, row.layer, row.objective) == (quantity, None, "data")
    )
    until = half_width(row.stderr, row.num_samples) / row.value
    settings = {"num_probes": least, "until": until, "max_probes": 4 * num_probes}
    taken = {measure(seed, **settings)[0].num_samples for seed in range(10)}
    assert len(taken) > 1, taken
    return settings


def _remembering(build: Callable[..., object]) -> Callable[..., object]:
    built: list[object] = []

    def remembered(*args: object, **kwargs: object) -> object:
        if not built:
            built.append(build(*args, **kwargs))
        return built[0]

    return remembered


class Dense(NamedTuple):
    """The network with every kind of layer in float32, and its dense float64 reference."""

    case: object
    reference: object


def _dense(tools, activation: str) -> Dense:
    case = tools.make_case("kld", activation=activation, num_train=60)
    case.partials = Forgetful()
    return Dense(case, tools.dense_reference(case))


@pytest.fixture(scope="session")
def dense(tools):
    return _dense(tools, "relu")


@pytest.fixture(scope="session")
def dense_smooth(tools):
    return _dense(tools, "tanh")


@pytest.fixture
def truth(dense, tools):
    return truth_of(dense.reference, tools.weight_decay)


def truth_of(reference, weight_decay):
    """Give a function of a key and a layer: the dense value."""

    def value(key, layer):
        decay = weight_decay if key.objective == "total" else 0.0
        if key.quantity == "simple_noise_scale":
            return value(key._replace(quantity="gradient_noise_trace"), layer) / value(
                key._replace(quantity="gradient_norm_squared"), layer
            )
        if key.quantity == "noise_scale":
            return value(key._replace(quantity="hessian_noise_trace"), layer) / value(
                key._replace(quantity="gradient_curvature"), layer
            )
        return reference.value(key.quantity, layer, decay)

    return value


@dataclass(frozen=True)
class Coverage:
    """The functions above, and a way to compile once for all seeds."""

    monkeypatch: pytest.MonkeyPatch
    assert_covers: Callable[..., None] = assert_covers
    series: type[Series] = Series
    partials: type[Forgetful] = Forgetful
    until_about: Callable[..., dict[str, float]] = until_about
    truth_of: Callable[..., Callable[[Key, str | None], float]] = truth_of

    def put_in_place(self, module: ModuleType, **stand_ins: object) -> None:
        """Make a module's builders give stand-ins."""
        for name, stand_in in stand_ins.items():
            self.monkeypatch.setattr(module, name, lambda *_, _it=stand_in, **__: _it)

    def build_once(self, module: ModuleType, *names: str) -> None:
        """Make a module's builders give what they built first: what they build does not depend on seeds."""
        for name in names:
            self.monkeypatch.setattr(module, name, _remembering(getattr(module, name)))


@pytest.fixture
def coverage(monkeypatch) -> Coverage:
    return Coverage(monkeypatch)
