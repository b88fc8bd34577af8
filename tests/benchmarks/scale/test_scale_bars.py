"""Exponents and verdicts against closed forms."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scale_bars import PEER_SECONDS, Bar, Growth, Point, growth, growth_bar, size_bars, slowness

SIZES = (5, 1_000, 10_000)


def of(cost, spread=0.0):
    return growth(*(Point(size, cost(size), spread) for size in SIZES))


def test_a_cost_in_proportion_to_the_records_has_exponent_one():
    """Whatever starting costs: the differences are b(n₁ - n₀) and b(n₂ - n₀), exact up to rounding."""
    for start in (0.0, 1.0, 50.0):
        assert of(lambda n, start=start: start + 0.02 * n).exponent == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("power", [0.5, 1.1, 2.0])
def test_the_power_of_a_cost_is_its_exponent(power):
    """Up to the single cell's own share of the cost, below (5/1000)^½ = 7 %, which is 0.03 in e."""
    found = of(lambda n: 1.0 + n**power)
    assert found.exponent == pytest.approx(power, abs=0.03)
    assert found.least < found.exponent < found.most


def test_the_range_is_that_of_both_differences_off_by_their_noise():
    """Costs 0, 1 and 10 with a spread of 0.1: differences 1 and 10, each off by √2·0.1; 5 % of 10 is 0.5."""
    found = growth(Point(0, 0.0, 0.1), Point(10, 1.0, 0.1), Point(100, 10.0, 0.1))
    small, large = math.hypot(0.1, 0.1), math.hypot(0.1, 0.5)
    assert found.exponent == pytest.approx(1.0)
    assert found.least == pytest.approx(math.log10((10 - large) / (1 + small)))
    assert found.most == pytest.approx(math.log10((10 + large) / (1 - small)))


def test_what_does_not_grow_has_exponent_zero():
    """Start-up alone, 4 % slower on the largest store, is within its noise."""
    assert growth(Point(5, 1.0), Point(1_000, 1.0), Point(10_000, 1.04)) == Growth(
        0.0, -math.inf, 1.0
    )


def test_a_growth_hidden_by_start_up_is_not_told():
    """The small store costs what the single cell does: at least so steep, how steep is not known."""
    found = growth(Point(5, 1.0), Point(1_000, 1.01), Point(10_000, 3.0))
    assert found.exponent is None
    assert 1.2 < found.least < found.most == math.inf


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Growth(1.05, 0.9, 1.2), "holds"),
        (Growth(1.3, 1.0, 1.6), "undecided"),
        (Growth(1.3, 1.2, 1.4), "fails"),
        (Growth(None, 0.4, math.inf), "undecided"),
        (Growth(None, 1.2, math.inf), "fails"),
    ],
)
def test_an_exponent_fails_where_noise_cannot_be_why(found, says):
    """And one that is not known is told by the least it can be."""
    value = found.least if found.exponent is None else found.exponent
    assert growth_bar("status", found) == Bar("status: exponent of CPU", value, 1.05, says)


def test_bars_are_of_ten_thousand_trials_and_grow_with_them():
    """Below that there are none; a command without a bar of its own has that of memory."""
    assert size_bars("query", 1_000, 99.0, 9e9) == []
    at = "query at 10,000 trials"
    assert size_bars("query", 10_000, 1.5, 1.6e9) == [
        Bar(f"{at}: CPU seconds", 1.5, 1.5, "holds"),
        Bar(f"{at}: peak memory, bytes", 1.6e9, 1.5e9, "fails"),
    ]
    assert size_bars("plan", 100_000, 999.0, 1.4e10) == [
        Bar("plan at 100,000 trials: peak memory, bytes", 1.4e10, 1.5e10, "holds")
    ]


def test_the_peers_tell_how_much_slower_a_processor_is():
    """By the sum of their times over the recorded one; other programs do not count."""
    twice = {name: 2 * seconds for name, seconds in PEER_SECONDS.items()}
    assert slowness(twice | {"mlflow": 1e9}) == pytest.approx(2.0)


@pytest.mark.parametrize("peers", [{}, {"duckdb": 9.0}, {"duckdb": 0.1, "pandas": 0.1}])
def test_times_are_judged_as_measured_where_the_processor_is_not_known_to_be_slower(peers):
    """Without both peers nothing is known; on a faster processor the bars get no stricter."""
    assert slowness(peers) == 1.0
    assert "measured" not in size_bars("status", 10_000, 2.1, 0.0, slowness(peers))[0].text


def test_on_a_slower_processor_time_is_judged_over_its_slowness_and_memory_as_it_is():
    """3 s on one that is twice as slow are 1.5 s; both figures are told, and both verdicts."""
    time, memory = size_bars("status", 10_000, 3.0, 1.6e9, 2.0)
    assert time.text == (
        "holds: status at 10,000 trials: CPU seconds on the processor of the bars: 1.5, at most 2"
        " (as measured: fails, 3)"
    )
    assert (
        memory.text
        == "fails: status at 10,000 trials: peak memory, bytes: 1.6e+09, at most 1.5e+09"
    )
    (still, _) = size_bars("status", 10_000, 4.2, 0.0, 2.0)
    assert (still.says, still.value) == ("fails", 2.1)
