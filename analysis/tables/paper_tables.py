"""Tables that test the paper on a sweep: how many factors, its claims, its conventions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.mathematics.regression import FTest
from analysis.paper.claim import Claim
from analysis.paper.conventions import Convention
from analysis.paper.factors import FactorTest, symbol
from analysis.paper.orderings import Ordering, slope_of_points
from analysis.paper.trace_points import paper_points
from analysis.records.paper_table1 import CITATION
from analysis.text.interval_text import interval_text, ratio_text
from analysis.text.number import plus_minus, written
from analysis.text.number_text import NOTHING, plain
from analysis.text.text_table import TextTable

_MOST_CONVENTIONS = 12


def factor_table(tests: Sequence[FactorTest]) -> TextTable:
    """Tabulate every F-test, or why there is none."""
    refusals = list(dict.fromkeys(item.test for item in tests if isinstance(item.test, str)))
    rows = tuple(
        (
            symbol(item.question.response),
            ", ".join(map(symbol, item.question.base)),
            symbol(item.question.added),
            *_tested(item.test, refusals),
        )
        for item in tests
    )
    return TextTable(
        "How many factors: does it matter beyond what is known already?",
        ("of", "known", "added", "F", "dof", "p", "partial R²", "slope"),
        rows,
        (
            "Nested F-tests over trials, all variables as logarithms; a small p says that what is "
            "added matters. One factor m/η is enough where η adds nothing to it. slope: "
            "d ln(of)/d ln(added). Where the cell itself adds to m and η, powers of them are not the "
            "whole truth, and the other p are too small.",
            *(f"{place + 1}) {refusal}." for place, refusal in enumerate(refusals)),
        ),
        num_left=3,
    )


def claims_table(ours: Sequence[Claim], papers: Sequence[Claim]) -> TextTable:
    """Tabulate the paper's claims on this sweep's Table 1, and on the printed one."""
    rows = tuple(
        (claim.statement, claim.source, claim.verdict, claim.numbers, paper.verdict, paper.numbers)
        for claim, paper in zip(ours, papers, strict=True)
    )
    return TextTable(
        "The paper's claims",
        ("claim", "in the paper", "here", "numbers", "printed Table 1", "numbers"),
        rows,
        (
            "Here each step is judged against the errors over seeds; the printed numbers have no "
            f"errors and are taken as they are. Printed: {CITATION}.",
            "A trace is constant where the 95 % interval of every ratio lies within the factor named, and "
            "is not where one, widened to 5 % over all pairs of cells compared, lies outside: a wide interval is no "
            "support. Exponents of η and m come from one fit of ln(tr σ²/tr H) over cells.",
        ),
        num_left=6,
    )


def conventions_table(found: Sequence[Convention]) -> TextTable | None:
    """Tabulate the conventions whose magnitudes are closest to the paper's."""
    if not found:
        return None
    shown = found[:_MOST_CONVENTIONS]
    rows = tuple(
        (
            *_way(item),
            item.normalisation,
            "trace" if item.rate == "none" else f"η/4m · trace, {item.rate} η",
            plain(item.noise_ratio, 3),
            plain(item.hessian_ratio, 3),
            plain(item.distance, 3),
        )
        for item in shown
    )
    matched = (
        f"Over the {shown[0].num_cells} cells in common with the paper"
        if shown[0].num_cells
        else "No cell is in common with the paper: overall geometric means are compared"
    )
    more = len(found) - len(shown)
    return TextTable(
        "Which convention gives traces of the paper's size?",
        ("split", "BN", "loss", "over examples", "number", "tr σ²: ours/paper",
         "tr H: ours/paper", "distance"),
        rows,
        (
            f"{matched}. distance: root mean square of ln(ours/paper). Only a sweep of the paper's "
            "network and data can answer this; of another one the sizes say little."
            + (f" {more} conventions further away are not shown." if more else ""),
        ),
        num_left=5,
    )  # fmt: skip


def orderings_table(found: Sequence[Ordering]) -> TextTable | None:
    """Tabulate by which ways of measuring the traces are in the paper's order."""
    if not found:
        return None
    points = paper_points()
    printed = slope_of_points(points)
    num_above = sum(each.magnitude_difference.value > 1 for each in points)
    rows = tuple(
        (
            *_way(item),
            ratio_text(item.log_ratio),
            f"{item.num_above} of {len(item.cells)}",
            f"{item.num_below} of {len(item.cells)}",
            interval_text(item.slope),
            item.verdict,
        )
        for item in found
    )
    return TextTable(
        "By which way of measuring are the traces in the paper's order?",
        ("split", "BN", "loss", "tr σ²/tr H", "above 1", "below 1", "slope", "as in the paper"),
        rows,
        (
            f"The paper's order is that of its printed Table 1: tr σ² exceeds tr H in {num_above} of {len(points)} cells, "
            f"and the slope over cells, d ln(tr σ²/tr H)/d ln(m/η), is {interval_text(printed)}. tr σ²/tr H: geometric "
            "mean over cells; above 1, below 1: cells of which the 95 % interval is so. Sums over examples, and η/4m "
            "with the initial rate or the final one, multiply both traces alike and change nothing here. batch: traces "
            "of SGD's own batches. As in the paper holds where every cell is above 1 and the slope's interval below 0; "
            "it fails where a cell is below 1 or the slope's interval above 0.",
        ),
        num_left=3,
    )


def _way(item: Convention | Ordering) -> tuple[str, str, str]:
    """Write how the traces were measured."""
    return item.split, item.bn_mode, "with L2" if item.objective == "total" else "data"


def _tested(test: FTest | str, refusals: Sequence[str]) -> tuple[str, ...]:
    if isinstance(test, str):
        return (f"{refusals.index(test) + 1})", *(NOTHING,) * 4)
    return (
        plain(test.f_statistic, 3),
        f"{test.dof_numerator}, {test.dof_denominator}",
        written(test.p_value, ".2g"),
        plain(test.partial_r_squared, 3),
        plus_minus(f"{test.slope:+.3g}", f"{test.slope_stderr:.2g}")
        if math.isfinite(test.slope) and test.dof_numerator == 1
        else NOTHING,
    )
