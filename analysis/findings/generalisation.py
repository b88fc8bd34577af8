"""Generalisation gaps: accuracy and loss on both splits, their difference paired by seed."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.mathematics.means import mean_of_units
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell, ratio_texts
from analysis.records.cell_states import CellState
from analysis.records.cell_values import whole_model_values
from analysis.records.load import SweepData
from analysis.records.seed_values import SeedValues
from analysis.text.number import written
from analysis.text.number_text import NOTHING, with_error
from analysis.text.text_table import TextTable

_COLUMNS = (
    "BS/LR",
    "BS",
    "LR",
    "seeds",
    "training accuracy %",
    "test accuracy %",
    "gap %",
    "training loss",
    "test loss",
    "gap",
)
_NOTES = (
    "Measured on the trained networks over whole splits, frozen batch normalisation, data "
    "objective; ± is one standard error over seeds, gaps paired by seed.",
)


def generalisation_table(data: SweepData, states: Mapping[Cell, CellState]) -> TextTable | None:
    """Compare both splits in every cell; None when the losses were not measured."""
    splits = {
        (quantity, split): whole_model_values(data, quantity, split=split)
        for quantity in ("accuracy", "mean_loss")
        for split in ("train", "test")
    }
    if not splits["mean_loss", "train"]:
        return None
    rows, ratios = [], ratio_texts(states)
    for cell, state in states.items():
        here = {key: by_cell.get(cell) for key, by_cell in splits.items()}
        losses = here["mean_loss", "test"], here["mean_loss", "train"]
        loss, num_seeds = gap(*losses), len(_shared(*losses))
        accuracy = gap(here["accuracy", "train"], here["accuracy", "test"]).scaled(100)
        rows.append(
            (
                ratios[cell],
                written(cell.batch_size, "d"),
                written(cell.learning_rate),
                f"{num_seeds}/{state.num_seeds}{'' if state.is_complete else '*'}",
                _shown(here["accuracy", "train"], 100),
                _shown(here["accuracy", "test"], 100),
                with_error(accuracy),
                _shown(here["mean_loss", "train"], 1),
                _shown(here["mean_loss", "test"], 1),
                with_error(loss),
            )
        )
    return TextTable("Generalisation gaps", _COLUMNS, tuple(rows), _NOTES)


def gap(larger: SeedValues | None, smaller: SeedValues | None) -> Uncertain:
    """Average the difference of two quantities over the seeds that have both."""
    if larger is None or smaller is None:
        return mean_of_units([])
    seeds = _shared(larger, smaller)
    return mean_of_units([larger.by_seed[seed] - smaller.by_seed[seed] for seed in seeds])


def _shared(one: SeedValues | None, other: SeedValues | None) -> list[int]:
    """List the seeds that have both."""
    return sorted(set(one.by_seed) & set(other.by_seed)) if one and other else []


def _shown(values: SeedValues | None, factor: float) -> str:
    return NOTHING if values is None else with_error(values.estimate.scaled(factor))
