"""The paper's claims about Table 1, tested on a sweep's own Table 1, and on the printed one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.estimate import Estimate
from analysis.number_text import plain
from analysis.paper_table1 import ROWS
from analysis.table1 import Table1
from analysis.trends import LEVEL, rank_correlation, verdict_on_rises

MAGNITUDE = 10.0
"""What “a magnitude” is taken to mean."""


@dataclass(frozen=True)
class TracePoint:
    """Both traces of one cell and their ratio tr σ²/tr H."""

    batch_size: int
    learning_rate: float
    gradient_noise_trace: Estimate
    hessian_trace: Estimate
    magnitude_difference: Estimate


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict.

    Attributes:
        name: Short and stable.
        statement: In a sentence.
        verdict: `holds`, `fails` or `undecided`.
        groups: Verdicts of the parts, by what is fixed in them: "BS 100".
        numbers: What the verdict rests on.
    """

    name: str
    statement: str
    verdict: str
    groups: dict[str, str]
    numbers: str


def points_of(table: Table1) -> list[TracePoint]:
    """Take the cells of Table 1 in which both traces are measured."""
    return [
        TracePoint(
            row.cell.batch_size,
            row.cell.learning_rate,
            row.gradient_noise_trace,
            row.hessian_trace,
            row.magnitude_difference,
        )
        for row in table.rows
        if row.magnitude_difference.num_seeds
    ]


def paper_points() -> list[TracePoint]:
    """Take the printed Table 1 as if it were exact, since no errors are printed."""
    return [
        TracePoint(
            row.batch_size,
            row.learning_rate,
            Estimate(row.gradient_noise_trace, 0.0, 5),
            Estimate(row.hessian_trace, 0.0, 5),
            Estimate(row.gradient_noise_trace / row.hessian_trace, 0.0, 5),
        )
        for row in ROWS
    ]


def claims(points: Sequence[TracePoint]) -> list[Claim]:
    """Test every claim of the paper's section 5.3 on the cells given.

    A claim of a rise at fixed batch size or learning rate holds when it holds in every group, fails
    when it fails in one (see `verdict_on_rises`). A claim of order goes by Spearman's ρ over cells, at
    5 %, and takes no account of the errors of single cells.
    """
    return [
        _rise("noise_rises_with_rate", "At fixed BS a higher LR raises tr σ².", points,
              _fixed_size, _noise),
        _rise("hessian_falls_with_rate", "At fixed BS a higher LR lowers tr H.", points,
              _fixed_size, _hessian, is_fall=True),
        _rise("noise_rises_with_batch_size", "At fixed LR tr σ² increases with BS.", points,
              _fixed_rate, _noise),
        _order("ratio_falls_with_batch_over_rate", "tr σ²/tr H rises as BS/LR falls.", points,
               lambda point: point.batch_size / point.learning_rate, sign=-1),
        _order("ratio_rises_with_rate", "tr σ²/tr H rises with LR alone.", points,
               lambda point: point.learning_rate, sign=1),
        _exceeds("hessian_is_smaller", "tr H is smaller than tr σ².", points, 1.0),
        _exceeds("hessian_is_a_magnitude_smaller",
                 f"tr H is a magnitude smaller than tr σ² (ratio above {MAGNITUDE:g}).", points,
                 MAGNITUDE),
    ]  # fmt: skip


Value = Callable[[TracePoint], Estimate]
Group = Callable[[TracePoint], tuple[str, float]]
"""What is fixed in a group, and what rises along it."""


def _noise(point: TracePoint) -> Estimate:
    return point.gradient_noise_trace


def _hessian(point: TracePoint) -> Estimate:
    return point.hessian_trace


def _fixed_size(point: TracePoint) -> tuple[str, float]:
    return f"BS {point.batch_size}", point.learning_rate


def _fixed_rate(point: TracePoint) -> tuple[str, float]:
    return f"LR {point.learning_rate:g}", point.batch_size


def _rise(
    name: str,
    statement: str,
    points: Sequence[TracePoint],
    group_of: Group,
    value: Value,
    *,
    is_fall: bool = False,
) -> Claim:
    members: dict[str, list[TracePoint]] = {}
    for point in sorted(points, key=lambda item: (item.batch_size, item.learning_rate)):
        members.setdefault(group_of(point)[0], []).append(point)
    num_steps = sum(len(group) - 1 for group in members.values())
    verdicts, numbers = {}, []
    for label, group in members.items():
        if len(group) < 2:
            continue
        along = [value(point) for point in sorted(group, key=lambda item: group_of(item)[1])]
        verdicts[label] = verdict_on_rises(
            along[::-1] if is_fall else along, num_compared=num_steps
        )
        steps = " → ".join(plain(estimate.mean, 3) for estimate in along)
        numbers.append(f"{label}: {steps} {verdicts[label]}")
    return Claim(name, statement, _overall(verdicts), verdicts, "; ".join(numbers) or _TOO_FEW)


def _order(
    name: str,
    statement: str,
    points: Sequence[TracePoint],
    abscissa: Callable[[TracePoint], float],
    *,
    sign: int,
) -> Claim:
    ratios = [point.magnitude_difference.mean for point in points]
    found = rank_correlation([abscissa(point) for point in points], ratios)
    if found is None:
        return Claim(name, statement, "undecided", {}, _TOO_FEW)
    numbers = (
        f"Spearman's ρ = {found.rho:+.2f} over {found.num_values} cells, p = {found.p_value:.2g}"
    )
    if found.p_value > LEVEL:
        return Claim(name, statement, "undecided", {}, numbers)
    return Claim(name, statement, "holds" if found.rho * sign > 0 else "fails", {}, numbers)


def _exceeds(name: str, statement: str, points: Sequence[TracePoint], bound: float) -> Claim:
    limit = Estimate(bound, 0.0, 1)
    verdicts = {
        f"BS {point.batch_size}, LR {point.learning_rate:g}": verdict_on_rises(
            [limit, point.magnitude_difference], num_compared=len(points)
        )
        for point in points
    }
    if not verdicts:
        return Claim(name, statement, "undecided", {}, _TOO_FEW)
    ratios = [point.magnitude_difference.mean for point in points]
    count = sum(verdict == "holds" for verdict in verdicts.values())
    numbers = f"ratio {plain(min(ratios), 3)} to {plain(max(ratios), 3)}; holds in {count} of {len(ratios)} cells"
    return Claim(name, statement, _overall(verdicts), verdicts, numbers)


_TOO_FEW = "too few cells"


def _overall(verdicts: dict[str, str]) -> str:
    found = set(verdicts.values())
    if "fails" in found:
        return "fails"
    return "holds" if found == {"holds"} else "undecided"
