"""Tables of the findings about the laws: verdicts by cell, and the league."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.findings.law_rows import LawRow, at_the_end
from analysis.findings.league import Standing
from analysis.mathematics.uncertain import Uncertain
from analysis.predictions import laws
from analysis.text.interval_text import ratio_text, three_digits
from analysis.text.named import Named
from analysis.text.number import written
from analysis.text.number_text import NOTHING, with_error
from analysis.text.text_table import TextTable
from workers.contract.quantities import GLOSSARY

VERDICT_NOTES = (
    "holds: the 95 % interval of measured/predicted lies within 10 % of 1; fails: wholly outside; "
    "undecided: neither; agrees: within, though an assumption of the law is broken. valid: no checked "
    "assumption of the law is broken.",
)

_LEAGUE_NOTE = (
    "measured/predicted: geometric mean over cells, with the 95 % interval over cells. hold, fail: "
    "single cells, by their intervals alone. A law holds if every cell holds, or the interval lies within 10 % of 1 and no cell "
    "fails; it fails if every cell fails, or the interval lies wholly outside. valid: cells that meet its "
    "assumptions, of all; where there are any, they alone give measured/predicted and the verdict; where there is none, a "
    "law that would hold only agrees."
)


def verdict_tables(rows: Sequence[LawRow]) -> list[TextTable]:
    """Tabulate every law beside the measurement in every cell, at the end of each excursion."""
    last = sorted(at_the_end(rows), key=lambda row: (row.excursion, row.prediction))
    return [
        _verdict_table(target, [row for row in last if row.target == target])
        for target in sorted({row.target for row in last})
    ]


def _verdict_table(target: str, rows: Sequence[LawRow]) -> TextTable:
    labels = [excursion_label(row, rows) for row in rows]
    by = f", measured by {labels[0]}" if len(set(labels)) == 1 else ""
    columns = ("law", "BS", "LR", *(() if by else ("measured by",)), "predicted", "measured")
    return TextTable(
        f"{GLOSSARY[target].symbol}: what the laws say, and what was measured{by}",
        (*columns, "measured/predicted", "verdict", "valid"),
        tuple(
            (
                law_text(row.prediction),
                written(row.cell.batch_size, "d"),
                written(row.cell.learning_rate),
                *(() if by else (label,)),
                _value(row.predicted, row.predicted_stderr),
                _value(row.measured, row.measured_stderr),
                ratio_text(row.log_ratio),
                row.told or NOTHING,
                "yes" if row.is_valid else "no",
            )
            for row, label in zip(rows, labels, strict=True)
        ),
        VERDICT_NOTES,
        num_left=1,
    )


def league_tables(standings: Sequence[Standing]) -> list[TextTable]:
    """Tabulate the ranking of the laws over all cells, one table per quantity."""
    return [
        _league_table(target, [item for item in standings if item.target == target])
        for target in sorted({item.target for item in standings})
    ]


def _league_table(target: str, standings: Sequence[Standing]) -> TextTable:
    columns = ("law", "measured by", "|ln ratio|", "measured/predicted", "hold", "fail", "verdict")
    return TextTable(
        f"{GLOSSARY[target].symbol}: league of the laws by median |ln(measured/predicted)|",
        (*columns, "valid"),
        tuple(
            (
                law_text(standing.prediction),
                _way(standing),
                three_digits(standing.median_distance),
                ratio_text(standing.judged[0]),
                written(standing.cell_verdicts.get("holds", 0), "d"),
                written(standing.cell_verdicts.get("fails", 0), "d"),
                standing.told or NOTHING,
                f"{standing.num_valid}/{standing.num_cells}",
            )
            for standing in standings
        ),
        (
            " ".join(
                filter(None, (_LEAGUE_NOTE, _windows_note(standings), _without_note(standings)))
            ),
        ),
        num_left=2,
    )


def _windows_note(standings: Sequence[Standing]) -> str:
    ranked = {item.prediction for item in standings}
    found = [law for law in laws().values() if law.name in ranked and law.windows == "every"]
    if not found:
        return "Laws are judged by the longest window of forks and by tails."
    names = "; ".join(law.human_name for law in found)
    return f"Every window of forks judges these: {names}. The longest one, and tails, judge the other laws."


def _without_note(standings: Sequence[Standing]) -> str:
    """Name the laws that leave cells out, so that they do not hold; empty where none does."""
    counts = [
        f"{laws()[item.prediction].human_name}, {_way(item)}: {item.num_without_ratio}"
        for item in standings
        if item.num_without_ratio
    ]
    if not counts:
        return ""
    return f"Cells without a ratio, as a side is not positive, so that no law holds there: {'; '.join(counts)}."


def _way(standing: Standing) -> str:
    is_shuffled = standing.sampler == "shuffle"
    return f"{standing.measured_by}, {standing.bn_mode}{', shuffled' if is_shuffled else ''}"


def law_text(name: str) -> str:
    """Return the identifier of a law, named as sentences call it."""
    title = laws()[name].title
    return name if title is None else Named(name, title)


def excursion_label(row: LawRow, among: Sequence[LawRow]) -> str:
    """Return a measurement's label by what differs among the rows: `fork 512`, `tail, batch`."""
    parts = [row.measured_by if row.num_steps is None else f"{row.measured_by} {row.num_steps}"]
    if len({item.bn_mode for item in among}) > 1:
        parts.append(row.bn_mode)
    if len({item.sampler for item in among}) > 1:
        parts.append(row.sampler)
    of_cell = {item.learning_rate_used for item in among if item.cell == row.cell}
    if len(of_cell) > 1:
        parts.append(f"η {row.learning_rate_used:g}")
    return ", ".join(parts)


def _value(value: float, stderr: float) -> str:
    return with_error(Uncertain(value, stderr))
