from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from analysis.mathematics.means import mean_of_units
from analysis.mathematics.uncertain import Uncertain, combined_error
from analysis.paper.constancy import MARGIN, TOO_FEW_SIZES, constant_in_batch_size, log_changes
from analysis.paper.trace_points import TracePoint


def _point(size, rate, trace):
    return TracePoint(size, rate, trace, trace, trace)


def _judge(points):
    return constant_in_batch_size(
        "constant", "It is constant.", points, lambda point: point.hessian_trace, source="Table 1"
    )


def _sampled(draw, factors, *, relative=0.05, seeds=5):
    """Draw traces of one rate whose true values are in these ratios."""
    return [
        _point(
            100 + place, 0.1, mean_of_units(factor * (1 + relative * draw.standard_normal(seeds)))
        )
        for place, factor in enumerate(factors)
    ]


def test_the_interval_is_welchs_on_logarithms():
    """Scatter of 1 %: to first order that of scipy's Welch interval of the logarithms themselves."""
    draw = np.random.default_rng(1)
    first, second = 5 + 0.05 * draw.standard_normal(5), 6 + 0.02 * draw.standard_normal(4)
    known = stats.ttest_ind(np.log(second), np.log(first), equal_var=False).confidence_interval()
    found = log_changes([mean_of_units(first), mean_of_units(second)])
    # Second order is (1 %)² of ln, and a per cent of the error.
    assert found.values == pytest.approx([np.log(second).mean() - np.log(first).mean()], abs=2e-4)
    assert np.ravel(found.bounds()) == pytest.approx((known.low, known.high), abs=5e-4)


def test_every_pair_is_compared_by_what_single_numbers_give():
    """Errors of 0, known and unknown ones among them; pairs in the order of combinations."""
    means = [Uncertain(2.0, 0.1, 4), Uncertain(3.0, 0.0, 4), Uncertain(1.0, 0.2, math.inf)]
    means += [Uncertain(5.0, math.nan, 0), Uncertain(4.0, 0.0, 2)]
    found = log_changes(means)
    logs = [
        Uncertain(math.log(each.value), each.stderr / each.value, each.degrees) for each in means
    ]
    for place, (first, second) in enumerate(itertools.combinations(logs, 2)):
        known = Uncertain(second.value - first.value, *combined_error((first, second))).interval()
        expected = (known.low, known.value, known.high)
        low, high = (end[place] for end in found.bounds())
        if known.low is None:
            assert np.isnan([low, high]).all()
            assert found.values[place] == pytest.approx(known.value, rel=1e-14)
        else:
            assert (low, found.values[place], high) == pytest.approx(expected, rel=1e-12)


def test_exact_traces_are_compared_as_they_are():
    """Within a factor 1.25 over all batch sizes of a rate, or not; in either direction."""
    exact = [
        _point(size, rate, Uncertain(value, 0.0, 4))
        for size, rate, value in (
            (1, 0.1, 10),
            (2, 0.1, 12),
            (4, 0.1, 9.7),
            (1, 0.2, 10),
            (2, 0.2, 7),
        )
    ]
    claim = _judge(exact)
    assert claim.groups == {"LR 0.1": "holds", "LR 0.2": "fails"}
    assert claim.verdict == "fails"
    assert claim.numbers == (
        "LR 0.1: 10 → 12 → 9.7, factor 1.24 [1.24, 1.24] holds; "
        "LR 0.2: 10 → 7, factor 1.43 [1.43, 1.43] fails"
    )


@pytest.mark.parametrize(
    ("factors", "relative", "verdict"),
    [((1, 1, 1), 0.04, "holds"), ((1, 1, 1.7), 0.04, "fails"), ((1, 1, 1), 0.3, "undecided")],
)
def test_traces_are_judged_rightly(factors, relative, verdict):
    """Of 200 sweeps of three batch sizes and five seeds most: constant, not, and too noisy to know."""
    draw = np.random.default_rng(2)
    found = Counter(_judge(_sampled(draw, factors, relative=relative)).verdict for _ in range(200))
    assert found[verdict] >= 200 * 0.8


@pytest.mark.parametrize("relative", [0.02, 0.1])
def test_at_the_margin_itself_a_verdict_is_rare(relative):
    """A true factor of 1.25 is found equal, or unequal, in 2.5 % of 400 at most (± 3 times 0.8 %)."""
    draw = np.random.default_rng(3)
    found = Counter(
        _judge(_sampled(draw, (1, 1 + MARGIN), relative=relative)).verdict for _ in range(400)
    )
    assert max(found["holds"], found["fails"]) <= 400 * (0.025 + 3 * 0.008)


def test_one_contrary_step_counts_less_among_many():
    """Alone it fails at 5 %; among the pairs of twenty rates such a one is no surprise."""
    apart = 1.25 * math.exp(0.05 * stats.t.ppf(0.98, 198) * math.sqrt(2) * 1.2)
    pair = [
        _point(1, 0.1, Uncertain(1.0, 0.05, 99)),
        _point(2, 0.1, Uncertain(apart, 0.05 * apart, 99)),
    ]
    others = [
        _point(size, 1 + rate, Uncertain(1.0, 0.01, 99)) for size in (1, 2) for rate in range(20)
    ]
    assert _judge(pair).groups["LR 0.1"] == "fails"
    assert _judge([*pair, *others]).groups["LR 0.1"] == "undecided"


def test_nothing_to_say_is_said_in_a_sentence():
    """One cell, one batch size at each rate, traces that are not positive; one seed decides nothing."""
    for points in (
        [],
        [_point(1, 0.1, Uncertain(1.0, 0.1, 2))],
        [_point(1, rate, Uncertain(1.0, 0.1, 2)) for rate in (0.1, 0.2)],
        [_point(size, 0.1, Uncertain(-1.0, 0.1, 2)) for size in (1, 2)],
    ):
        claim = _judge(points)
        assert (claim.verdict, claim.numbers) == ("undecided", TOO_FEW_SIZES)
    one_seed = _judge([_point(size, 0.1, Uncertain(2.0, math.nan, 0)) for size in (1, 2)])
    assert one_seed.verdict == "undecided"
    assert one_seed.numbers == "LR 0.1: 2 → 2, factor 1.00 [?] undecided"
