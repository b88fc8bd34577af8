"""The paper's claims about Table 1, tested on a sweep's own Table 1, and on the printed one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from analysis.mathematics.trends import LEVEL, rank_correlation, verdict_on_rises
from analysis.mathematics.uncertain import Uncertain
from analysis.paper.claim import Claim, overall
from analysis.paper.constancy import MARGIN, constant_in_batch_size
from analysis.paper.strength import rate_is_stronger
from analysis.paper.trace_points import TracePoint
from analysis.text.number_text import plain

MAGNITUDE = 10.0
"""The factor that “a magnitude” is taken to mean."""


def claims(points: Sequence[TracePoint], values: pd.DataFrame) -> list[Claim]:
    """Test every claim of the paper's section 5.3 on the cells and trials given.

    A claim of a rise at fixed batch size or learning rate holds when it holds in every group, fails
    when it fails in one (see `verdict_on_rises`). A claim of order is judged by Spearman's ρ over
    cells, at 5 %, and takes no account of the errors of single cells. That a trace is constant is
    tested as an equivalence (see `constant_in_batch_size`); the strength of the two factors by one
    regression over trials.

    Args:
        points: Cells with both traces.
        values: Trials with logarithms of both factors and of the ratio, as `trial_values` returns
            them.
    """
    same = f"At fixed LR {{}} is constant as BS grows (within a factor {1 + MARGIN:g})."
    return [
        _rise("noise_rises_with_rate", "At fixed BS a higher LR raises tr σ².", points,
              _fixed_size, _noise, source=_HIGHER_RATE),
        _rise("hessian_falls_with_rate", "At fixed BS a higher LR lowers tr H.", points,
              _fixed_size, _hessian, source=_HIGHER_RATE, is_fall=True),
        _rise("noise_rises_with_batch_size", "At fixed LR tr σ² increases with BS.", points,
              _fixed_rate, _noise, source=_SECTION),
        constant_in_batch_size("hessian_constant_in_batch_size", same.format("tr H"), points,
                               _hessian, source=_CONSTANT),
        constant_in_batch_size("noise_constant_in_batch_size", same.format("tr σ²"), points,
                               _noise, source=_CONSTANT),
        _order("ratio_falls_with_batch_over_rate", "tr σ²/tr H rises as BS/LR falls.", points,
               lambda point: point.batch_size / point.learning_rate, sign=-1),
        _order("ratio_rises_with_rate", "tr σ²/tr H rises with LR alone.", points,
               lambda point: point.learning_rate, sign=1),
        rate_is_stronger(values),
        _exceeds("hessian_is_smaller", "tr H is smaller than tr σ².", points, 1.0),
        _exceeds("hessian_is_a_magnitude_smaller",
                 f"tr H is a magnitude smaller than tr σ² (ratio above {MAGNITUDE:g}).", points,
                 MAGNITUDE),
    ]  # fmt: skip


_SECTION = "Section 5.3, Table 1"
_HIGHER_RATE = (
    f"{_SECTION}: a “higher learning rate causes” tr σ² “to increase, while” tr H “decreases”"
)
_CONSTANT = f"{_SECTION}: one trace “seems to hold constant” as BS grows at fixed LR"
_FIGURE_4 = "Section 5.3, Figure 4"
_SMALLER = f"{_SECTION}: tr H is “magnitudes smaller”"

Trace = Callable[[TracePoint], Uncertain]
Group = Callable[[TracePoint], tuple[str, float]]
"""What is fixed in a group, and what rises along it."""


def _noise(point: TracePoint) -> Uncertain:
    return point.gradient_noise_trace


def _hessian(point: TracePoint) -> Uncertain:
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
    value: Trace,
    *,
    source: str,
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
        steps = " → ".join(plain(estimate.value, 3) for estimate in along)
        numbers.append(f"{label}: {steps} {verdicts[label]}")
    return Claim(
        name,
        statement,
        source,
        overall(verdicts.values()),
        verdicts,
        "; ".join(numbers) or _TOO_FEW,
    )


def _order(
    name: str,
    statement: str,
    points: Sequence[TracePoint],
    abscissa: Callable[[TracePoint], float],
    *,
    sign: int,
) -> Claim:
    with_ratio = [point for point in points if _has_ratio(point)]
    ratios = [point.magnitude_difference.value for point in with_ratio]
    found = rank_correlation([abscissa(point) for point in with_ratio], ratios)
    if found is None:
        return Claim(name, statement, _FIGURE_4, "undecided", {}, _TOO_FEW)
    of = f"{found.num_values} cells"
    if len(with_ratio) < len(points):
        of = f"{found.num_values} of {len(points)} cells, where both traces are positive"
    numbers = f"Spearman's ρ = {found.rho:+.2f} over {of}, p = {found.p_value:.2g}"
    if found.p_value > LEVEL:
        return Claim(name, statement, _FIGURE_4, "undecided", {}, numbers)
    return Claim(
        name, statement, _FIGURE_4, "holds" if found.rho * sign > 0 else "fails", {}, numbers
    )


def _exceeds(name: str, statement: str, points: Sequence[TracePoint], bound: float) -> Claim:
    """Judge the ratio of the traces, and the traces themselves where one is not positive, which have none."""
    limit = Uncertain(bound)
    verdicts = {
        f"BS {point.batch_size}, LR {point.learning_rate:g}": verdict_on_rises(
            [limit, point.magnitude_difference]
            if _has_ratio(point)
            else [point.hessian_trace.scaled(bound), point.gradient_noise_trace],
            num_compared=len(points),
        )
        for point in points
    }
    if not verdicts:
        return Claim(name, statement, _SMALLER, "undecided", {}, _TOO_FEW)
    ratios = [point.magnitude_difference.value for point in points if _has_ratio(point)]
    count = sum(verdict == "holds" for verdict in verdicts.values())
    numbers = [f"ratio {plain(min(ratios), 3)} to {plain(max(ratios), 3)}"] if ratios else []
    if len(ratios) < len(points):
        numbers.append(f"without a ratio {len(points) - len(ratios)} cells")
    numbers.append(f"holds in {count} of {len(points)} cells")
    return Claim(
        name, statement, _SMALLER, overall(verdicts.values()), verdicts, "; ".join(numbers)
    )


def _has_ratio(point: TracePoint) -> bool:
    """Whether tr σ²/tr H is a positive number: of a negative tr H it says nothing of size."""
    return 0 < point.magnitude_difference.value < math.inf


_TOO_FEW = "too few cells"
