"""What a report answers first: a sentence a law, or what is known before a law is measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from analysis.findings.cost import Cost, cost
from analysis.findings.lacking import lacking_statistics, listed
from analysis.findings.league import Standing
from analysis.findings.table1 import LawColumn, Table1, Table1Row, law_columns
from analysis.mathematics.evenly_chosen import evenly_chosen
from analysis.mathematics.interval import Interval
from analysis.mathematics.means import mean_of_units
from analysis.mathematics.uncertain import Uncertain
from analysis.predictions import laws
from analysis.records.cell import Cell
from analysis.records.cell_states import cell_states
from analysis.records.load import SweepData
from analysis.report.deciding import missing_side, seeds_behind, what_decides
from analysis.report.setting import excursion_line, setting_line
from analysis.report.web.first_screen import Finding, FirstScreen, Forest, ForestMark
from analysis.report.words import headline
from analysis.tables.measured.cost_tables import cost_sentence
from analysis.text.interval_text import ratio_text
from analysis.text.number_text import counted, counted_from_to
from workers.contract.quantities import GLOSSARY

_MOST_MARKS = 9
_MOST_NAMED = 2
_LEAST_PERCENT = 0.05
_AGREEMENT = "an agreement, not a confirmation: "

_Found: TypeAlias = tuple[list[Finding], list[str], Forest | None]


def answer(data: SweepData, table: Table1, standings: Sequence[Standing]) -> FirstScreen:
    """FirstScreen which law holds; before any is measured, by what factor their predictions differ."""
    chief = chief_standings(standings)
    paid = cost(data)
    found = _measured(data, chief, paid) if chief else _known(data, table)
    findings, asides, forest = found
    states = cell_states(data)
    sentence, kind = headline(states)
    goes_on = any(state.num_missing for state in states.values())
    return FirstScreen(
        findings,
        asides,
        forest,
        f"{sentence} Go on: minima run {data.plan.sweep}" if goes_on else sentence,
        kind == "good",
        cost_sentence(paid),
        setting_line(data),
        _question(chief),
        _summary(chief),
        excursion_line(data, chief[0]) if chief else "",
    )


def _question(chief: Sequence[Standing]) -> str:
    """Ask what the verdicts answer: of the excess loss, and of what else laws predict."""
    others = dict.fromkeys(item.target for item in chief if item.target != "excess_loss")
    also = "".join(f", and which its {GLOSSARY[target].symbol}" for target in others)
    return f"Which law predicts the excess loss of SGD{also}?"


def _summary(chief: Sequence[Standing]) -> str:
    """Say which laws hold, where a cell meets what they assume, and what became of the others."""
    if not chief:
        return ""
    said = Counter(item.told or "undecided" for item in chief)
    outside = sum(item.told == "fails" and not item.num_valid for item in chief)
    named = [laws()[item.prediction].human_name for item in chief if item.told == "holds"]
    if not named:
        head = "No law is shown to hold"
    elif len(named) <= _MOST_NAMED:
        head = f"{' and '.join(named)} {'holds' if len(named) == 1 else 'hold'}"
    else:
        head = f"{len(named)} of {len(chief)} laws hold"
    counts = [
        (
            said["agrees"],
            "agrees where its assumptions are not met",
            "agree where theirs are not met",
        ),
        (said["fails"] - outside, "fails", "fail"),
        (
            outside,
            "fails where its assumptions are not met",
            "fail where their assumptions are not met",
        ),
        (said["undecided"], "is undecided", "are undecided"),
    ]
    rest = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    return f"{head}{': ' if rest and not named else '; ' if rest else ''}{', '.join(rest)}."


def chief_standings(standings: Sequence[Standing]) -> list[Standing]:
    """Keep one standing a law, in the order given: for its first target, its sampler, by forks, of most cells."""
    best: dict[str, Standing] = {}
    for item in standings:
        found = best.get(item.prediction)
        if found is None or _merit(item) > _merit(found):
            best[item.prediction] = item
    kept = [item for item in standings if best[item.prediction] is item]
    return sorted(kept, key=lambda item: item.target != "excess_loss")


def _merit(item: Standing) -> tuple[bool, bool, bool, bool, int]:
    law = laws()[item.prediction]
    return (
        item.target == law.targets[0],
        item.sampler == law.sampler,
        item.measured_by == "fork",
        item.bn_mode == "frozen",
        item.num_cells,
    )


def _measured(data: SweepData, chief: Sequence[Standing], paid: Cost) -> _Found:
    findings = [
        Finding(
            _sentence(item),
            item.prediction,
            item.told or "undecided",
            _support(data, item),
            "; ".join(filter(None, (_limit(item), what_decides(data, item, paid)))),
        )
        for item in chief
    ]
    marks = [
        _mark(laws()[item.prediction].human_name, item.judged[0], laws()[item.prediction].color)
        for item in chief
    ]
    silent = [law for law in laws().values() if law.name not in {item.prediction for item in chief}]
    asides = [f"Not measured: {'; '.join(law.human_name for law in silent)}."] if silent else []
    return (
        findings,
        asides,
        Forest("Measured / predicted, 95 % intervals; grey: ± 10 %", marks),
    )


def _sentence(item: Standing) -> str:
    """Say by how much a law misses: the ratio is measured/predicted."""
    ratio = math.exp(item.judged[0].value)
    name = laws()[item.prediction].human_name
    is_loss = item.target == "excess_loss"
    measured = "what is measured" if is_loss else f"the {GLOSSARY[item.target].symbol} measured"
    return f"{name} predicts {_times(1 / ratio)} {measured}: {ratio_text(item.judged[0])}"


def _times(factor: float) -> str:
    """Say a factor in words: 3.7 times, 12 % more than, a 30th of."""
    if factor >= 1.5:
        return f"{_short(factor)} times"
    if factor <= 1 / 1.5:
        return f"1/{_short(1 / factor)} of"
    percent = 100 * (factor - 1)
    if abs(percent) < _LEAST_PERCENT:
        return "just"
    return f"{abs(percent):.2g} % {'more' if percent > 0 else 'less'} than"


def _short(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 100 else f"{factor:.2g}"


def _support(data: SweepData, item: Standing) -> str:
    of_seeds = _seeds_each(*seeds_behind(data, item))
    cells = counted(item.num_cells, "cell")
    if 0 < item.num_valid < item.num_cells:
        cells = f"{item.num_valid} of {cells}, where its assumptions are met"
    others = item.num_without_ratio
    without = f", and {others} without a ratio, as a side is not positive" if others else ""
    return f"{cells}, {of_seeds}{without}"


def _seeds_each(fewest: int, most: int) -> str:
    return f"{counted_from_to(fewest, most, 'seed')} each"


def _limit(item: Standing) -> str:
    """Say which assumptions of a law no cell meets, for which a law that would hold only agrees."""
    if item.num_valid:
        return ""
    which = "assumption" if len(item.unmet) == 1 else "assumptions"
    that = f" that {' and '.join(item.unmet)}" if item.unmet else " together"
    return f"{_AGREEMENT if item.told == 'agrees' else ''}no cell meets its {which}{that}"


def _mark(label: str, log_ratio: Interval, color: str = "") -> ForestMark:
    low, high = (
        None if bound is None else math.exp(min(bound, 700.0))
        for bound in (log_ratio.low, log_ratio.high)
    )
    return ForestMark(label, math.exp(log_ratio.value), low, high, ratio_text(log_ratio), color)


def _known(data: SweepData, table: Table1) -> _Found:
    rows = [row for row in table.rows if row.magnitude_difference.value > 0]
    if not rows:
        return [Finding(_open_question(data), verdict="not measured")], missing_side(data), None
    pooled = _pooled([_log(row.magnitude_difference) for row in rows])
    seeds = [row.num_measured for row in rows]
    support = f"{counted(len(rows), 'cell')}, {_seeds_each(min(seeds), max(seeds))}"
    of_laws = [row for row in rows if row.law_difference.value > 0]
    findings = [
        Finding(_open_question(data), verdict="not measured"),
        *_differences(of_laws, support),
        Finding(f"tr σ²/tr H is {ratio_text(pooled)}", support=support),
    ]
    logs = {row.cell: _log(row.law_difference) for row in of_laws}
    if not logs:
        return findings, missing_side(data), None
    shown = evenly_chosen(sorted(logs, key=lambda cell: logs[cell].value), _MOST_MARKS)
    marks = [_mark("all cells", _pooled(list(logs.values())))] if len(logs) > 1 else []
    marks += [_mark(_cell(cell), logs[cell]) for cell in shown]
    with_l2 = any(row.law_difference != row.magnitude_difference for row in rows)
    title = (
        f"tr σ²/tr H{' with its L2 term' if with_l2 else ''}, with 95 % intervals; "
        "at 1 both laws say the same; grey: ± 10 %"
    )
    return findings, missing_side(data), Forest(title, marks)


def _differences(rows: Sequence[Table1Row], support: str) -> list[Finding]:
    """Say by what factor the laws of tr H and of tr σ² differ, the mean over cells of the logarithm."""
    columns = [column for column in law_columns() if column.rate == "initial"]
    of_noise = [each for each in columns if each.formula.quantity == "gradient_noise_trace"]
    of_hessian = [each for each in columns if each.formula.quantity == "hessian_trace"]
    return [
        Finding(_difference(curved, noisy, rows), support=support)
        for curved in of_hessian
        for noisy in of_noise
    ]


def _difference(curved: LawColumn, noisy: LawColumn, rows: Sequence[Table1Row]) -> str:
    logs = []
    for row in rows:
        rate, size = row.cell.learning_rate, row.cell.batch_size
        factor = math.log(curved.formula.factor(rate, size) / noisy.formula.factor(rate, size))
        found = _log(row.law_difference)
        bounds = (None if b is None else factor - b for b in (found.high, found.low))
        logs.append(Interval(factor - found.value, *bounds))
    names = [laws()[each.law].human_name for each in (curved, noisy)]
    pooled = _pooled(logs)
    return (
        f"{names[0]} predicts {_times(math.exp(pooled.value))} what {names[1]} predicts: "
        f"{ratio_text(pooled)}"
    )


def _open_question(data: SweepData) -> str:
    if not data.measurements["value"].notna().any():
        return "Nothing is measured yet"
    lacking = lacking_statistics(data)
    if not lacking:
        return "Which law holds, as no seed has a sound number on both sides of one"
    return f"Which law holds, as {listed(lacking)} {'is' if lacking[0].name == 'fork' else 'are'} not measured"


def _log(ratio: Uncertain) -> Interval:
    """Return ln of a positive ratio, to first order."""
    return Uncertain(math.log(ratio.value), ratio.stderr / ratio.value, ratio.degrees).interval()


def _pooled(logs: Sequence[Interval]) -> Interval:
    """Average over cells, as the league does."""
    return logs[0] if len(logs) == 1 else mean_of_units([each.value for each in logs]).interval()


def _cell(cell: Cell) -> str:
    return f"BS {cell.batch_size}, LR {cell.learning_rate:g}"
