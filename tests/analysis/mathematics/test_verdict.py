from __future__ import annotations

import math

import pytest

from analysis.mathematics.verdict import judge, told

BOUND = math.log1p(0.1)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-BOUND, BOUND, "holds"),
        (0.01, 0.02, "holds"),
        (-0.2, 0.05, "undecided"),
        (-1.0, 1.0, "undecided"),
        (BOUND, 1.0, "undecided"),
        (0.1, 0.3, "fails"),
        (-0.3, -0.1, "fails"),
        (None, 0.1, None),
        (0.1, None, None),
    ],
)
def test_the_interval_decides(low, high, verdict):
    """Inside ± ln 1.1 a law holds, wholly outside it fails, and a wide interval is no support."""
    assert judge(low, high) == verdict


def test_the_margin_can_be_chosen():
    """Within a factor of 2 an interval up to 0.6 holds."""
    assert (judge(0.0, 0.6, margin=1.0), judge(0.0, 0.6)) == ("holds", "undecided")


@pytest.mark.parametrize("verdict", ["holds", "fails", "undecided", None])
def test_a_law_holds_only_where_its_assumptions_are_met(verdict):
    """Elsewhere it agrees; that it fails, or that nothing is known, is told all the same."""
    assert told(verdict, is_valid=True) == verdict
    assert told(verdict, is_valid=False) == ("agrees" if verdict == "holds" else verdict)
