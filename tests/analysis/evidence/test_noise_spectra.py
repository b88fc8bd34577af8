from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.evidence.noise_spectra import NoiseSpectrum, Spectrum, total_spectra
from analysis.mathematics.uncertain import Uncertain
from analysis.records.load import load_sweep
from workers.contract.identity import statistic_id, trial_id
from workers.contract.records import SpectrumNode, spectrum_table
from workers.statistics.spectrum import SpectrumSpec


def _spectrum(*draws):
    nodes = np.array([node for draw in draws for node, _ in draw])
    weights = np.array([weight for draw in draws for _, weight in draw])
    numbers = np.repeat(np.arange(len(draws)), [len(draw) for draw in draws])
    return Spectrum(nodes, weights, numbers)


TWO_DRAWS = _spectrum([(1.0, 2.0), (3.0, 2.0)], [(2.0, 8.0)])
"""Masses 4 and 8, first moments 8 and 16."""


def test_an_integral_is_the_mean_over_draws():
    """∫λ dμ from 8 and 16: 12 ± 4, one degree of freedom."""
    found = TWO_DRAWS.integral(TWO_DRAWS.nodes)
    assert (found.value, found.stderr, found.degrees) == (12, pytest.approx(4), 1)


def test_a_share_has_no_error_where_only_the_mass_varies():
    """Both draws have the mean 2; that their masses differ is no matter."""
    found = TWO_DRAWS.share(TWO_DRAWS.nodes)
    assert (found.value, found.stderr) == (2, pytest.approx(0, abs=1e-15))


def test_the_mass_measured_apart_replaces_that_of_the_draws():
    """A tr σ² of 5 ± 0.1 makes ∫λ dμ = 10 ± 0.2, instead of 12 ± 4."""
    found = NoiseSpectrum(TWO_DRAWS, Uncertain(5.0, 0.1, 50)).integral(TWO_DRAWS.nodes)
    assert (found.value, found.stderr, found.degrees) == (10, pytest.approx(0.2), pytest.approx(50))
    alone = NoiseSpectrum(TWO_DRAWS, None).integral(TWO_DRAWS.nodes)
    assert (alone.value, alone.stderr) == (12, pytest.approx(4))


def test_one_draw_has_no_error():
    """NaN is not 0."""
    found = NoiseSpectrum(_spectrum([(2.0, 3.0)]), Uncertain(7.0)).integral(np.array([2.0]))
    assert found.value == 14
    assert math.isnan(found.stderr)
    assert found.interval().low is None


def test_the_error_over_draws_is_their_spread():
    """Noise vectors of a random σ² and H: over 400 estimates of 8 draws, the error said is the error.

    w = σz with z standard normal; a draw's measure has the nodes λᵢ and weights (uᵢᵀw)².
    """
    generator = np.random.default_rng(2)
    curvature, noise = np.geomspace(0.01, 100, 50), np.geomspace(0.01, 10, 50)
    truth, values = float(noise @ (1 / (1 + curvature))), 1 / (1 + curvature)
    found = []
    for _ in range(400):
        weights = noise * generator.standard_normal((8, 50)) ** 2
        draws = _spectrum(*(list(zip(curvature, row, strict=True)) for row in weights))
        spectrum = NoiseSpectrum(draws, Uncertain(float(noise.sum())))
        found.append(spectrum.integral(np.tile(values, 8)))
    errors = np.array([each.value - truth for each in found])
    covered = [each.interval().low <= truth <= each.interval().high for each in found]
    # The spread of 400 errors is known to 4 %, the coverage to 1 %.
    assert np.mean([each.stderr for each in found]) == pytest.approx(errors.std(), rel=0.12)
    assert abs(errors.mean()) < errors.std() / 4
    assert np.mean(covered) > 0.92


@pytest.fixture
def spectra_of(store, synthetic_sweep):
    """Commit one noise draw per spectrum for one trial; give what serves as the total one."""

    def make(*specs, weight_decay):
        sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[4], weight_decay=weight_decay)
        sweep.statistics += specs
        sweep.plan()
        (trial,) = sweep.trials()
        for place, spec in enumerate(specs):
            key = (trial_id(trial), statistic_id(spec))
            nodes = [SpectrumNode(kind="noise", draw=0, node=float(place), weight=1.0)]
            store.commit("spectra", key, "a", spectrum_table(*key, nodes))
        data = load_sweep(store, "toy")
        return total_spectra(data, data.spectra, weight_decay=weight_decay)

    return make


def test_the_total_objective_is_taken(spectra_of):
    """The data objective serves only where no weight decays; else the first listed total one."""
    data, total = SpectrumSpec(objective="data"), SpectrumSpec(objective="total")
    found = spectra_of(data, total, weight_decay=0.1)
    assert found.statistic_id == statistic_id(total)
    assert found.noise[4].nodes.tolist() == [1.0]
    assert found.hessian == {}


def test_without_weight_decay_both_objectives_are_one(spectra_of):
    """The first listed counts."""
    data, total = SpectrumSpec(objective="data"), SpectrumSpec(objective="total")
    assert spectra_of(data, total, weight_decay=0.0).statistic_id == statistic_id(data)


@pytest.mark.parametrize(
    "spec",
    [
        SpectrumSpec(objective="data"),
        SpectrumSpec(objective="total", splits=["test"]),
        SpectrumSpec(objective="total", bn_mode="moving_average"),
    ],
)
def test_other_spectra_are_not_for_the_laws(spectra_of, spec):
    """Another objective, split or mode is another network's noise."""
    assert spectra_of(spec, weight_decay=0.1) is None


def test_draws_are_told_apart_by_their_number(store, synthetic_sweep):
    """Draw numbers need not begin at 0 nor be without gaps."""
    rows = pd.DataFrame({"node": [1.0, 2.0], "weight": [1.0, 3.0], "draw": [5, 2], "kind": "noise"})
    rows = rows.assign(seed=0, statistic_id=statistic_id(SpectrumSpec(objective="total")))
    sweep = synthetic_sweep()
    sweep.statistics.append(SpectrumSpec(objective="total"))
    sweep.plan()
    found = total_spectra(load_sweep(store, "toy"), rows, weight_decay=0.1)
    assert found.noise[0].num_draws == 2
    assert found.noise[0].integral(found.noise[0].nodes).value == pytest.approx((1 + 6) / 2)
