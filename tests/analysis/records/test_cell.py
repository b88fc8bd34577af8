"""Cells in the order of BS/LR, and how that is written."""

from __future__ import annotations

import pytest

from analysis.records.cell import Cell, ratio_places, ratio_texts
from analysis.text.number import Number


def _cells(pairs):
    return [Cell("kld", size, rate) for size, rate in pairs]


@pytest.mark.parametrize(
    ("pairs", "texts"),
    [
        ([(16, 0.3), (32, 0.3), (200, 0.16)], ["53.3", "107", "1250"]),
        ([(100, 0.08), (25, 0.01)], ["1250", "2500"]),
        ([(1, 200.0)], ["5.00×10⁻³"]),
        ([(32, 0.3), (32, 0.2995)], ["106.7", "106.8"]),  # 107 both
        ([(32, 0.3), (107, 1.0), (16, 0.3)], ["106.7", "107", "53.33"]),
        ([(100, 0.2), (350, 0.7)], ["500", "500"]),  # the last bit differs
        ([(10_000_001, 1.0), (10_000_002, 1.0)], ["10000001", "10000002"]),
    ],
)
def test_ratios_have_three_digits_or_as_many_as_tell_them_apart(pairs, texts):
    """53.3 and not 53.3333; more where two cells would read alike, but for rounding of the quotient."""
    cells = _cells(pairs)
    found = ratio_texts(cells)
    assert [found[cell] for cell in cells] == texts
    assert all(isinstance(text, Number) for text in found.values())


def test_equal_ratios_have_one_place():
    """From 0 upward, in whatever order cells are given; no cells have none."""
    cells = _cells([(200, 0.1), (100, 0.2), (350, 0.7), (100, 0.1)])
    assert [ratio_places(cells)[cell] for cell in cells] == [2, 0, 0, 1]
    assert ratio_places([]) == ratio_texts([]) == {}
