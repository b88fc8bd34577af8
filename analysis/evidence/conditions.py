"""Everything known of a cell and of one excursion of SGD in it: what laws and tests are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from analysis.evidence.excursions import ALONG_THE_WAY, MeasuredExcursion, excursions
from analysis.evidence.noise_spectra import CellSpectra, NoiseSpectrum, total_spectra
from analysis.mathematics.linear_dynamics import SGD
from analysis.records.cell import Cell, cells_of, groups_by_cell
from analysis.records.cell_states import CellState
from analysis.records.load import SweepData
from analysis.records.seed_values import SeedValues
from analysis.records.series import Series
from workers.contract.registry import STATISTICS
from workers.contract.specs import TrialSpec

_AT_THE_START = ("hessian_top_eigenvalue", "hessian_residual_norm")
"""Which an excursion takes of the kept weights, before its first step."""

_INPUTS = ("gradient_noise_trace", "hessian_trace", "hessian_noise_trace", *_AT_THE_START)


@dataclass(frozen=True, eq=False)
class CellConditions:
    """What a law may use; two are equal where they are one object.

    Attributes:
        cell: Loss, batch size m and initial learning rate.
        state: What is done, and N.
        trial: A trial of the cell: model, data set, momentum, weight decay; its seed is no matter.
        trial_ids: By seed.
        excursion: What SGD did when the left side was measured.
        inputs: Whole-model values at the kept weights by quantity: total objective (with L2),
            training split, the excursion's bn_mode.
        spectra: μ_σ and the density of states in that mode; None when not measured.
        additivity: m·tr cov(g_B) at growing batch sizes with batch statistics, by batch size.
        disagreements: What statistics state of an input, by quantity and seed, where they disagree.
    """

    cell: Cell
    state: CellState
    trial: TrialSpec
    trial_ids: Mapping[int, str]
    excursion: MeasuredExcursion
    inputs: Mapping[str, SeedValues]
    spectra: CellSpectra | None = None
    additivity: Mapping[int, SeedValues] | None = None
    disagreements: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    @property
    def sgd(self) -> SGD:
        """The steps of the excursion."""
        momentum = self.trial.training.momentum
        return SGD(self.excursion.learning_rate, momentum, self.cell.batch_size)

    @property
    def is_shuffled(self) -> bool:
        """Each example came once an epoch."""
        return self.excursion.sampler == "shuffle"

    @property
    def noise_spectra(self) -> dict[int, NoiseSpectrum]:
        """μ_σ by seed, its mass the tr σ² of that seed where that was measured apart."""
        if self.spectra is None:
            return {}
        traces = self.inputs.get("gradient_noise_trace")
        is_apart = traces is not None and not is_by_few_draws(traces.statistic)
        apart = traces.uncertain if traces is not None and is_apart else {}
        return {
            seed: NoiseSpectrum(spectrum, apart.get(seed))
            for seed, spectrum in self.spectra.noise.items()
        }


def all_conditions(
    data: SweepData, states: Mapping[Cell, CellState], compared: pd.DataFrame
) -> list[CellConditions]:
    """Collect the conditions of every excursion of every cell; `compared` is the sweep's `agreement`."""
    trials, trial_ids = _trials(data)
    of_cell = excursions(data, states, trials)
    spectra = dict(groups_by_cell(data.spectra))
    broken = _disagreements(data, compared)
    found = []
    for cell, state in states.items():
        trial = trials[cell]
        decay = trial.training.weight_decay
        nodes = spectra.get(cell, data.spectra.iloc[:0])
        frozen = total_spectra(data, nodes, weight_decay=decay)
        for excursion in of_cell[cell]:
            is_batch = excursion.bn_mode == "batch"
            inputs = _inputs(data, cell, excursion.bn_mode, weight_decay=decay)
            found.append(
                CellConditions(
                    cell, state, trial, trial_ids[cell], excursion, inputs,
                    spectra=None if is_batch else frozen,
                    additivity=_additivity(data, cell) if is_batch else None,
                    disagreements=broken.get((cell, excursion.bn_mode), {}),
                )
            )  # fmt: skip
    return found


def _is_disagreement_of_input(compared: pd.DataFrame) -> pd.Series[bool]:
    is_input = ~compared["is_layer"] & (compared["split"] == "train")
    return is_input & (compared["value"] > 1) & compared["quantity"].isin(_INPUTS)


def _disagreements(
    data: SweepData, compared: pd.DataFrame
) -> dict[tuple[Cell, str], dict[str, dict[int, str]]]:
    """Arrange what statistics state of an input, where they disagree, by cell and bn_mode."""
    broken = compared[_is_disagreement_of_input(compared)].merge(data.planned, on="trial_id")
    found: dict[tuple[Cell, str], dict[str, dict[int, str]]] = {}
    columns = (broken[name].tolist() for name in ("bn_mode", "quantity", "seed", "detail"))
    for cell, bn_mode, quantity, seed, detail in zip(cells_of(broken), *columns, strict=True):
        found.setdefault((cell, bn_mode), {}).setdefault(quantity, {})[seed] = detail
    return found


def _trials(data: SweepData) -> tuple[dict[Cell, TrialSpec], dict[Cell, dict[int, str]]]:
    trials: dict[Cell, TrialSpec] = {}
    trial_ids: dict[Cell, dict[int, str]] = {}
    for cell, item in zip(cells_of(data.planned), data.plan.trials, strict=True):
        trials.setdefault(cell, item.trial)
        trial_ids.setdefault(cell, {})[item.trial.seed] = item.trial_id
    return trials, trial_ids


def _inputs(
    data: SweepData, cell: Cell, bn_mode: str, *, weight_decay: float
) -> dict[str, SeedValues]:
    """Choose the values of each quantity at the kept weights, in the excursion's bn_mode.

    Where the data objective is the total one its values serve: without weight decay always, and
    for tr σ² always, as L2 shifts every example's gradient alike and the covariance is centred. Of
    several statistics an exact one counts, else the first listed, one of few draws last.
    What an excursion measured along its way is no input, but for the eigenvalues at its start.
    """
    found = {}
    for quantity in _INPUTS:
        total, of_data = (
            [
                each
                for each in data.whole_model.of(
                    quantity, bn_mode=bn_mode, split="train", objective=objective
                ).get(cell, ())
                if _is_input(each, cell)
            ]
            for objective in ("total", "data")
        )
        serves = quantity == "gradient_noise_trace" or weight_decay == 0
        its = total or (of_data if serves else [])
        if its:
            found[quantity] = _best_source(data, its).values
    return found


def _is_input(series: Series, cell: Cell) -> bool:
    """Whether a series is of the kept weights, of the largest eigenvalue, and of batches as SGD draws them."""
    if series.statistic in ALONG_THE_WAY and series.quantity not in _AT_THE_START:
        return False
    return series.index in {None, 0} and series.is_as_drawn(cell.batch_size)


def is_by_few_draws(statistic: str) -> bool:
    """Return whether what another statistic says of the same quantity is known better."""
    declared = STATISTICS.get(statistic)
    return declared is not None and declared.is_by_few_draws


def _best_source(data: SweepData, series: Sequence[Series]) -> Series:
    listed = data.statistic_ids

    def rank(each: Series) -> tuple[bool, bool, int]:
        return (
            is_by_few_draws(each.statistic),
            not each.is_exact,
            listed.index(each.statistic_id),
        )

    return min(series, key=rank)


def _additivity(data: SweepData, cell: Cell) -> dict[int, SeedValues]:
    """Collect tr σ² of batches of each size that one statistic drew, the first that did."""
    its = [
        each
        for each in data.whole_model.by_cell.get(cell, ())
        if each.probed_batch_size is not None
        and (each.quantity, each.split, each.objective) == ("gradient_noise_trace", "train", "data")
    ]
    return {
        each.probed_batch_size: each.values
        for each in its
        if each.probed_batch_size is not None and each.statistic_id == its[0].statistic_id
    }
