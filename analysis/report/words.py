"""The sentences of the report: what the tables mean, how things were measured, sources of laws."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.predictions import laws
from analysis.records.cell import Cell
from analysis.records.cell_states import CellState
from analysis.records.paper_table1 import CITATION, ERRATA

TABLE1 = (
    "tr σ² is the trace of the centred covariance of one example's gradient, tr H that of the "
    "Hessian of the mean loss, both at the trained weights. Their ratio, the paper's “magnitude "
    "difference”, is 1 if noise and curvature are one, as Jastrzębski's law assumes. The paper does "
    "not say how it estimated its traces or which learning rate its formulas use, so both conventions "
    "and both learning rates are shown."
)

PREDICTIONS = (
    "What each law says from what was measured at the trained weights, for the total objective (data "
    "loss + L2), the learning rate named, and the number of steps of a fork's longest window. A law "
    "is valid when none of its checked assumptions is broken; the reasons say what is broken or not "
    "measured."
)

METHODS = [
    "Every number comes from the trained network, kept after training and measured in a separate "
    "process; nothing here was computed during training except the learning curves.",
    "A measurement's own standard error is that of the estimator for this data set and these "
    "weights; 0 means exact. The errors in this report are different: standard deviation over "
    "seeds divided by √n, the spread between independently trained networks.",
    "bn_mode frozen: each batch normalisation takes the exact moments, over the training set at the "
    "measured weights, of what it reads while those before it hold theirs.",
    "Split: Table 1 and the laws take traces over the whole training set. Generalisation compares it "
    "with the whole test set.",
    "Objective: Table 1 shows the data loss alone; the laws use the total objective, data loss + "
    "(weight_decay/2)·‖θ‖² over the parameters that decay.",
    "Means are over the seeds that have a value. Missing, failed and diverged seeds are counted "
    "and mark their cell with *; nothing is filled in for them.",
    "The error of the magnitude difference is that of a ratio of means over the same seeds (delta "
    "method with covariance).",
    *(f"Erratum of the printed table: {erratum}" for erratum in ERRATA),
]


def sources() -> list[tuple[str, str]]:
    """List what the report rests on, with its address: the paper, then where the laws are from."""
    of_laws = [law.source for law in laws().values() if law.source is not None]
    paper = (CITATION, "https://arxiv.org/abs/2009.11858")
    return [paper, *((source.citation, source.url) for source in of_laws)]


def headline(states: Mapping[Cell, CellState]) -> tuple[str, str]:
    """Return how much of a sweep is done, in a sentence, and whether that is good or bad."""
    num_complete = sum(state.is_complete for state in states.values())
    totals = {
        "missing": sum(state.num_merely_missing for state in states.values()),
        "failed": sum(state.num_failed for state in states.values()),
        "diverged": sum(state.num_diverged for state in states.values()),
    }
    lacking = ", ".join(f"{count} {what}" for what, count in totals.items() if count)
    sentence = (
        f"{num_complete} of {len(states)} cells {'is' if num_complete == 1 else 'are'} complete"
    )
    if not lacking:
        return f"{sentence}.", "good"
    return f"{sentence}; seeds: {lacking}.", "bad"
