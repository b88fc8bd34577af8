"""Laws that are a factor of η and m times one trace at the kept weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.evidence.assumptions import Assumption
from analysis.evidence.conditions import CellConditions
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import (
    broken,
    disagreement_faults,
    equilibration_remarks,
    independence_faults,
    plain_faults,
    rest_faults,
)
from analysis.records.seed_values import SeedValues
from workers.contract.quantities import GLOSSARY


@dataclass(frozen=True)
class TraceFormula:
    """A factor times one trace.

    Attributes:
        quantity: The trace.
        factor: Computes the factor from η and m.
        text: As a column is headed: `(η/4m)·tr σ²`.
    """

    quantity: str
    factor: Callable[[float, int], float]
    text: str


def trace_prediction(
    target: str,
    formula: TraceFormula,
    conditions: CellConditions,
    *,
    assumed: Sequence[Assumption],
) -> list[Prediction]:
    """Predict a factor times a trace measured at the kept weights, for long independent plain SGD."""
    measured = conditions.inputs.get(formula.quantity)
    factor = formula.factor(conditions.sgd.learning_rate, conditions.cell.batch_size)
    values = {} if measured is None else measured.uncertain
    return [
        Prediction(
            target,
            statistic_id=None if measured is None else measured.statistic_id,
            by_seed={seed: value.scaled(factor) for seed, value in values.items()},
            faults=(
                *_missing(formula.quantity, measured),
                *plain_faults(conditions),
                *rest_faults(conditions),
                *independence_faults(conditions),
                *broken(conditions, assumed),
                *disagreement_faults(conditions, formula.quantity),
            ),
            remarks=equilibration_remarks(conditions),
        )
    ]


def _missing(quantity: str, measured: SeedValues | None) -> list[str]:
    return [] if measured else [f"{GLOSSARY[quantity].symbol} was not measured"]
