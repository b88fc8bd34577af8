"""The numbers that figures show, a row for each mark, as frames with the names that records have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from analysis.evidence.covariance import CellCovariance
from analysis.figures.heat_maps import map_panels
from analysis.figures.layers_figure import LAYER_QUANTITIES
from analysis.figures.spectrum_figure import chosen_densities
from analysis.findings.law_rows import LawRow, where_they_speak
from analysis.findings.measured import MeasuredCells
from analysis.findings.spectral_density import MEDIAN_COLUMNS, NoiseMedian, SpectralDensity
from analysis.findings.table1 import Table1
from analysis.mathematics.interval import Interval
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import CELL_COLUMNS, Cell
from analysis.records.cell_values import layer_means
from analysis.records.load import SweepData
from analysis.records.paper_table1 import NUM_TRAIN


def csv_text(frame: pd.DataFrame) -> str:
    """Return a frame as CSV with every number in full; what is not known is empty."""
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), sink)
    return sink.getvalue().to_pybytes().decode()


def traces_data(table: Table1) -> pd.DataFrame:
    """Tabulate both traces per example and their ratio, with the paper's own, by cell."""
    rows = []
    for row in table.rows:
        estimates = {**row.traces, "trace_ratio": row.magnitude_difference}
        found = _cell(row.cell) | {"num_seeds": row.num_measured} | _estimates(estimates)
        if row.paper:
            found |= {
                "paper_gradient_noise_trace": row.paper.gradient_noise_trace / NUM_TRAIN,
                "paper_hessian_trace": row.paper.hessian_trace / NUM_TRAIN,
                "paper_trace_ratio": row.paper.magnitude_difference,
            }
        rows.append(found)
    return pd.DataFrame(rows)


def layers_data(data: SweepData) -> pd.DataFrame:
    """Tabulate the mean over seeds of both traces, by cell and layer."""
    rows: dict[tuple[Cell, str], dict[str, object]] = {}
    for quantity in LAYER_QUANTITIES:
        for cell, by_layer in layer_means(data, quantity).items():
            for layer, value in by_layer.items():
                key = (cell, layer)
                rows.setdefault(key, _cell(cell) | {"layer": layer})[f"{quantity}_mean"] = value
    return pd.DataFrame(rows.values())


def forks_data(rows: Sequence[LawRow]) -> pd.DataFrame:
    """Tabulate every law beside the excess loss measured in every window of forks."""
    return _law_frame(
        [row for row in rows if row.num_steps is not None and row.target == "excess_loss"]
    )


def parity_data(rows: Sequence[LawRow]) -> pd.DataFrame:
    """Tabulate every law beside what was measured where it speaks, as the league counts it."""
    return _law_frame([row for row in where_they_speak(rows) if row.has_ratio])


def covariance_data(found: Sequence[CellCovariance]) -> pd.DataFrame:
    """Tabulate every direction: λ, c, ηλ, the variance of SGD, and what both laws say of it."""
    return pd.DataFrame(
        _cell(each.cell)
        | {
            "learning_rate_used": each.learning_rate_used, "bn_mode": each.bn_mode,
            "sampler": each.sampler, "num_steps": each.num_steps, "trial": place, "direction": one.index,
            "eigenvalue": one.eigenvalue, "scaled_rate": one.scaled_rate, "noise": one.noise,
            "variance": one.variance, "variance_jastrzebski": one.jastrzebski, "variance_wang": one.wang,
        }
        | _interval("log_ratio_jastrzebski", one.log_ratio("jastrzebski"))
        | _interval("log_ratio_wang", one.log_ratio("wang"))
        for each in found for place, directions in enumerate(each.trials) for one in directions
    )  # fmt: skip


def maps_data(found: MeasuredCells) -> pd.DataFrame:
    """Tabulate what each map shows, by cell; a cell without a value has its row all the same."""
    panels = map_panels(found)
    none = Uncertain(float("nan"))
    return pd.DataFrame(
        _cell(cell)
        | {"num_diverged": state.num_diverged, "num_missing": state.num_missing}
        | _estimates({panel.name: panel.values.get(cell, none) for panel in panels})
        for cell, state in found.states.items()
    )


def spectra_data(densities: Sequence[SpectralDensity]) -> pd.DataFrame:
    """Tabulate the curves shown, densities over λ by cell; beside each what is written in its panel."""
    shown = chosen_densities(densities)
    frames = [
        pd.DataFrame(
            _cell(each.cell)
            | {"eigenvalue": each.eigenvalues}
            | {f"{kind}_density": curve for kind, curve in each.by_kind.items()}
            | _median(each.median)
        )
        for each in shown
    ]
    return pd.concat(frames, ignore_index=True)


def _median(median: NoiseMedian | None) -> dict[str, float]:
    if median is None:
        return {}
    shares = (median.noise, median.directions, median.curvature)
    values = (median.eigenvalue, *(share.value for share in shares))
    return dict(zip(MEDIAN_COLUMNS, values, strict=True))


def _law_frame(rows: Sequence[LawRow]) -> pd.DataFrame:
    return pd.DataFrame(
        _cell(row.cell)
        | {
            "learning_rate_used": row.learning_rate_used, "bn_mode": row.bn_mode, "sampler": row.sampler,
            "measured_by": row.measured_by, "num_steps": row.num_steps, "target": row.target,
            "prediction": row.prediction, "predicted": row.predicted,
            "predicted_stderr": row.predicted_stderr, "measured": row.measured,
            "measured_stderr": row.measured_stderr,
        }
        | _interval("log_ratio", row.log_ratio)
        | {"verdict": row.verdict, "valid": row.is_valid}
        for row in rows
    )  # fmt: skip


def _cell(cell: Cell) -> dict[str, object]:
    return dict(zip(CELL_COLUMNS, (cell.loss, cell.batch_size, cell.learning_rate), strict=True))


def _estimates(found: Mapping[str, Uncertain]) -> dict[str, object]:
    return {
        f"{name}{ending}": number
        for name, each in found.items()
        for ending, number in (("_mean", each.value), ("_stderr", each.stderr))
    }


def _interval(name: str, found: Interval | None) -> dict[str, object]:
    parts = (None, None, None) if found is None else (found.value, found.low, found.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), parts, strict=True))
