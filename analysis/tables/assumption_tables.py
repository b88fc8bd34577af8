"""Tables of what the laws rest on: their assumptions, and the covariance along top eigenvectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import pandas as pd

from analysis.evidence.covariance import CellCovariance
from analysis.evidence.layers import CellLayers
from analysis.tables.chosen_cells import chosen
from analysis.text.interval_text import interval_text, ratio_text
from analysis.text.number import written
from analysis.text.number_text import NOTHING, plain
from analysis.text.text_table import TextTable

_ONE_A_SEED = ["batch_size", "learning_rate", "learning_rate_used", "seed", "test"]


def validity_tables(validity: pd.DataFrame, names: Mapping[str, str]) -> list[TextTable]:
    """Tabulate every test in every cell, one table per excursion; `names` are statistics by id."""
    keys = ["statistic_id", "bn_mode", "sampler"]
    tables = []
    for (statistic_id, bn_mode, sampler), rows in validity.groupby(
        keys, sort=False, dropna=False, observed=True
    ):
        worst = rows.sort_values("value").drop_duplicates(_ONE_A_SEED, keep="last")
        groups = list(
            worst.groupby(["batch_size", "learning_rate", "learning_rate_used"], observed=True)
        )
        cells = chosen(groups)
        left = len(groups) - len(cells)
        meanings = rows.drop_duplicates("test").set_index("test")["meaning"]
        tables.append(
            TextTable(
                f"Assumptions · {names.get(str(statistic_id), 'before any excursion')}, "
                f"batch norm {bn_mode}, sampler {sampler}",
                ("test", *(f"{size}, {rate:g}" for (size, rate, _), _ in cells)),
                tuple(
                    (str(test), *(_tested(cell[cell["test"] == test]) for _, cell in cells))
                    for test in meanings.index
                ),
                (
                    "Columns are cells (BS, LR): median over seeds (seeds that pass/seeds), with ? "
                    "where the interval of a seed is too wide to tell; of several values of a seed the largest.",
                    *([f"{left} further cells are in view validity."] if left else []),
                    *(f"{test}: {meaning}." for test, meaning in meanings.items()),
                ),
                num_left=1,
            )
        )
    return tables


def covariance_table(found: Sequence[CellCovariance]) -> TextTable | None:
    """Tabulate the variance along top eigenvectors against both laws, and noise against Hessian."""
    if not found:
        return None
    columns = ("BS", "LR", "η used", "BN", "seeds × u", "measured/Wang", "verdict")
    return TextTable(
        "Covariance along the top eigenvectors of H",
        (*columns, "measured/(η/2m)", "verdict", "γ", "Σc/Σλ", "cosine"),
        tuple(
            (
                written(cell.cell.batch_size, "d"),
                written(cell.cell.learning_rate),
                written(cell.learning_rate_used),
                cell.bn_mode,
                f"{len(cell.trials)} × {max(map(len, cell.trials))}",
                ratio_text(cell.wang),
                cell.wang.verdict or NOTHING,
                ratio_text(cell.jastrzebski),
                cell.jastrzebski.verdict or NOTHING,
                interval_text(cell.slope),
                ratio_text(cell.log_scale),
                interval_text(cell.cosine),
            )
            for cell in found
        ),
        (
            "Geometric means over seeds and directions u [95 % interval]. Wang: cη/(mλ(2 - ηλ)), c = uᵀσ²u, with "
            "momentum and the finite number of steps. η/2m: Jastrzębski's covariance, the same in "
            "every direction. If σ² = H: c ∝ λ^γ with γ = 1, Σc/Σλ = 1, cosine of (c, λ) = 1.",
        ),
    )


def layer_table(found: Sequence[CellLayers]) -> TextTable | None:
    """Tabulate noise against Hessian over the layers."""
    if not found:
        return None
    return TextTable(
        "σ² against H, layer by layer",
        ("BS", "LR", "BN", "seeds × layers", "γ", "cosine"),
        tuple(
            (
                written(each.cell.batch_size, "d"),
                written(each.cell.learning_rate),
                each.bn_mode,
                f"{each.num_seeds} × {each.num_layers}",
                interval_text(each.slope),
                interval_text(each.cosine),
            )
            for each in found
        ),
        (
            "Means over seeds [95 % interval]. tr σ² of a layer ∝ (its tr H)^γ; cosine of both over the "
            "layers. If σ² = H both are 1.",
        ),
    )


def _tested(rows: pd.DataFrame) -> str:
    if rows.empty:
        return NOTHING
    value = plain(median(rows["value"].astype(float)), 3)
    num_passing = int((rows["passes"] == True).sum())  # noqa: E712 - null is neither
    return f"{value} ({num_passing}/{len(rows)}{' ?' if rows['passes'].isna().any() else ''})"
