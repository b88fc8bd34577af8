"""Broadened spectra: area 1, Gaussians at the nodes, mean preserved."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.findings.spectral_density import broadened, spectral_densities
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


def test_a_cell_has_both_kinds_and_no_spectra_give_nothing(store, forked_sweep, synthetic_sweep):
    """Two cells of three seeds each; the curves cover all nodes."""
    forked_sweep(pairs=[(50, 0.1), (50, 0.2)]).fill()
    found = spectral_densities(load_sweep(store, "toy"))
    assert [each.num_seeds for each in found] == [3, 3]
    for each in found:
        assert set(each.by_kind) == {"hessian", "noise"}
        area = np.trapezoid(each.by_kind["hessian"], each.eigenvalues)
        assert area == pytest.approx(1.0, abs=1e-3)  # 4 s of the outermost node are within
    synthetic_sweep(name="plain").fill()
    assert spectral_densities(load_sweep(store, "plain")) == []
