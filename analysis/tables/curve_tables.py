"""Tables of the paper's claims about learning curves: the verdicts, and pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.paper.claim import Claim
from analysis.paper.curve_claims import APART, MATCH, MOST_PAIRS, CurvePair
from analysis.records.cell import Cell, ratio_texts
from analysis.text.number import with_interval, written
from analysis.text.number_text import NOTHING
from analysis.text.text_table import TextTable


def curve_claims_table(claims: Sequence[Claim]) -> TextTable:
    """Tabulate the paper's claims about its Figures 2 and 3, on this sweep's curves."""
    rows = tuple((c.statement, c.source, c.verdict, c.numbers) for c in claims)
    return TextTable(
        "The paper's claims about learning curves",
        ("claim", "in the paper", "here", "numbers"),
        rows,
        (
            "Distance of two cells: root mean square over epochs of the difference of their true mean "
            "curves, over that of the standard deviation between seeds, with its 95 % interval. "
            f"Below {MATCH:g} a mean curve lies within the other's band of ± one standard deviation; "
            f"above {APART:g} the bands do not overlap. A claim holds where the interval of every pair "
            "lies on its side, fails where one lies on the other (5 % over all pairs).",
            "p: of all ways to exchange seeds between two cells, the share with a distance as large. A "
            "large p is no sign that curves match. Two seeds a cell have 3 ways, three 10, four 35, "
            "five 126: with fewer than four seeds no p is below 5 %. Curves of three seeds or fewer are "
            "hardly ever shown to match.",
        ),
        num_left=4,
    )


def curve_pairs_table(pairs: Sequence[CurvePair]) -> TextTable | None:
    """Tabulate every pair of cells compared; None where there is none."""
    if not pairs:
        return None
    ratios = ratio_texts({cell for pair in pairs for cell in (pair.first, pair.second)})
    return TextTable(
        "Learning curves, pair by pair",
        ("BS/LR", "cell", "other cell", "accuracy", "seeds", "distance", "p", "splits", "claim"),
        tuple(_row(pair, ratios) for pair in pairs),
        (
            f"Each pair alone at 95 %. At most {MOST_PAIRS} pairs of a group are compared, evenly "
            "chosen in the order of BS/LR.",
        ),
        num_left=4,
    )


def _row(pair: CurvePair, ratios: Mapping[Cell, str]) -> tuple[str, ...]:
    names = (
        f"{ratios[cell]}: BS {cell.batch_size}, LR {cell.learning_rate:g}"
        for cell in (pair.first, pair.second)
    )
    head = (pair.group, *names, pair.accuracy)
    found = pair.distance
    if isinstance(found, str):
        return (*head, NOTHING, found, NOTHING, NOTHING, pair.verdict())
    low, high = found.interval()
    return (
        *head,
        f"{found.num_first}, {found.num_second}",
        with_interval(f"{found.value:.2f}", (f"{low:.2f}", f"{high:.2f}")),
        written(found.p_value, ".2g"),
        written(found.num_splits, "d"),
        pair.verdict(),
    )
