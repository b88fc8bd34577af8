"""Statistics that state one quantity: where they agree, where they do not, and what is never compared."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from analysis.evidence.agreement import (
    FALSE_ALARMS,
    NEIGHBOURS,
    ROUNDING,
    ROUNDING_OF_WHOLE,
    agreement,
)
from analysis.records.load import load_sweep
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.spectrum import SpectrumSpec

TRACE = 58.0
"""tr H of the total objective that `traces` states exactly of seed 0; each of two layers has half."""

FORK = ForkSpec(num_steps=64, num_windows=2, records_per_window=4, learning_rate=0.02)


@pytest.fixture
def compare(synthetic_sweep, store):
    """Add statistics, each with its rows, to one trial that `traces` measured, and compare them all."""

    def make(*added, **settings):
        given = {"weight_decay": 0.1, "pairs": [(100, 0.1)], "seeds": [0]} | settings
        sweep = synthetic_sweep(**given).fill()
        for statistic, rows in added:
            sweep.add(statistic, lambda seed, rows=rows: rows)
        return agreement(load_sweep(store, "toy"))

    return make


def _seen_of(found):
    return found[["quantity", "layer", "value", "detail"]].to_dict("records")


def _only(found):
    (row,) = found.to_dict("records")
    return row


def test_statistics_within_their_errors_agree(compare, seen):
    """1 σ apart: of n = 1 comparison t is Student's 99 % quantile with half of 63 degrees."""
    row = _only(compare((HessianSpec(), [seen("hessian_trace", TRACE + 0.5, stderr=0.5)])))
    limit = scipy.stats.t.ppf(1 - 0.01 / 2, 31.5) * 0.5 + ROUNDING * (TRACE + 0.5)
    assert row["value"] == pytest.approx(0.5 / limit)
    assert (row["quantity"], row["bn_mode"], row["split"]) == ("hessian_trace", "frozen", "train")
    assert (row["is_layer"], row["detail"] is None or math.isnan(row["detail"])) == (False, True)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_six_errors_away_is_found_and_named(compare, seen, sign):
    """Both statistics with their values and errors stand in the detail."""
    rows = [seen("hessian_trace", TRACE + sign * 6 * 0.5, stderr=0.5)]
    row = _only(compare((HessianSpec(), rows)))
    assert row["value"] > 1
    assert row["detail"] == f"traces 58 ± 0, hessian {TRACE + sign * 3:g} ± 0.5"


def test_of_layers_the_worst_is_told_beside_the_whole_model(compare, seen):
    """The whole model agrees, layer `dense` does not, though `conv` makes up for it."""
    rows = [
        seen("hessian_trace", TRACE, stderr=0.1),
        seen("hessian_trace", TRACE / 2 - 5, stderr=0.5, layer="conv"),
        seen("hessian_trace", TRACE / 2 + 5, stderr=0.1, layer="dense"),
    ]
    whole, layers = _seen_of(compare((HessianSpec(), rows)))
    assert whole["value"] == 0
    assert (layers["layer"], layers["value"] > 1) == ("dense", True)
    assert layers["detail"] == "traces 29 ± 0, hessian 34 ± 0.1"


@pytest.mark.parametrize(
    "other",
    [
        {"bn_mode": "moving_average"},
        {"split": "test"},
        {"layer": "another"},
        {"index": 0},
        {"method": "rademacher_probes_of_100_examples"},
        {"stderr": None},
        {"skipped_reason": "too large", "value": None, "stderr": None},
    ],
)
def test_what_is_not_the_same_is_never_compared(compare, seen, other):
    """Other batch norm, split, layer, index or examples; nor what has no error or no value."""
    fields = {"stderr": 0.1, "value": TRACE + 40} | other
    rows = [seen("hessian_trace", fields.pop("value"), **fields)]
    assert compare((HessianSpec(), rows)).empty


def test_values_of_an_earlier_numerics_version_are_not_held_against_newer_ones(
    synthetic_sweep, store, seen
):
    """Versions may differ by more than their errors; within one they are compared as ever."""
    sweep = synthetic_sweep(weight_decay=0.1, pairs=[(100, 0.1)], seeds=[0]).fill()
    sweep.add(HessianSpec(), lambda seed: [seen("hessian_trace", TRACE + 40, stderr=0.1)])
    data = load_sweep(store, "toy")
    of_traces = data.measurements["statistic"] == "traces"
    for is_earlier, num_rows in ((of_traces, 0), (True, 1), (False, 1)):
        rows = data.measurements.assign(is_earlier=is_earlier)
        assert len(agreement(replace(data, measurements=rows))) == num_rows


def test_one_statistic_alone_has_no_row(compare):
    """`losses` and `traces` state nothing alike."""
    assert compare().empty


@pytest.mark.parametrize(("relative", "agrees"), [(0.9 * ROUNDING, True), (1.1 * ROUNDING, False)])
def test_exact_values_agree_to_the_rounding_of_single_precision(compare, seen, relative, agrees):
    """Both without an error: the floor alone decides."""
    rows = [seen("gradient_noise_trace", 100.0 * (1 - relative))]
    row = _only(compare((NoiseCurvatureSpec(), rows)))
    assert (row["value"] <= 1) is agrees
    assert row["value"] == pytest.approx(relative / ROUNDING, rel=1e-6)


@pytest.mark.parametrize(
    ("quantity", "weight_decay", "is_compared"),
    [
        ("hessian_trace", 0.1, False),
        ("hessian_trace", 0.0, True),
        ("gradient_noise_trace", 0.1, True),
    ],
)
def test_objectives_are_one_where_l2_changes_nothing(
    compare, seen, quantity, weight_decay, is_compared
):
    """Total objective here, data objective alone there."""
    found = compare(
        (SpectrumSpec(), [seen(quantity, 5.0, stderr=0.1, objective="data")]),
        (HessianSpec(objective="total"), [seen(quantity, 6.0, stderr=0.1, objective="total")]),
        weight_decay=weight_decay,
        objectives=(),
    )
    assert len(found) == is_compared


def test_an_excursion_states_nothing_of_the_kept_weights(compare, seen):
    """A fork gives tr σ² along its way: where SGD went it is another number, and no disagreement."""
    assert compare((FORK, [seen("gradient_noise_trace", 1e3, stderr=0.1)])).empty


@pytest.mark.parametrize(("distance", "agrees"), [(0.5, True), (0.9, False)])
def test_largest_eigenvalues_agree_within_their_residuals(compare, seen, distance, agrees):
    """λ₁ has a residual norm, no error; further eigenvalues may be missed by one and are not compared."""

    def rows(value):
        return [
            seen("hessian_top_eigenvalue", value, stderr=None, index=0),
            seen("hessian_residual_norm", 0.25, index=0),
            seen("hessian_top_eigenvalue", value / 3, stderr=None, index=1),
            seen("hessian_residual_norm", 0.0, index=1),
        ]

    found = compare((HessianSpec(objective="total"), rows(20.0)), (FORK, rows(20.0 + distance)))
    row = _only(found)
    allowed = 0.25 + 0.25 + NEIGHBOURS * (20 + distance)
    assert row["quantity"] == "hessian_top_eigenvalue"
    assert (row["value"], row["value"] <= 1) == (pytest.approx(distance / allowed), agrees)


def test_batch_noise_is_compared_at_one_batch_size(compare, seen):
    """With batch statistics tr σ² depends on the batch: 100 against 100, never against 200."""

    def rows(*values):
        return [
            seen(
                "gradient_noise_trace",
                value,
                stderr=0.1,
                method=f"batch_pairs_{size}",
                bn_mode="batch",
            )
            for size, value in zip((100, 200), values, strict=False)
        ]

    found = compare(
        (BatchNoiseSpec(multiples=[1, 2]), rows(5.0, 9.0)),
        (BatchNoiseSpec(multiples=[1], probe_seed=1), rows(5.1)),
    )
    row = _only(found)
    assert (row["bn_mode"], row["value"] < 1) == ("batch", True)


def test_errors_of_one_statistic_run_twice_add_up(compare, seen):
    """They may share draws: σ_a + σ_b holds for any correlation, where √(σ_a² + σ_b²) needs none below 0."""
    row = _only(
        compare(
            (HessianSpec(num_eigenpairs=2), [seen("hessian_trace", 5.0, stderr=0.3)]),
            (HessianSpec(num_eigenpairs=3), [seen("hessian_trace", 6.0, stderr=0.4)]),
            objectives=(),
        )
    )
    limit = scipy.stats.t.isf(0.005, 31.5) * (0.3 + 0.4) + ROUNDING * 6
    assert row["value"] == pytest.approx(1 / limit)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e200])
def test_what_is_no_number_agrees_with_nothing(compare, seen, value):
    """Even of one statistic alone, and of a quantity the glossary does not know."""
    row = _only(compare((HessianSpec(), [seen("my_number", value, stderr=None)])))
    assert (row["quantity"], row["value"]) == ("my_number", math.inf)
    assert row["detail"] == f"hessian {value:g}"


def test_the_worst_of_the_objectives_is_told(compare, seen):
    """One row a trial and quantity: of data and total the one that disagrees."""
    rows = [
        seen("gradient_norm_squared", value, objective=objective)
        for objective, value in (("data", 2.0), ("total", 3.0))
    ]
    others = [
        seen("gradient_norm_squared", value, objective=objective)
        for objective, value in (("data", 2.0), ("total", 4.0))
    ]
    row = _only(compare((NoiseCurvatureSpec(), rows), (BatchNoiseSpec(), others)))
    assert row["detail"] == "noise_curvature 3 ± 0, batch_noise 4 ± 0"


@pytest.fixture
def paper_size(synthetic_sweep, store):
    """Make the records of a sweep of 45 trials of 61 groups, tr H by two statistics, from their values."""
    synthetic_sweep().plan()
    data = load_sweep(store, "toy")

    def make(*estimates):
        frames = [
            pd.DataFrame(
                {
                    "trial_id": np.repeat([f"t{trial}" for trial in range(45)], 61),
                    "quantity": "hessian_trace",
                    "layer": [None, *(f"layer_{place}" for place in range(60))] * 45,
                    "statistic": name,
                    "value": value,
                    "stderr": stderr,
                }
            )
            for name, (value, stderr) in zip(("traces", "hessian"), estimates, strict=True)
        ]
        rows = pd.concat(frames, ignore_index=True)
        return replace(
            data,
            measurements=rows.assign(
                statistic_id=rows["statistic"], index=math.nan, method="probes", bn_mode="frozen",
                split="train", objective="data", num_samples=64, skipped_reason=None,
                is_earlier=False, loss="kld", batch_size=32, learning_rate=0.1,
            ),
        )  # fmt: skip

    return make


def test_the_limit_of_a_paper_size_sweep_is_bonferroni(paper_size):
    """2,745 comparisons: of each 0.01/2745 two-sided, 5.6 errors; a value 6 errors away is still found."""
    values = np.ones(45 * 61)
    values[7] = 1 + 6e-3
    found = agreement(paper_size((values, np.full(45 * 61, 1e-3)), (1.0, np.zeros(45 * 61))))
    assert int((found["value"] > 1).sum()) == 1
    limit = (
        6e-3 / found["value"].max() - ROUNDING * (1 + 6e-3) - ROUNDING_OF_WHOLE * (1 + 6e-3)
    ) / 1e-3
    assert 45 * 61 * 2 * scipy.stats.t.sf(limit, 31.5) == pytest.approx(FALSE_ALARMS, rel=0.02)
    assert limit == pytest.approx(5.60, abs=0.01)


def test_a_clean_paper_size_sweep_has_no_disagreement(paper_size):
    """Two means of 64 probes for each group: quadratic forms of 20 directions, as Hessians' are."""
    generator = np.random.default_rng(3)
    probes = generator.chisquare(20, (2, 45 * 61, 64)) / 20
    means, errors = probes.mean(axis=2), probes.std(axis=2, ddof=1) / 8
    found = agreement(paper_size(*zip(means, errors, strict=True)))
    assert len(found) == 2 * 45
    assert found["value"].max() < 1
