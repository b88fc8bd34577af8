"""How many factors influence the minimum: nested F-tests over the trials of a sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.mathematics.regression import FTest, lack_of_fit_test, nested_f_test
from analysis.records.cell import CELL_COLUMNS
from analysis.records.cell_values import whole_model_values
from analysis.records.load import SweepData
from workers.contract.quantities import GLOSSARY

TRACES = ("gradient_noise_trace", "hessian_noise_trace", "hessian_trace")
MAGNITUDE_DIFFERENCE = "magnitude_difference"
RESPONSES = ("excess_loss", "gradient_noise_trace", "hessian_trace", MAGNITUDE_DIFFERENCE)

CELL = "cell"
_BOTH = ("batch_size", "learning_rate")
_RATIO = "batch_size_over_learning_rate"
_SYMBOLS = {
    "batch_size": "m",
    "learning_rate": "η",
    _RATIO: "m/η",
    CELL: "the cell itself",
    MAGNITUDE_DIFFERENCE: "tr σ²/tr H",
}


@dataclass(frozen=True)
class Question:
    """The question whether ln response depends on what is added, beyond what the base explains."""

    response: str
    base: tuple[str, ...]
    added: str


@dataclass(frozen=True)
class FactorTest:
    """A question with its answer.

    Attributes:
        question: The question.
        num_trials: Trials in which every variable of the question is measured and positive.
        num_cells: Cells that these belong to.
        test: The F-test, or a sentence that says why there is none.
    """

    question: Question
    num_trials: int
    num_cells: int
    test: FTest | str


def symbol(name: str) -> str:
    """Return the symbol of a factor or a response in formulas."""
    return _SYMBOLS.get(name) or GLOSSARY[name].symbol


def questions() -> list[Question]:
    """List the questions, in the order shown.

    For every response: does it depend on m and η separately, once m/η is known (one factor or two)?
    Do powers of m and η suffice to tell the cells apart? For the excess loss: does a trace matter
    beyond m and η, and does each of tr σ² and tr H matter beyond the other (Wang's law says that tr
    H does not, Jastrzębski's that tr σ² does not)?
    """
    asked = []
    for response in RESPONSES:
        asked.append(Question(response, (_RATIO,), "learning_rate"))
        asked.append(Question(response, _BOTH, CELL))
    asked += [Question("excess_loss", _BOTH, trace) for trace in TRACES]
    noise, _, hessian = TRACES
    asked.append(Question("excess_loss", (*_BOTH, hessian), noise))
    asked.append(Question("excess_loss", (*_BOTH, noise), hessian))
    return asked


def factor_tests(values: pd.DataFrame) -> list[FactorTest]:
    """Answer every question from `trial_values` of a sweep; all variables are natural logarithms.

    One trial is one observation. η is the cell's initial learning rate; the traces are those of the
    data objective (training split, frozen batch norm), the excess loss that of the longest window
    or of the tail. Seeds of one cell share m and η: where the cell itself still matters beyond
    m and η, powers of them are not the whole truth, and the p-values of the other questions are too
    small.
    """
    return [answer(question, values) for question in questions()]


def answer(question: Question, values: pd.DataFrame) -> FactorTest:
    """Answer one question from a frame with one row per trial: `cell`, and logarithms by name."""
    names = [
        question.response,
        *question.base,
        *([question.added] if question.added != CELL else []),
    ]
    if lacking := [symbol(name) for name in names if values[name].isna().all()]:
        return FactorTest(question, 0, 0, f"{', '.join(lacking)}: nothing positive was measured")
    rows = values.dropna(subset=names)
    num_cells = int(rows["cell"].nunique())
    base = rows[list(question.base)].to_numpy(np.float64)
    response = rows[question.response].to_numpy(np.float64)
    if question.added == CELL:
        test = lack_of_fit_test(base, rows[CELL].to_numpy(), response)
    else:
        test = nested_f_test(base, rows[[question.added]].to_numpy(np.float64), response)
    return FactorTest(question, len(rows), num_cells, test)


def trial_values(data: SweepData) -> pd.DataFrame:
    """Return one row per trial: its cell's number, ln m, ln η, ln(m/η), ln of every quantity.

    Among these is ln(tr σ²/tr H). What is not measured, or not positive, is NaN.
    """
    planned = data.planned
    frame = pd.DataFrame(
        {
            CELL: planned.groupby(CELL_COLUMNS, sort=True, observed=True).ngroup(),
            **{name: np.log(planned[name].astype(float)) for name in _BOTH},
        }
    )
    frame[_RATIO] = frame["batch_size"] - frame["learning_rate"]
    for name in TRACES:
        frame[name] = _logarithms(planned["trial_id"].map(_by_trial(data, name)))
    frame[MAGNITUDE_DIFFERENCE] = frame["gradient_noise_trace"] - frame["hessian_trace"]
    frame["excess_loss"] = _logarithms(planned["trial_id"].map(excess_losses(data)))
    return frame


def excess_losses(data: SweepData) -> dict[str, float]:
    """Return every trial's excess loss, at its end, from the first listed statistic that has it.

    The end of a fork is its longest window, the one with the largest index.
    """
    found = data.measurements
    found = found[(found["quantity"] == "excess_loss") & found["layer"].isna()]
    found = found[found["value"].notna()]
    values: dict[str, float] = {}
    for statistic in data.plan.statistics:
        rows = found[found["statistic_id"] == statistic.statistic_id]
        last = (
            rows.sort_values("index", na_position="last").groupby("trial_id", observed=True).tail(1)
        )
        for trial_id, value in zip(last["trial_id"], last["value"], strict=True):
            values.setdefault(str(trial_id), float(value))
    return values


def _by_trial(data: SweepData, quantity: str) -> dict[str, float]:
    trial_ids = {
        (*key, seed): trial_id
        for *key, seed, trial_id in data.planned[[*CELL_COLUMNS, "seed", "trial_id"]].itertuples(
            index=False, name=None
        )
    }
    return {
        trial_ids[cell.loss, cell.batch_size, cell.learning_rate, seed]: value
        for cell, values in whole_model_values(data, quantity).items()
        for seed, value in values.by_seed.items()
    }


def _logarithms(values: pd.Series[float]) -> pd.Series[float]:
    numbers = values.astype(float)
    return numbers.where(numbers > 0).map(math.log, na_action="ignore")
