"""Intervals cover what they say: 95 % of seeds, for every estimate, of the whole model and each layer.

On the small network with every kind of layer, against a dense float64 reference. The number of
seeds is that of `MINIMA_COVERAGE_SEEDS`; with the 2,000 of a full study the share must be within
93-97 %, with fewer it must not contradict that (exact binomial limits at 10⁻⁴ on each side).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from workers.batch_norm import copy_network
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import dissect
from workers.per_example.vectors import CompiledVectors
from workers.probes import StoppingRule, half_width, mean_of_probes
from workers.resident import make_resident
from workers.risk import Risk
from workers.statistics.example_norms import measure_norms
from workers.statistics.groups import Groups
from workers.statistics.noise_probes import NoiseProbes, compile_shares
from workers.statistics.passes import Passes
from workers.statistics.trace_passes import NormsPass

pytestmark = pytest.mark.slow

NUM_SEEDS = int(os.environ.get("MINIMA_COVERAGE_SEEDS", "100"))
LOW, HIGH = 0.93, 0.97
FULL_STUDY = 2000
ROUNDING = 1e-5
"""Of the whole model's value: float32 networks against float64."""


class Interval(NamedTuple):
    """One measurement of every group [G]: values, half-widths of their 95 % intervals."""

    value: np.ndarray
    half_width: np.ndarray


def student(value, stderr, num_samples) -> Interval:
    """Give the interval that a record's columns state."""
    return Interval(value, np.array([half_width(each, num_samples) for each in stderr]))


def coverage(intervals: Iterable[Interval], truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the share of intervals [G] that hold the truth, and whether the group is estimated at all."""
    values, widths = (np.array(each) for each in zip(*intervals, strict=True))
    rounding = ROUNDING * abs(truth[0])
    is_estimated = widths.max(axis=0) > rounding
    return (np.abs(values - truth) <= widths + rounding).mean(axis=0), is_estimated


def faults(shares: np.ndarray, num_seeds: int) -> list[int]:
    """Name the groups whose share of covered seeds is not between 93 % and 97 %."""
    if num_seeds >= FULL_STUDY:
        return [place for place, share in enumerate(shares) if not LOW <= share <= HIGH]
    covered = np.rint(shares * num_seeds)
    too_few = scipy.stats.binom.cdf(covered, num_seeds, LOW) < 1e-4
    too_many = scipy.stats.binom.sf(covered - 1, num_seeds, HIGH) < 1e-4
    return list(np.flatnonzero(too_few | too_many))


def assert_covers(intervals: Iterable[Interval], truth: np.ndarray, names: list) -> None:
    """Estimated groups are covered as stated; the others are exact."""
    intervals = list(intervals)
    shares, is_estimated = coverage(intervals, truth)
    table = dict(zip(names, zip(shares, is_estimated, strict=True), strict=True))
    print(len(intervals), "seeds:", {name: f"{share:.3f}" for name, (share, _) in table.items()})
    wrong = [names[place] for place in faults(shares, len(intervals)) if is_estimated[place]]
    assert not wrong, table
    assert (shares[~is_estimated] == 1).all(), table
    assert is_estimated[0]


@dataclass
class Forgetful:
    """Saves nothing, so that a pass can be run again."""

    def restore(self, key):
        return None

    def advance(self, key, partial, done, total):
        pass


@dataclass
class Study:
    """The small network made ready, and its dense reference."""

    case: object
    reference: object

    def __post_init__(self):
        self.network = copy_network(self.case.model)
        self.dissection = dissect(self.network)
        self.groups = Groups(self.dissection.parameters)
        self.loss = self.case.context.loss
        self.train = make_resident(self.case.dataset.train, self.case.dataset)
        self.passes = Passes(Forgetful(), len(self.train))
        variables = [each.variable for each in self.groups.parameters]
        self.risk = Risk(self.network, self.loss, variables)

    def truth(self, quantity: str) -> np.ndarray:
        return np.array([self.reference.value(quantity, layer) for layer in self.groups.names])

    def noise_probes(self) -> NoiseProbes:
        compiled = CompiledNorms(self.dissection, self.loss, 1)
        norms = measure_norms("train", compiled, self.train, self.passes, 0)
        vectors = CompiledVectors(self.dissection, self.loss)
        return NoiseProbes(
            norms, vectors, self.risk, self.groups, self.train, compile_shares(self.groups), 0
        )


@pytest.fixture(scope="module")
def study(tools) -> Study:
    case = tools.make_case("kld", num_train=200)
    return Study(case, tools.dense_reference(case))


def by_probes(
    measure: Callable[[int, int], np.ndarray], rule: StoppingRule, num_seeds: int = NUM_SEEDS
) -> Iterable[Interval]:
    """Measure with each seed: probes by number until the rule is met."""
    for seed in range(num_seeds):
        values = [measure(seed, 0)]
        while not rule.is_met(np.array(values)[:, 0]):
            values.append(measure(seed, len(values)))
        yield student(*mean_of_probes(np.array(values)), len(values))


FIXED = StoppingRule(num_probes=32, until=None, max_probes=32)


def test_sampled_pairs_cover_the_noise_curvature(study):
    """tr(σ²H) by the least number of probes."""
    probes = study.noise_probes()
    measured = by_probes(lambda seed, n: replace(probes, probe_seed=seed).measure(n), FIXED)
    assert_covers(measured, study.truth("hessian_noise_trace"), study.groups.names)


def test_sampled_pairs_cover_after_stopping_at_a_width(study):
    """The interval that was narrow enough to stop at is not too narrow."""
    probes = study.noise_probes()
    pilot = np.array([probes.measure(number) for number in range(200)])[:, 0]
    spread = pilot.std() / pilot.mean()
    rule = StoppingRule(num_probes=32, until=1.96 * spread / np.sqrt(64), max_probes=256)
    measured = by_probes(lambda seed, n: replace(probes, probe_seed=seed).measure(n), rule)
    assert_covers(measured, study.truth("hessian_noise_trace"), study.groups.names)


@pytest.mark.parametrize("num_replicates", [200, 100])
def test_columns_cover_the_hessian_trace(study, num_replicates):
    """Tr H by one column an example and second ones for all or half of them."""
    norms = CompiledNorms(study.dissection, study.loss, 1)

    def measure(seed):
        one = NormsPass("train", norms, study.groups, study.train, seed)
        found = one.replicate(study.passes, one.run(study.passes, num_replicates))
        return student(*found, len(study.train))

    measured = (measure(seed) for seed in range(NUM_SEEDS))
    assert_covers(measured, study.truth("hessian_trace"), study.groups.names)


def test_the_spread_between_examples_is_no_error_bar(study):
    """Put in the place of the columns' own, it covers far more than it says, and the check tells."""
    norms = CompiledNorms(study.dissection, study.loss, 1)
    num_examples = len(study.train)
    places = tf.range(num_examples)
    truth = study.truth("hessian_trace")

    def measure(seed):
        one = NormsPass("train", norms, study.groups, study.train, seed)
        curvatures = study.groups.sums(one._measure(places.numpy(), 0).curvatures)
        spread = curvatures.std(axis=0, ddof=1) / np.sqrt(num_examples)
        return student(curvatures.mean(axis=0), spread, num_examples)

    shares, _ = coverage([measure(seed) for seed in range(400)], truth)
    assert 0 in faults(shares, 400)


def test_gradients_and_curvature_of_the_same_examples_are_caught(study):
    """gᵀH_Bg with both from one batch is biased: its intervals miss the truth."""
    probes = study.noise_probes()
    truth = study.truth("hessian_noise_trace")

    def measure(seed, number):
        generator = np.random.default_rng([seed, number])
        places = generator.choice(len(study.train), 32)
        noise = probes._noise_factor(places)
        signs = generator.choice([-1.0, 1.0], 32)
        vector = (signs @ noise.numpy()).astype(np.float64)
        batch = study.train.batch(tf.constant(places))
        product = study.risk.batch_hessian_vector_product(*batch, vector) / 32
        return study.groups.inner_products(vector, product)

    uniform = np.full(len(study.train), 1 / len(study.train))
    probes.__dict__["_gradient_chances"] = uniform
    shares, _ = coverage(by_probes(measure, FIXED, 100), truth)
    assert 0 in faults(shares, 100)
