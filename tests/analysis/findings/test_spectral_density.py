"""Broadened spectra: area 1, Gaussians at the nodes, mean preserved; what lies above the median of the noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.evidence.noise_spectra import Spectrum
from analysis.findings.spectral_density import broadened, noise_median, spectral_densities
from analysis.records.load import load_sweep


def test_a_single_node_is_a_gaussian():
    """Height 1/(s√2π) at the node, whatever its weight; e^-½ of it one s away."""
    values = broadened(np.array([3.0]), np.array([7.0]), np.array([3.0, 3.5]), 0.5)
    height = 1 / (0.5 * math.sqrt(2 * math.pi))
    assert values == pytest.approx([height, height * math.exp(-0.5)])


def test_area_and_mean_are_those_of_the_quadrature():
    """∫ φ = 1 and ∫ λφ = Σωλ/Σω, by the trapezoid rule over ± 8 s."""
    nodes, weights = np.array([-1.0, 0.5, 4.0]), np.array([1.0, 5.0, 2.0])
    grid = np.linspace(-3, 6, 4001)
    density = broadened(nodes, weights, grid, 0.2)
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-6)
    mean = float(nodes @ weights / weights.sum())
    assert np.trapezoid(grid * density, grid) == pytest.approx(mean, abs=1e-6)


def _spectrum(nodes, weights, num_draws=1):
    """Make draws that are all alike."""
    return Spectrum(
        np.tile(nodes, num_draws),
        np.tile(weights, num_draws),
        np.repeat(np.arange(num_draws), len(nodes)),
    )


@pytest.mark.parametrize("seed", range(5))
def test_shares_above_the_median_are_those_of_a_known_matrix(seed):
    """H of eigenvalues λᵢ in n directions, noise cᵢ along each: sums over those with λᵢ ≥ the median."""
    draw = np.random.default_rng(seed)
    eigenvalues, noises = draw.exponential(size=200) ** 3, draw.exponential(size=200)
    found = noise_median(_spectrum(eigenvalues, noises, 3), _spectrum(eigenvalues, np.ones(200), 3))
    is_above = eigenvalues >= found.eigenvalue
    assert noises[is_above].sum() >= noises.sum() / 2 > noises[eigenvalues > found.eigenvalue].sum()
    assert found.noise.value == pytest.approx(noises[is_above].sum() / noises.sum())
    assert found.directions.value == pytest.approx(is_above.mean())
    assert found.curvature.value == pytest.approx(eigenvalues[is_above].sum() / eigenvalues.sum())
    for share in (found.noise, found.directions, found.curvature):
        assert share.stderr == pytest.approx(0, abs=1e-12)  # draws are alike


def test_a_power_law_is_cut_in_closed_form():
    """λ uniform on [0, 1], c ∝ λ: the median is √½, above it 1 - √½ of directions and ½ of tr H."""
    nodes = (np.arange(20_000) + 0.5) / 20_000
    found = noise_median(_spectrum(nodes, nodes), _spectrum(nodes, np.ones(20_000)))
    cut = math.sqrt(0.5)
    assert (found.eigenvalue, found.noise.value) == pytest.approx(
        (cut, 0.5), abs=1e-4
    )  # one node of 20,000
    assert (found.directions.value, found.curvature.value) == pytest.approx(
        (1 - cut, 0.5), abs=1e-4
    )
    assert math.isnan(found.directions.stderr)  # of one draw


def test_the_median_is_a_node_and_what_is_not_known_is_nan():
    """Equal weights reach the half exactly; without a spectrum of H, or with tr H ≤ 0, its share is not known."""
    noise = _spectrum(np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 0.1))
    bare = noise_median(noise, None)
    assert (bare.eigenvalue, bare.noise.value) == (3.0, pytest.approx(0.5))
    assert math.isnan(bare.directions.value)
    assert math.isnan(bare.curvature.value)
    concave = noise_median(noise, _spectrum(np.array([-9.0, 4.0]), np.ones(2)))
    assert concave.directions.value == 0.5
    assert math.isnan(concave.curvature.value)
    mixed = noise_median(noise, _spectrum(np.array([-1.0, 4.0]), np.ones(2)))
    assert mixed.curvature.value == pytest.approx(4 / 3)  # negative curvature takes a third away


def test_a_cell_has_both_kinds_and_no_spectra_give_nothing(store, forked_sweep, synthetic_sweep):
    """Two cells of three seeds each; the curves cover all nodes."""
    forked_sweep(pairs=[(50, 0.1), (50, 0.2)]).fill()
    found = spectral_densities(load_sweep(store, "toy"))
    assert [each.num_seeds for each in found] == [3, 3]
    for each in found:
        assert 0.5 <= each.median.noise.value < 1
        assert each.median.noise.degrees == 3 * 4 - 1  # seeds times draws
        assert set(each.by_kind) == {"hessian", "noise"}
        area = np.trapezoid(each.by_kind["hessian"], each.eigenvalues)
        assert area == pytest.approx(1.0, abs=1e-3)  # 4 s of the outermost node are within
    synthetic_sweep(name="plain").fill()
    assert spectral_densities(load_sweep(store, "plain")) == []
