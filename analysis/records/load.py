"""The records of one sweep: its plan, and those of the trials and statistics in it.

Records are selected by the identities in the plan, never by a sweep's name, so trials shared by
several sweeps serve each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.records.cell import CELL_COLUMNS, Cell, cells_of
from analysis.records.series import WholeModel, whole_model
from workers.contract.errors import StoreError, did_you_mean, user_error
from workers.contract.identity import earlier_statistic_ids
from workers.contract.plan_document import PlanDocument
from workers.contract.plans import list_revisions, list_sweeps, newest_plan, read_plan
from workers.contract.store import Store


@dataclass(frozen=True)
class SweepData:
    """A sweep's plan and its records.

    Attributes:
        plan: The revision that was loaded.
        planned: One row per planned trial: trial_id, loss, batch_size, learning_rate, seed.
        trials: View `trials`, the planned ones that are committed.
        epochs: View `epochs` of these, with the columns of `planned`; η in an epoch is
            `epoch_learning_rate` here, as `learning_rate` is that of the cell.
        measurements: View `measurements` of planned trials and statistics, with those columns.
            Where only an earlier numerics version measured a statistic, its rows have the planned
            `statistic_id`; `is_earlier` is true of all rows that a version before this one
            measured, whichever version planned them.
        spectra: View `spectra` of planned trials and statistics, likewise.
        failures: View `failures` of planned trials.
        with_model: Ids of trials, planned or not, whose trained network is kept.
    """

    plan: PlanDocument
    planned: pd.DataFrame
    trials: pd.DataFrame
    epochs: pd.DataFrame
    measurements: pd.DataFrame
    spectra: pd.DataFrame
    failures: pd.DataFrame
    with_model: frozenset[str]

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


def view_frame(store: Store, view: str) -> pd.DataFrame:
    """Load a whole view as a pandas frame."""
    frame: pd.DataFrame = store.read(view).to_pandas()
    return frame


def load_plan(store: Store, sweep: str, revision: str | None = None) -> PlanDocument:
    """Load one revision of a sweep's plan, by default the current one: the last that is valid.

    Raises:
        UserError: There is no such sweep or revision in the store.
        StoreError: The document exists and is not a plan; by default, none of them is one.
    """
    revisions = list_revisions(store, sweep)
    if not revisions:
        known = list_sweeps(store)
        mend = did_you_mean(sweep, known) if known else "run a sweep into this store first"
        raise user_error(f"no sweep {sweep!r} in the store", where=store.uri, mend=mend)
    if revision is not None and revision not in revisions:
        mend = did_you_mean(revision, revisions)
        raise user_error(f"no revision {revision!r} of {sweep!r}", where=store.uri, mend=mend)
    plan = newest_plan(store, sweep) if revision is None else read_plan(store, sweep, revision)
    if isinstance(plan, PlanDocument):
        return plan
    path = store.plan_path(sweep, revision or revisions[-1])
    raise StoreError(f"{path} in the store {store.uri} is not a plan: {plan or 'it is damaged'}")


def load_sweep(store: Store, sweep: str, revision: str | None = None) -> SweepData:
    """Load a sweep's plan and every record that belongs to it.

    Raises:
        UserError: There is no such sweep or revision in the store.
    """
    plan = load_plan(store, sweep, revision)
    planned = planned_frame(plan)
    trials = _of_planned(view_frame(store, "trials"), planned)
    epochs = view_frame(store, "epochs").rename(columns={"learning_rate": "epoch_learning_rate"})
    measured = {
        view: _of_planned_statistics(view_frame(store, view), plan).merge(planned, on="trial_id")
        for view in ("measurements", "spectra")
    }
    return SweepData(
        plan=plan,
        planned=planned,
        trials=trials,
        epochs=epochs.merge(planned, on="trial_id"),
        measurements=measured["measurements"],
        spectra=measured["spectra"],
        failures=_of_planned(view_frame(store, "failures"), planned),
        with_model=frozenset(map(Store.model_trial, store.names("models"))),
    )


def planned_frame(plan: PlanDocument) -> pd.DataFrame:
    """Return the planned trials with their cell and seed, one row each."""
    rows = [
        (item.trial_id, trial.loss, trial.batch_size, trial.learning_rate, trial.seed)
        for item in plan.trials
        for trial in (item.trial,)
    ]
    return pd.DataFrame(rows, columns=["trial_id", *CELL_COLUMNS, "seed"])


def _of_planned_statistics(frame: pd.DataFrame, plan: PlanDocument) -> pd.DataFrame:
    """Return the rows of planned statistics, for each trial those under the best identity found."""
    accepted = pd.DataFrame(
        [
            (identity, planned.statistic_id, rank, identity in earlier)
            for planned in plan.statistics
            for earlier in (earlier_statistic_ids(planned.statistic),)
            for rank, identity in enumerate(planned.accepted_ids)
        ],
        columns=["statistic_id", "planned_id", "rank", "is_earlier"],
    )
    found = frame.merge(accepted, on="statistic_id")
    best = found.groupby(["trial_id", "planned_id"])["rank"].transform("min")
    found = found[found["rank"] == best]
    found = found.assign(statistic_id=found["planned_id"])
    return found.drop(columns=["planned_id", "rank"])


def _of_planned(frame: pd.DataFrame, planned: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["trial_id"].isin(planned["trial_id"])].reset_index(drop=True)
