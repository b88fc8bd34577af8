"""Everything known of a cell and of one excursion of SGD in it: what laws and tests are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from analysis.evidence.excursions import ALONG_THE_WAY, MeasuredExcursion, excursions
from analysis.evidence.noise_spectra import CellSpectra, NoiseSpectrum, total_spectra
from analysis.mathematics.linear_dynamics import SGD
from analysis.mathematics.soundness import is_sound
from analysis.records.cell_states import CellState
from analysis.records.cell_values import SeedValues, seed_values
from analysis.records.load import Cell, SweepData, groups_by_cell
from workers.contract.method_text import batch_size_of
from workers.contract.registry import STATISTICS
from workers.contract.specs import TrialSpec

_INPUTS = (
    "gradient_noise_trace", "hessian_trace", "hessian_noise_trace", "hessian_top_eigenvalue",
    "hessian_residual_norm",
)  # fmt: skip


@dataclass(frozen=True)
class CellConditions:
    """What a law may use.

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
    rows = data.measurements
    rows = rows[rows["layer"].isna() & (rows["split"] == "train") & is_sound(rows["value"])]
    measured = dict(groups_by_cell(rows))
    spectra = dict(groups_by_cell(data.spectra))
    broken = compared[_is_disagreement_of_input(compared)]
    found = []
    for cell, state in states.items():
        trial, its = trials[cell], measured.get(cell, rows.iloc[:0])
        decay = trial.training.weight_decay
        nodes = spectra.get(cell, data.spectra.iloc[:0])
        frozen = total_spectra(data, nodes, weight_decay=decay)
        for excursion in of_cell[cell]:
            is_batch = excursion.bn_mode == "batch"
            inputs = _inputs(data, its, excursion, cell.batch_size, weight_decay=decay)
            found.append(
                CellConditions(
                    cell, state, trial, trial_ids[cell], excursion, inputs,
                    spectra=None if is_batch else frozen,
                    additivity=_additivity(its) if is_batch else None,
                    disagreements=_disagreements(broken, trial_ids[cell], excursion.bn_mode),
                )
            )  # fmt: skip
    return found


def _is_disagreement_of_input(compared: pd.DataFrame) -> pd.Series[bool]:
    is_input = ~compared["is_layer"] & (compared["split"] == "train")
    return is_input & (compared["value"] > 1) & compared["quantity"].isin(_INPUTS)


def _disagreements(
    broken: pd.DataFrame, trial_ids: Mapping[int, str], bn_mode: str
) -> dict[str, dict[int, str]]:
    seeds = {trial_id: seed for seed, trial_id in trial_ids.items()}
    its = broken[broken["trial_id"].isin(seeds) & (broken["bn_mode"] == bn_mode)]
    found: dict[str, dict[int, str]] = {}
    for trial_id, quantity, detail in its[["trial_id", "quantity", "detail"]].to_numpy().tolist():
        found.setdefault(quantity, {})[seeds[trial_id]] = detail
    return found


def _trials(data: SweepData) -> tuple[dict[Cell, TrialSpec], dict[Cell, dict[int, str]]]:
    by_trial = {item.trial_id: item.trial for item in data.plan.trials}
    trials, trial_ids = {}, {}
    for cell, group in groups_by_cell(data.planned):
        trials[cell] = by_trial[str(group["trial_id"].iloc[0])]
        pairs = zip(group["seed"].tolist(), group["trial_id"].astype(str), strict=True)
        trial_ids[cell] = {int(seed): trial_id for seed, trial_id in pairs}
    return trials, trial_ids


def _inputs(
    data: SweepData,
    rows: pd.DataFrame,
    excursion: MeasuredExcursion,
    batch_size: int,
    *,
    weight_decay: float,
) -> dict[str, SeedValues]:
    """Choose the values of each quantity at the kept weights, in the excursion's bn_mode.

    Where the data objective is the total one its values serve: without weight decay always, and
    for tr σ² always, as L2 shifts every example's gradient alike and the covariance is centred. Of
    several statistics an exact one counts, else the first listed, one of few draws last.
    What an excursion measured along its way is no input, but for the eigenvalues at its start.
    """
    found = {}
    for quantity in _INPUTS:
        its = rows[(rows["quantity"] == quantity) & (rows["bn_mode"] == excursion.bn_mode)]
        its = its[its["index"].isna() | (its["index"] == 0)]
        if not quantity.startswith("hessian_top") and quantity != "hessian_residual_norm":
            its = its[~its["statistic"].isin(ALONG_THE_WAY)]
        if excursion.bn_mode == "batch":
            sizes = its["method"].map(batch_size_of)
            its = its[sizes.isna() | (sizes == batch_size)]
        is_total = its["objective"] == "total"
        if quantity == "gradient_noise_trace" or weight_decay == 0:
            is_total = is_total if is_total.any() else its["objective"] == "data"
        its = its[is_total]
        if not its.empty:
            found[quantity] = seed_values(_best_source(data, its))
    return found


def is_by_few_draws(statistic: str) -> bool:
    """Return whether what another statistic says of the same quantity is known better."""
    declared = STATISTICS.get(statistic)
    return declared is not None and declared.is_by_few_draws


def _best_source(data: SweepData, rows: pd.DataFrame) -> pd.DataFrame:
    listed = {each.statistic_id: each.statistic.name for each in data.plan.statistics}
    identities: list[str] = rows["statistic_id"].unique().tolist()

    def of(identity: str) -> pd.DataFrame:
        return rows[rows["statistic_id"] == identity]

    def rank(identity: str) -> tuple[bool, bool, int]:
        is_exact = bool((of(identity)["stderr"] == 0).all())
        return is_by_few_draws(listed[identity]), not is_exact, list(listed).index(identity)

    return of(min(identities, key=rank))


def _additivity(rows: pd.DataFrame) -> dict[int, SeedValues]:
    its = rows[
        rows["method"].map(batch_size_of).notna()
        & (rows["quantity"] == "gradient_noise_trace")
        & (rows["objective"] == "data")
    ]
    if its.empty:
        return {}
    its = its[its["statistic_id"] == its["statistic_id"].iloc[0]]
    sizes = its["method"].map(batch_size_of).astype(int)
    return {int(size): seed_values(group) for size, group in its.groupby(sizes)}
