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

from workers.contract.records import Measurement
from workers.probes import half_width

NUM_SEEDS = int(os.environ.get("MINIMA_COVERAGE_SEEDS", "40"))
LOW, HIGH = 0.93, 0.97
FULL_STUDY = 2000
ROUNDING = 1e-5
"""Of the whole model's value: float32 networks against float64."""
LEAST_WIDTH = 1e-3
"""Of the whole model's value: narrower intervals are not told from rounding, so they may cover more."""


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

    def coverage(self, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the share of intervals [G] that hold the truth, and which groups it is told of.

        Of the others, whose error is nothing beside the whole model's value, all within rounding hold.
        """
        whole = abs(truth[0])
        is_estimated = np.median(self.half_widths, axis=0) > LEAST_WIDTH * whole
        allowed = np.where(is_estimated, 0.0, ROUNDING * whole)
        hold = np.abs(self.values - truth) <= self.half_widths + allowed
        return hold.mean(axis=0), is_estimated


def faults(shares: np.ndarray, num_seeds: int) -> list[int]:
    """Name the groups whose share of covered seeds is not between 93 % and 97 %."""
    if num_seeds >= FULL_STUDY:
        return [place for place, share in enumerate(shares) if not LOW <= share <= HIGH]
    covered = np.rint(shares * num_seeds)
    too_few = scipy.stats.binom.cdf(covered, num_seeds, LOW) < 1e-4
    too_many = scipy.stats.binom.sf(covered - 1, num_seeds, HIGH) < 1e-4
    return list(np.flatnonzero(too_few | too_many))


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
    num_seeds: int = NUM_SEEDS,
) -> None:
    """Measure with each seed: estimated groups are covered as stated, the others are exact.

    Args:
        measure: Gives the rows of a probe seed.
        truth: Gives the true value of a layer, None for the whole model.
        estimated: The quantities whose whole-model value has an error.
        num_seeds: How many.
    """
    runs = [measure(seed) for seed in range(num_seeds)]
    wrong, found = [], set()
    for key, series in series_of(runs).items():
        assert series.values.shape == (num_seeds, len(series.names))
        shares, is_estimated = series.coverage(np.array([truth(key, n) for n in series.names]))
        _print(key, series, shares, is_estimated)
        if is_estimated[0]:
            found.add(key.quantity)
        wrong += [
            (key, series.names[place], shares[place])
            for place in faults(shares, num_seeds)
            if is_estimated[place]
        ]
        wrong += [
            (key, series.names[place], "not exact")
            for place in _inexact(series, shares, is_estimated)
        ]
    assert found == estimated
    assert not wrong, "\n".join(map(str, wrong))


def _inexact(series: Series, shares: np.ndarray, is_estimated: np.ndarray) -> list[int]:
    least = np.where(series.half_widths.any(axis=0), LOW, 1.0)
    return list(np.flatnonzero(~is_estimated & (shares < least)))


def _print(key: Key, series: Series, shares: np.ndarray, is_estimated: np.ndarray) -> None:
    head = f"{len(series.values)} seeds, {key.quantity}, {key.method}, {key.objective}:"
    if not is_estimated[0]:
        print(head, "exact" if not _inexact(series, shares, is_estimated) else "NOT EXACT")
        return
    table = {
        name: share
        for name, share, told in zip(series.names, shares, is_estimated, strict=True)
        if told
    }
    of_layers = [share for name, share in table.items() if name] or [np.nan]
    print(f"{head} whole {shares[0]:.4f}, layers {min(of_layers):.4f}-{max(of_layers):.4f}")
    print("   ", {name: round(float(share), 4) for name, share in table.items() if name})


@dataclass
class Forgetful:
    """Saves nothing, so that every measurement starts anew."""

    def restore(self, key):
        return None

    def advance(self, key, partial, done, total):
        pass


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
    faults: Callable[..., list[int]] = faults
    series: type[Series] = Series
    partials: type[Forgetful] = Forgetful
    truth_of: Callable[..., Callable[[Key, str | None], float]] = truth_of

    def build_once(self, module: ModuleType, *names: str) -> None:
        """Make a module's builders give what they built first: what they build does not depend on seeds."""
        for name in names:
            self.monkeypatch.setattr(module, name, _remembering(getattr(module, name)))


@pytest.fixture
def coverage(monkeypatch) -> Coverage:
    return Coverage(monkeypatch)
