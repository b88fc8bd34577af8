"""The report's sections "Which law holds" and "What the paper says, tested"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from analysis.aggregation.agreement_rows import disagreement_line
from analysis.figures.covariance_figure import covariance_figure
from analysis.figures.figure_data import covariance_data, forks_data, parity_data
from analysis.figures.fork_figure import (
    MOST_PANELS,
    curve_laws,
    fork_figure,
    fork_panels,
    level_laws,
)
from analysis.figures.parity_figure import parity_figure
from analysis.figures.style.crowd import crowd_said, is_crowd
from analysis.figures.sweep_figures import FigureRecipe
from analysis.findings.league import Standing
from analysis.query.covariance_query import covariance_query
from analysis.query.figure_queries import forks_query, parity_query
from analysis.report.answer import chief_standings
from analysis.report.conclusions import Conclusions
from analysis.report.web.page import FigurePart, Folded, Paragraph, Part, Section, Table, tables
from analysis.tables.assumption_tables import covariance_table, layer_table, validity_tables
from analysis.tables.curve_tables import curve_claims_table, curve_pairs_table
from analysis.tables.law_tables import league_tables, verdict_tables
from analysis.tables.paper_tables import (
    claims_table,
    conventions_table,
    factor_table,
    orderings_table,
)
from analysis.text.number_text import plain

_MOST_SHARES = 4

WHICH_LAW = (
    "Every law says what one quantity should be; here that quantity is measured, by letting SGD "
    "continue from the trained weights at a constant rate: in forks, many independent streams for "
    "few steps, or in a tail, one long run. A law is believed only where the interval of "
    "measured/predicted lies within 10 % of 1: a wide interval is no support."
)
NOT_MEASURED = "Nothing of this is measured yet."


def law_section(found: Conclusions, figures: Mapping[str, FigurePart]) -> Section:
    """Return what is measured of the laws, beside what they say; `figures` are by name."""
    return Section("Which law holds", [Paragraph(WHICH_LAW), *_measured(found, figures)])


def paper_section(found: Conclusions) -> Section:
    """Return the section that tests the paper's claims; it needs no measured law."""
    is_beside_paper = bool(found.conventions and found.conventions[0].num_cells)
    tested = [
        factor_table(found.factors) if found.factors else None,
        claims_table(found.claims, found.paper_claims) if found.claims else None,
        curve_claims_table(found.curve_claims) if found.curve_claims else None,
        orderings_table(found.orderings),
        conventions_table(found.conventions) if is_beside_paper else None,
    ]
    pairs = curve_pairs_table(found.curve_pairs)
    folded = [] if pairs is None else [Folded("Every pair of curves", [Table(pairs)])]
    return Section("What the paper says, tested", [*tables(tested), *folded])


def one_a_law(standings: Sequence[Standing]) -> list[Standing]:
    """Keep one standing a law and quantity, as the first screen does."""
    targets = dict.fromkeys(each.target for each in standings)
    return [
        each
        for target in targets
        for each in chief_standings([item for item in standings if item.target == target])
    ]


def _measured(found: Conclusions, figures: Mapping[str, FigurePart]) -> list[Part]:
    line = disagreement_line(found.validity)
    drawn_here = {name: figures[name] for name in LAW_FIGURES if name in figures}
    return [
        *([] if found.has_measured_laws else [Paragraph(NOT_MEASURED, "note")]),
        *tables(league_tables(found.standings)),
        *(drawn_here[name] for name in ("fork_curve", "parity") if name in drawn_here),
        *tables(verdict_tables(found.rows)),
        *(drawn_here[name] for name in ("covariance",) if name in drawn_here),
        *tables([covariance_table(found.covariances), layer_table(found.layers)]),
        *([Paragraph(line, "note")] if line else []),
        *tables(validity_tables(found.validity, found.statistic_names)),
    ]


_COVARIANCE = (
    "Left: variance of SGD along the top eigenvectors of H over what the laws say, with 95 % "
    "intervals: the same η/2m in every direction (Jastrzębski), or cη/(mλ(2 - ηλ)) after the same "
    "number of steps (Wang). Right: gradient noise c along each eigenvector against its "
    "eigenvalue λ; on the line if σ² = H."
)


def _parity_caption(found: Conclusions) -> str:
    cells = {row.cell for row in found.rows}
    error = "" if is_crowd(cells) else ", with one standard error"
    return (
        f"A mark for each law and cell{error}: of laws of a stationary state at the end of each excursion, of laws of "
        "finite time at each of its windows; hollow "
        "where an assumption of the law is broken. Laws on the grey line are right; the factors beside their "
        "names are those of the league, by forks with the sampler that the law is for where it was measured "
        f"in several ways.{crowd_said(cells)}"
    )


def _fork_caption(found: Conclusions) -> str:
    panels = fork_panels(found.rows)
    rows = [row for panel in panels for row in panel]
    curves, levels = (
        "; ".join(law.human_name for law in laws) for laws in (curve_laws(rows), level_laws(rows))
    )
    sentences = [
        "Mean over independent streams from one point, each window shown at its last step, with one "
        "standard error.",
        "LR above a panel is the initial rate, η the constant one of its forks where that differs.",
        f"Curves: what the loss should be after so many steps ({curves})." if curves else "",
        f"Horizontal lines: where it should settle ({levels})." if levels else "",
        "Share of tr σ² in directions that T steps do not equilibrate (ηλT < 1): "
        f"{_shares(found)}.",
        f"{len(panels) - MOST_PANELS} further panels are not shown."
        if len(panels) > MOST_PANELS
        else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _shares(found: Conclusions) -> str:
    validity = found.validity
    rows = validity[validity["test"] == "unequilibrated_share"]
    rows = rows[rows["statistic_id"].map(found.statistic_names) == "fork"]
    groups = rows.groupby(
        ["batch_size", "learning_rate", "learning_rate_used", "bn_mode"], observed=True
    )
    by_share = sorted(
        (
            median(group["value"]),
            f"{plain(100 * median(group['value']), 2)} % at BS {size}, LR {rate:g}",
        )
        for (size, rate, *_), group in groups
    )
    if len(by_share) > _MOST_SHARES:
        return f"{by_share[0][1]}, to {by_share[-1][1]}"
    return ", ".join(text for _, text in by_share) or "not known"


LAW_FIGURES: dict[str, FigureRecipe[[Conclusions]]] = {
    "fork_curve": FigureRecipe(
        "Excess loss of forks",
        lambda found: fork_figure(found.rows),
        _fork_caption,
        lambda found: forks_data(found.rows),
        forks_query,
    ),
    "parity": FigureRecipe(
        "Measured against predicted",
        lambda found: parity_figure(found.rows, one_a_law(found.standings)),
        _parity_caption,
        lambda found: parity_data(found.rows),
        parity_query,
    ),
    "covariance": FigureRecipe(
        "Covariance along the top eigenvectors of H",
        lambda found: covariance_figure(found.covariances, found.cells),
        lambda found: _COVARIANCE + crowd_said({each.cell for each in found.covariances}),
        lambda found: covariance_data(found.covariances),
        covariance_query,
    ),
}
"""By name."""
