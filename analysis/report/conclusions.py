"""All conclusions about the laws from a sweep's records, collected in one place."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from analysis.evidence.covariance import CellCovariance, covariances
from analysis.evidence.layers import CellLayers, layer_agreement
from analysis.findings.law_rows import LawRow, law_rows
from analysis.findings.league import Standing, league
from analysis.findings.table1 import Table1
from analysis.paper.claim import Claim
from analysis.paper.claims import claims
from analysis.paper.conventions import Convention, conventions
from analysis.paper.curve_claims import CurvePair, curve_claims, curve_pairs
from analysis.paper.factors import FactorTest, factor_tests, trial_values
from analysis.paper.orderings import Ordering, orderings
from analysis.paper.trace_points import paper_points, paper_values, points_of
from analysis.records.cell import Cell
from analysis.records.cell_states import cell_states
from analysis.records.load import SweepData


@dataclass(frozen=True)
class Conclusions:
    """The contents of the report's section "Which law holds".

    Attributes:
        cells: Those of the sweep's plan.
        rows: Every law beside every measurement.
        standings: The league.
        validity: View `validity`.
        statistic_names: Names of the statistics by id.
        covariances: Along top eigenvectors, by cell and fork.
        layers: Noise against curvature over layers, by cell.
        factors: F-tests.
        claims: The paper's claims about its Table 1, on this sweep; empty when no trace is
            measured.
        paper_claims: The same claims on the printed Table 1.
        curve_pairs: Learning curves of two cells each, compared.
        curve_claims: The paper's claims about its Figures 2 and 3; empty before a trial is trained.
        conventions: Conventions of measuring, the closest to the paper first.
        orderings: Ways of measuring, each against the order of the paper's traces.
    """

    cells: list[Cell]
    rows: list[LawRow]
    standings: list[Standing]
    validity: pd.DataFrame
    statistic_names: dict[str, str]
    covariances: list[CellCovariance]
    layers: list[CellLayers]
    factors: list[FactorTest]
    claims: list[Claim]
    paper_claims: list[Claim]
    curve_pairs: list[CurvePair]
    curve_claims: list[Claim]
    conventions: list[Convention]
    orderings: list[Ordering]

    @property
    def has_measured_laws(self) -> bool:
        """Whether the left side of any law was measured."""
        return bool(self.rows)


def conclude(
    data: SweepData,
    table: Table1,
    *,
    predictions: pa.Table,
    validity: pa.Table,
    cell_measurements: pa.Table,
) -> Conclusions:
    """Draw all conclusions from a sweep's records and its derived views."""
    found: pd.DataFrame = predictions.to_pandas()
    points, values, pairs = points_of(table), trial_values(data), curve_pairs(data)
    return Conclusions(
        cells=data.cells,
        rows=law_rows(found),
        standings=league(found),
        validity=validity.to_pandas(),
        statistic_names={item.statistic_id: item.statistic.name for item in data.plan.statistics},
        covariances=covariances(data),
        layers=layer_agreement(data),
        factors=factor_tests(values) if points else [],
        claims=claims(points, values) if points else [],
        paper_claims=claims(paper_points(), paper_values()),
        curve_pairs=pairs,
        curve_claims=[] if data.epochs.empty else curve_claims(pairs),
        conventions=conventions(data, cell_measurements.to_pandas(), cell_states(data)),
        orderings=orderings(data),
    )
