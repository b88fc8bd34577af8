"""Medians, quartiles and ratios against closed forms."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from layer_rates import Primitives, primitives_of
from rates import Rates, fastest, rates_of, ratios


def test_rounds_are_summed_up_by_median_and_quartiles():
    """Of 1 … 5: 2, 3 and 4; of a single round all are that round."""
    assert rates_of([5.0, 1.0, 4.0, 2.0, 3.0]) == Rates(3.0, 2.0, 4.0)
    assert rates_of([7.0]) == Rates(7.0, 7.0, 7.0)


def test_a_slow_moment_strikes_both_sides_of_a_ratio():
    """Rates that halve together in a round have the same ratio in it."""
    rounds = {"minima": [100.0, 50.0, 100.0], "torch": [200.0, 100.0, 200.0]}
    assert ratios(rounds, "minima", "torch") == Rates(0.5, 0.5, 0.5)


def test_the_fastest_is_that_of_its_kind():
    """By the median; none where there is no such contender."""
    rounds = {"minima": [9.0], "torch": [1.0, 9.0, 1.0], "torch-compiled": [2.0, 2.0, 2.0]}
    assert fastest(rounds, "torch") == "torch-compiled"
    assert fastest(rounds, "keras") is None


def test_what_a_library_says_of_a_convolution_is_summed_up_by_its_shape():
    """2 · 100 · 16 · 32 · 16² · 3² flops in 2 ms, twice in two steps; other kinds by their time alone."""
    said = "onednn_verbose,v1,primitive,exec,cpu,{},jit,{},data,,alg,{},{}"
    shape = "mb100_ic16oc32_ih32oh16kh3sh2dh0ph0_iw32ow16kw3sw2dw0pw0"
    lines = [
        "Something else, exec",
        said.format("convolution", "backward_data", shape, 2.0),
        said.format("convolution", "backward_data", shape, 2.0),
        said.format("reorder", "undef", "16x32", 0.5),
    ]
    convolution, reorder = primitives_of(lines, num_steps=2)
    assert convolution.what == "convolution backward_data 16 → 32, 16 × 16, 3 × 3"
    assert (convolution.number, convolution.milliseconds) == (1.0, 2.0)
    assert convolution.gflops == pytest.approx(2 * 100 * 16 * 32 * 256 * 9 / 2e-3 / 1e9)
    assert reorder == Primitives("reorder undef", 0.5, 0.25, None)
