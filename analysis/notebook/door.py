"""The notebook's way into a store: its queries, in the order in which a reader needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.notebook.arguments import text
from analysis.notebook.frames import view_of
from workers.contract.errors import did_you_mean, user_error
from workers.contract.plans import list_sweeps
from workers.contract.store import Store
from workers.contract.store_place import open_existing

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from analysis.notebook.shown_table1 import ShownTable1


_SWEEP = "the name of a sweep"


def opened(uri: object) -> NotebookStore:
    """Open a store that exists.

    Raises:
        UserError: There is no such folder, it holds none of a store's, or the URI is not text.
        StoreError: The place cannot be read.
    """
    place = text(uri, "open_store(uri)", "the place of a store")
    return NotebookStore(open_existing(place, f"open_store({place!r})"))


class NotebookStore:
    """A store, opened for reading. Frames describe their columns in `frame.attrs["columns"]`.

    A view takes the name of a sweep: where the view has a column `sweep` its rows of that name, else
    the rows of the trials that the sweep's current plan asks for, whatever sweep trained them. Views
    that the aggregation job makes (`cells`, …) are as it last left them.
    """

    # Matplotlib, SciPy and DuckDB are imported where needed, so that a frame takes under a second.

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"open_store({self._store.uri!r})"

    def sweeps(self) -> list[str]:
        """Return the names of the sweeps that were planned in this store, sorted."""
        return list_sweeps(self._store)

    # Views ------------------------------------------------------------------------------------

    def sweep_trials(self, sweep: str | None = None) -> pd.DataFrame:
        """Return which trials each revision of a sweep's plan asks for."""
        return view_of(self._store, "sweep_trials", sweep)

    def trials(self, sweep: str | None = None) -> pd.DataFrame:
        """Return the trained trials, one row each."""
        return view_of(self._store, "trials", sweep)

    def epochs(self, sweep: str | None = None) -> pd.DataFrame:
        """Return loss and accuracy by epoch of the trained trials."""
        return view_of(self._store, "epochs", sweep)

    def measurements(self, sweep: str | None = None) -> pd.DataFrame:
        """Return every measured number of every trial, whichever sweep asked for it."""
        return view_of(self._store, "measurements", sweep)

    def spectra(self, sweep: str | None = None) -> pd.DataFrame:
        """Return the nodes λ and weights w of the Lanczos quadratures."""
        return view_of(self._store, "spectra", sweep)

    def cell_measurements(self, sweep: str | None = None) -> pd.DataFrame:
        """Return every quantity as its mean over the seeds of a cell."""
        return view_of(self._store, "cell_measurements", sweep)

    def cells(self, sweep: str | None = None) -> pd.DataFrame:
        """Return the cells with their state and whole-model quantities, one row each."""
        return view_of(self._store, "cells", sweep)

    def predictions(self, sweep: str | None = None) -> pd.DataFrame:
        """Return the prediction of every law beside the measured value."""
        return view_of(self._store, "predictions", sweep)

    def validity(self, sweep: str | None = None) -> pd.DataFrame:
        """Return whether the assumptions of the laws hold, trial by trial."""
        return view_of(self._store, "validity", sweep)

    def failures(self, sweep: str | None = None) -> pd.DataFrame:
        """Return the failed attempts, one row each."""
        return view_of(self._store, "failures", sweep)

    def sql(self, query: str) -> pd.DataFrame:
        """Return the answer to one reading statement over the views, as `minima query` does.

        Its columns are the query's own; none is described in `attrs`.

        Raises:
            UserError: It is not one reading statement, or DuckDB refuses it.
        """
        from analysis.query.sql import query as answer

        asked = text(query, "sql(query)", "a statement")
        frame: pd.DataFrame = answer(self._store, asked).to_pandas()
        return frame

    # Findings ---------------------------------------------------------------------------------

    def table1(self, sweep: str) -> ShownTable1:
        """Return Table 1 of a sweep's current plan, computed from its records.

        Raises:
            UserError: There is no such sweep in the store.
        """
        from analysis.findings.table1 import table1
        from analysis.notebook.shown_table1 import ShownTable1

        name = text(sweep, "table1(sweep)", _SWEEP)
        return ShownTable1(table1(self._store, name))

    def figures(self, sweep: str | None = None) -> list[str]:
        """Return the names of the figures; of a given sweep, those that have something to show.

        Raises:
            UserError: There is no such sweep in the store.
        """
        from analysis.notebook.figures import FIGURE_NAMES, build_figures
        from analysis.records.load import load_sweep

        if sweep is None:
            return list(FIGURE_NAMES)
        name = text(sweep, "figures(sweep)", _SWEEP)
        return list(build_figures(load_sweep(self._store, name), FIGURE_NAMES))

    def figure(self, name: str, sweep: str) -> Figure:
        """Return a figure of the report, drawn from the sweep's records.

        Raises:
            UserError: There is no such figure or sweep, or nothing of it is measured yet.
        """
        from analysis.notebook.figures import FIGURE_NAMES, build_figures
        from analysis.records.load import load_sweep

        text(name, "figure(name, sweep)", "the name of a figure")
        text(sweep, "figure(name, sweep)", _SWEEP)
        where = f"figure({name!r}, {sweep!r})"
        if name not in FIGURE_NAMES:
            mend = did_you_mean(name, FIGURE_NAMES)
            raise user_error(f"no figure named {name!r}", where=where, mend=mend)
        found = build_figures(load_sweep(self._store, sweep), [name])
        if name not in found:
            raise user_error(
                f"nothing of the figure {name!r} is measured in {sweep!r} yet",
                where=where,
                mend=f"figures({sweep!r}) names those that have something to show",
            )
        return found[name]

    def model(self, trial_id: str) -> keras.Model:
        """Return the trained network of a trial, which Keras can call, train and save.

        The only call that imports TensorFlow. No code stored in the file is run (Keras' safe mode):
        layers of a package of your own are found after you import that package.

        Raises:
            UserError: There is no such trial, or no kept network of it that can be read.
        """
        from analysis.notebook.trained_model import trained_model

        name = text(trial_id, "model(trial_id)", "the identity of a trial")
        return trained_model(self._store, name)
