"""The records of one sweep: its plan, and those of the trials and statistics in it.

Records are selected by the identities in the plan, never by a sweep's name, so trials shared by
several sweeps serve each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.records.cell import CELL_COLUMNS, Cell, cells_of
from analysis.records.plan import load_plan
from analysis.records.series import WholeModel, whole_model
from workers.contract.identity import earlier_statistic_ids
from workers.contract.plan_document import PlanDocument
from workers.contract.record_digest import RecordName, names_of, record_digest
from workers.contract.schema import VIEWS
from workers.contract.store import Store
from workers.contract.view_rows import ViewRows


@dataclass(frozen=True, eq=False)
class SweepData:
    """A sweep's plan and its records.

    Attributes:
        plan: The revision that was loaded.
        planned: One row per planned trial: trial_id, loss, batch_size, learning_rate, seed.
        trials: View `trials`, the planned ones that are committed.
        epochs: View `epochs` of these, with the columns of `planned`; η in an epoch is
            `epoch_learning_rate` here, as `learning_rate` is that of the cell.
        measurements: View `measurements` of planned trials and statistics, with those columns.
            Texts are categories in alphabetical order, as in `epochs` and `spectra`.
            Where only an earlier numerics version measured a statistic, its rows have the planned
            `statistic_id`; `is_earlier` is true of all rows that a version before this one
            measured, whichever version planned them.
        spectra: View `spectra` of planned trials and statistics, likewise.
        failures: View `failures` of planned trials.
        with_model: Ids of trials, planned or not, whose trained network is kept.
        records: Digest of which records of planned trials these are; empty where it is not known.
    """

    plan: PlanDocument
    planned: pd.DataFrame
    trials: pd.DataFrame
    epochs: pd.DataFrame
    measurements: pd.DataFrame
    spectra: pd.DataFrame
    failures: pd.DataFrame
    with_model: frozenset[str]
    records: str = ""

    @property
    def statistic_ids(self) -> list[str]:
        """Those of the plan, in the order listed under `measure`."""
        return [each.statistic_id for each in self.plan.statistics]

    @cached_property
    def whole_model(self) -> WholeModel:
        """The sound whole-model rows of `measurements`, as series over seeds."""
        return whole_model(self.measurements)

    @cached_property
    def cells(self) -> list[Cell]:
        """The planned cells, sorted."""
        return sorted(set(cells_of(self.planned)))


def load_sweep(store: Store, sweep: str, revision: str | None = None) -> SweepData:
    """Load a sweep's plan and every record that belongs to it.

    Raises:
        UserError: There is no such sweep or revision in the store.
    """
    return load_records(store, load_plan(store, sweep, revision))


def load_records(store: Store, plan: PlanDocument) -> SweepData:
    """Load every record that belongs to a plan."""
    planned = planned_frame(plan)
    epochs = store.rows("epochs").coded_table()
    names: list[RecordName] = []

    def read(view: str) -> pa.Table:
        commits = list(store.winners(view).values())
        names.extend(names_of(view, commits))
        return ViewRows(view, commits).coded_table()

    with_model = frozenset(map(Store.model_trial, store.names("models")))
    return SweepData(
        plan=plan,
        planned=planned,
        trials=_of_planned(read("trials"), planned).cast(VIEWS["trials"]).to_pandas(),
        epochs=_with_cells(
            _of_planned(epochs, planned).rename_columns({"learning_rate": "epoch_learning_rate"}),
            planned,
        ),
        measurements=_of_planned_statistics(read("measurements"), plan, planned),
        spectra=_of_planned_statistics(read("spectra"), plan, planned),
        failures=_of_planned(read("failures"), planned).cast(VIEWS["failures"]).to_pandas(),
        with_model=with_model,
        records=record_digest(names, with_model, set(planned["trial_id"])),
    )


def planned_frame(plan: PlanDocument) -> pd.DataFrame:
    """Return the planned trials with their cell and seed, one row each."""
    rows = [
        (item.trial_id, trial.loss, trial.batch_size, trial.learning_rate, trial.seed)
        for item in plan.trials
        for trial in (item.trial,)
    ]
    return pd.DataFrame(rows, columns=["trial_id", *CELL_COLUMNS, "seed"])


def _of_planned_statistics(
    rows: pa.Table, plan: PlanDocument, planned: pd.DataFrame
) -> pd.DataFrame:
    """Return the rows of planned statistics, for each trial those under the best identity found."""
    accepted = [
        (identity, place, rank, identity in earlier)
        for place, item in enumerate(plan.statistics)
        for earlier in (earlier_statistic_ids(item.statistic),)
        for rank, identity in enumerate(item.accepted_ids)
    ]
    identities, *about = zip(*accepted, strict=True) if accepted else ((), (), (), ())
    rows = _of_planned(rows, planned)
    rows = _only(rows, _places(rows, "statistic_id", identities) >= 0)
    found = _places(rows, "statistic_id", identities)
    place, rank, is_earlier = (np.array(each, np.int32)[found] for each in about)
    of_trial = _places(rows, "trial_id", planned["trial_id"])
    best = np.full((len(planned), len(plan.statistics)), len(accepted), np.int32)
    np.minimum.at(best, (of_trial, place), rank)
    names = pa.array([item.statistic_id for item in plan.statistics], pa.string())
    rows = rows.set_column(
        rows.column_names.index("statistic_id"),
        "statistic_id",
        pa.DictionaryArray.from_arrays(place, names),
    )
    rows = rows.append_column("is_earlier", pa.array(is_earlier.astype(bool)))
    return _with_cells(_only(rows, rank == best[of_trial, place]), planned)


def _of_planned(rows: pa.Table, planned: pd.DataFrame) -> pa.Table:
    return _only(rows, _places(rows, "trial_id", planned["trial_id"]) >= 0)


def _with_cells(rows: pa.Table, planned: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of planned trials, each with the cell and seed of its trial."""
    of_rows = _places(rows, "trial_id", planned["trial_id"])
    known = planned.astype({"loss": "category"})
    columns = {name: _series(rows.column(name)) for name in rows.column_names}
    columns |= {name: known[name].take(of_rows) for name in (*CELL_COLUMNS, "seed")}
    return pd.DataFrame({name: column.array for name, column in columns.items()}, copy=False)


def _series(column: pa.ChunkedArray[Any]) -> pd.Series[Any]:
    """Return a column, texts as categories in their order."""
    series: pd.Series[Any] = column.to_pandas()
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series.cat.reorder_categories(sorted(series.cat.categories))
    return series


def _places(rows: pa.Table, column: str, known: Iterable[str]) -> npt.NDArray[np.int32]:
    """Return, of each row [n], which of the known texts it has in a column of ids; -1 where it has none of them."""
    texts = rows.column(column).combine_chunks()
    assert isinstance(texts, pa.DictionaryArray)  # noqa: S101 - as `coded_table` says
    found = pc.index_in(texts.dictionary, value_set=pa.array(known, pa.string())).to_pylist()
    of_words = np.array([-1 if place is None else place for place in found], np.int32)
    codes: npt.NDArray[np.int32] = np.from_dlpack(texts.indices)  # type: ignore[assignment]  # as Arrow says
    return of_words[codes]


def _only(rows: pa.Table, is_wanted: npt.NDArray[np.bool_]) -> pa.Table:
    """Return the wanted rows."""
    return rows if is_wanted.all() else rows.filter(pa.array(is_wanted))
