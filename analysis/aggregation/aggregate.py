"""The aggregation job: from a sweep's records to its derived views."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from analysis.aggregation.agreement_rows import agreement_rows
from analysis.aggregation.cell_measurements import cell_measurements
from analysis.aggregation.cells import cells
from analysis.aggregation.conclusion import Conclusion, keep
from analysis.aggregation.predictions_view import predictions
from analysis.evidence.agreement import agreement
from analysis.evidence.conditions import all_conditions
from analysis.evidence.validity import validity
from analysis.findings.lacking import lacking_statistics, num_measured_seeds
from analysis.findings.table1 import build_table1
from analysis.records.cell_states import cell_states
from analysis.records.load import SweepData, load_sweep
from workers.contract.commits import DERIVED_VIEWS
from workers.contract.store import Store


@dataclass(frozen=True)
class Aggregated:
    """The derived views of one sweep, in the columns of the store's schema."""

    cell_measurements: pa.Table
    cells: pa.Table
    predictions: pa.Table
    validity: pa.Table


def aggregate_records(data: SweepData) -> Aggregated:
    """Compute all derived views of a sweep; a pure function of its records."""
    states = cell_states(data)
    compared = agreement(data)
    conditions = all_conditions(data, states, compared)
    sweep = data.plan.sweep
    return Aggregated(
        cell_measurements=cell_measurements(data),
        cells=cells(data, states),
        predictions=predictions(sweep, conditions),
        validity=pa.concat_tables([validity(sweep, conditions), agreement_rows(data, compared)]),
    )


def aggregate(store: Store, sweep: str) -> Aggregated:
    """Compute the derived views of a sweep's current plan and replace those in the store.

    Raises:
        UserError: There is no such sweep in the store.
        StoreError: The store cannot be read or written.
    """
    return aggregate_into(store, load_sweep(store, sweep))


def aggregate_into(store: Store, data: SweepData) -> Aggregated:
    """Compute the derived views of a sweep's records, replace those in the store, and keep what follows from them.

    Raises:
        StoreError: The store cannot be written.
    """
    found = aggregate_records(data)
    _put(store, data, found)
    return found


def conclude_anew(store: Store, data: SweepData) -> Conclusion:
    """Do as `aggregate_into`, and return what a person is told of it.

    Raises:
        StoreError: The store cannot be written.
    """
    return _put(store, data, aggregate_records(data))


def conclusion_of(data: SweepData) -> Conclusion:
    """Compute what a person is told of a sweep's records; writes nothing."""
    return _told(data, aggregate_records(data))


def _put(store: Store, data: SweepData, found: Aggregated) -> Conclusion:
    """Replace the derived views in the store, and keep and return what a person is told of them."""
    written = {
        view: store.replace_derived(view, data.plan.sweep, getattr(found, view))
        for view in DERIVED_VIEWS
    }
    told = _told(data, found)
    keep(store, data, told, written)
    return told


def _told(data: SweepData, found: Aggregated) -> Conclusion:
    return Conclusion(
        build_table1(data),
        lacking_statistics(data),
        num_measured_seeds(data, "excess_loss")[1],
        found.predictions,
        found.validity,
    )
