from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.paper.curve_claims import MOST_PAIRS, CurvePair, curve_claims, curve_pairs
from analysis.paper.curve_distance import NO_EPOCHS, NO_SPREAD, TOO_FEW_SEEDS, curve_distance
from analysis.records.cell import Cell
from analysis.records.load import load_sweep
from analysis.tables.curve_tables import curve_claims_table, curve_pairs_table

_FIGURES = [(200, 0.08), (500, 0.2), (200, 0.2), (500, 0.5), (100, 0.08), (100, 0.5), (500, 0.08)]
_CELL = Cell("kld", 100, 0.1)


@pytest.fixture
def with_curves(store, synthetic_sweep):
    """Plan a sweep and give its data with accuracy = level(m, η) + 0.01·noise in both columns."""

    def make(pairs, level, *, seeds=5, num_epochs=12):
        synthetic_sweep(pairs=pairs, seeds=list(range(seeds))).plan()
        data = load_sweep(store, "toy")
        draw = np.random.default_rng(3)
        rows = data.planned.loc[data.planned.index.repeat(num_epochs)].reset_index(drop=True)
        rows["epoch"] = np.tile(np.arange(num_epochs), len(data.planned))
        for column in ("train_accuracy", "validation_accuracy"):
            true = [
                level(*row) for row in zip(rows["batch_size"], rows["learning_rate"], strict=True)
            ]
            rows[column] = np.array(true) + 0.01 * draw.standard_normal(len(rows))
        return replace(data, epochs=rows)

    return make


def _verdicts(data):
    return [claim.verdict for claim in curve_claims(curve_pairs(data))]


def test_a_sweep_in_which_only_the_ratio_counts_has_all_three_claims(with_curves):
    """Accuracy falls by 0.4 with each factor e of BS/LR, but by nothing between 1000 and 1250."""
    data = with_curves(_FIGURES, lambda size, rate: -0.4 * np.log(max(size / rate, 1250)), seeds=8)
    claims = curve_claims(curve_pairs(data))
    # 200 against 1000, and 6250 against 2500, are far; 200 to 1250 differ by nothing here.
    assert [claim.verdict for claim in claims] == ["holds", "holds", "fails"]
    assert "“very closely match”" in claims[0].source
    data = with_curves(
        _FIGURES,
        lambda size, rate: -0.4 * np.log(1250 if 999 < size / rate < 1251 else size / rate),
        seeds=8,
    )
    assert _verdicts(data) == ["holds", "holds", "holds"]


def test_a_sweep_in_which_the_rate_alone_counts_has_none_of_equal_curves(with_curves):
    """Equal BS/LR are 0.2·ln 2.5 = 18.3 spreads of 0.01 apart: the first claim fails, and says how far."""
    data = with_curves(_FIGURES, lambda size, rate: 0.2 * np.log(rate))
    claim = curve_claims(curve_pairs(data))[0]
    assert claim.verdict == "fails"
    assert set(claim.groups.values()) == {"fails"}
    assert "training, BS 200, LR 0.2 and BS 500, LR 0.5" in claim.groups
    assert claim.numbers.startswith("training: 16.09 to 19.86 [12.11, 24.26] seed spreads apart")
    assert "p = 0.0079 (least possible 0.0079)" in claim.numbers
    assert claim.numbers.endswith("holds in 0, fails in 4 of 4")


def test_curves_without_any_difference_are_not_noticeably_different(with_curves):
    """One curve for all cells: far BS/LR match as well, so that claim fails."""
    assert _verdicts(with_curves(_FIGURES, lambda size, rate: 0.5, seeds=8)) == [
        "holds", "holds", "fails"
    ]  # fmt: skip


def test_three_seeds_leave_the_match_of_equal_curves_undecided(with_curves):
    """Not to find a difference is no evidence: the interval reaches beyond one spread."""
    claim = curve_claims(curve_pairs(with_curves(_FIGURES, lambda size, rate: 0.5, seeds=3)))[0]
    assert claim.verdict == "undecided"
    assert "(least possible 0.1)" in claim.numbers


@pytest.mark.parametrize(
    ("group", "shift", "verdict"),
    [
        ("equal", 0.0, "holds"),
        ("equal", 2.5, "fails"),
        ("close", 1.0, "holds"),
        ("close", 4.0, "fails"),
        ("far", 4.0, "holds"),
        ("far", 1.0, "fails"),
    ],
)
def test_pairs_are_judged_rightly_and_hardly_ever_wrongly(group, shift, verdict):
    """200 pairs of five seeds, forty independent epochs: rightly in most, wrongly in 2.5 % at most."""
    draw = np.random.default_rng(5)
    found = Counter()
    for _ in range(200):
        curves = draw.standard_normal((10, 40))
        curves[:5] += shift
        pair = CurvePair(group, _CELL, _CELL, "training", curve_distance(curves, 5))
        found[pair.verdict()] += 1
    wrong = {"holds": "fails", "fails": "holds"}[verdict]
    assert found[verdict] >= 200 * 0.7
    assert found[wrong] <= 200 * 0.025


@pytest.mark.parametrize(("group", "bound"), [("equal", 1.0), ("close", 2.0), ("far", 2.0)])
@pytest.mark.parametrize("spread_together", [False, True])
def test_at_the_bound_itself_a_verdict_is_rare(group, bound, spread_together):
    """Where the truth is the bound each verdict comes in 2.5 % of 200 at most, up to 3 errors of 1.1 %."""
    draw = np.random.default_rng(6)
    found = Counter()
    for _ in range(200):
        curves = draw.standard_normal((10, 1 if spread_together else 12)) * np.ones(12)
        curves[:5] += bound
        pair = CurvePair(group, _CELL, _CELL, "training", curve_distance(curves, 5))
        found[pair.verdict()] += 1
    assert max(found["holds"], found["fails"]) <= 200 * (0.025 + 3 * 0.011)


def test_a_contrary_pair_counts_less_among_many():
    """Alone it fails at 5 %; among 1,000 pairs such a one is no surprise."""
    curves = np.random.default_rng(1).standard_normal((10, 3))
    curves[:5] += 2.0
    pair = CurvePair("equal", _CELL, _CELL, "training", curve_distance(curves, 5))
    assert pair.verdict() == "fails"
    assert pair.verdict(1000) == "undecided"


def test_nothing_to_say_is_said_in_a_sentence(store, synthetic_sweep, with_curves):
    """One cell, one seed, one rate, no spread, nothing trained."""
    one_cell = curve_claims(curve_pairs(with_curves([(100, 0.1)], lambda size, rate: 0.5)))
    assert {claim.verdict for claim in one_cell} == {"undecided"}
    assert [claim.numbers for claim in one_cell] == [
        "no two trained cells have one BS/LR",
        "no two trained cells have a BS/LR within a factor 1.5",
        "no two trained cells have a BS/LR more than a factor 1.5 apart",
    ]
    pairs = [(100, 0.1), (200, 0.2), (130, 0.1), (400, 0.1)]
    one_seed = curve_claims(curve_pairs(with_curves(pairs, lambda size, rate: 0.5, seeds=1)))
    assert {(claim.verdict, claim.numbers) for claim in one_seed} == {("undecided", TOO_FEW_SEEDS)}
    one_rate = curve_claims(
        curve_pairs(with_curves([(9, 0.1), (90, 0.1)], lambda size, rate: size))
    )
    assert [claim.verdict for claim in one_rate] == ["undecided", "undecided", "holds"]
    synthetic_sweep(pairs=pairs).fill()
    level = curve_claims(curve_pairs(load_sweep(store, "toy")))
    assert {(claim.verdict, claim.numbers) for claim in level} == {("undecided", NO_SPREAD)}
    data = with_curves(pairs, lambda size, rate: 0.5)
    assert curve_pairs(replace(data, epochs=data.epochs.iloc[:0])) == []


def test_seeds_that_are_missing_or_diverged_are_left_out(with_curves):
    """What is trained is compared; epochs that some seed lacks are not."""
    data = with_curves([(100, 0.1), (200, 0.2)], lambda size, rate: 0.5)
    first, second, third = data.planned["trial_id"].iloc[:3]
    rows = data.epochs
    rows = rows[(rows["trial_id"] != first) & ~((rows["trial_id"] == second) & (rows["epoch"] > 3))]
    rows.loc[rows["trial_id"] == third, "train_accuracy"] = 100.0
    lost = pd.DataFrame({"trial_id": [third], "outcome": ["diverged"]})
    training, _ = curve_pairs(replace(data, epochs=rows, trials=lost))
    assert (training.distance.num_first, training.distance.num_second) == (3, 5)
    assert training.distance.f_statistic < 5
    nothing = rows[~((rows["trial_id"] == second) & (rows["epoch"] <= 3)) | (rows["epoch"] < 0)]
    late = nothing[(nothing["batch_size"] == 100) | (nothing["epoch"] < 2)]
    early = late[(late["batch_size"] == 200) | (late["epoch"] >= 2)]
    assert {pair.distance for pair in curve_pairs(replace(data, epochs=early))} == {NO_EPOCHS}


def test_of_many_cells_some_pairs_are_compared(with_curves):
    """20 cells have 190 pairs; no group has more than its share, and the ends are among them."""
    cells = [(10 + size, 0.1) for size in range(0, 400, 20)]
    pairs = curve_pairs(with_curves(cells, lambda size, rate: 0.5, seeds=2, num_epochs=3))
    assert max(Counter((pair.group, pair.accuracy) for pair in pairs).values()) == MOST_PAIRS
    assert {cell.batch_size for pair in pairs for cell in (pair.first, pair.second)} >= {10, 390}


def test_claims_and_pairs_are_shown(with_curves):
    """The claim with the paper's words, verdict and numbers; each pair with distance, p and splits."""
    pairs = curve_pairs(
        with_curves([(100, 0.1), (200, 0.2)], lambda size, rate: 0.2 * np.log(rate))
    )
    table = curve_claims_table(curve_claims(pairs))
    assert table.rows[0][:3] == (
        "Accuracy curves of equal BS/LR are the same: less than 1 seed spread apart.",
        "Figures 2 and 3: equal BS/LR “very closely match”",
        "fails",
    )
    assert "five 126" in table.notes[1]
    row = curve_pairs_table(pairs).rows[0]
    assert row[:5] == ("equal", "1000: BS 100, LR 0.1", "1000: BS 200, LR 0.2", "training", "5, 5")
    assert row[6:] == ("0.0079", "126", "fails")
    one = curve_pairs(with_curves([(100, 0.1), (200, 0.2)], lambda size, rate: 0.5, seeds=1))
    assert curve_pairs_table(one).rows[0][4:] == ("–", TOO_FEW_SEEDS, "–", "–", "undecided")
    assert curve_pairs_table([]) is None
