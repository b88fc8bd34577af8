"""What a trial leaves behind: one frozen record a row, and the tables made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
from pydantic import AwareDatetime

from workers.contract.failure_classes import FailureClass
from workers.contract.frozen import Frozen
from workers.contract.quantities import GLOSSARY
from workers.contract.schema import VIEWS
from workers.contract.settings import Objective, SpectrumKind
from workers.contract.statistics import StatisticSpec

Outcome = Literal["converged", "budget_spent", "diverged", "nonfinite"]

OUTCOME_SENTENCES: dict[Outcome, str] = {
    "converged": "The convergence rule held from the recorded epoch to the end.",
    "budget_spent": "All epochs were trained and the convergence rule did not hold at the end.",
    "diverged": "The training loss rose far above its initial value; training stopped there.",
    "nonfinite": "A loss or a weight was no longer a finite number; training stopped there.",
}


class Record(Frozen):
    """A row; its fields are the columns of its view. Non-finite numbers are values, not faults."""

    model_config = Frozen.model_config | {"allow_inf_nan": True}


class EpochRecord(Record):
    """One epoch of one trial; losses are means over examples, the training ones as seen by SGD."""

    trial_id: str
    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float | None
    validation_loss: float
    validation_accuracy: float | None
    seconds: float


class TrialRecord(Record):
    """A trained trial: its spec, outcome, final values and where it ran."""

    trial_id: str
    attempt_id: str
    model: str
    depth: int | None
    dataset: str
    data_digest: str
    num_train: int
    num_params: int
    loss: str
    batch_size: int
    learning_rate: float
    final_learning_rate: float
    seed: int
    momentum: float
    weight_decay: float
    epochs: int
    outcome: Outcome
    converged_at_epoch: int | None
    train_loss: float
    train_accuracy: float | None
    validation_loss: float
    validation_accuracy: float | None
    weights_sha256: str
    wall_seconds: float
    device: str
    device_share: float
    host: str
    environment_id: str
    started_at: AwareDatetime
    finished_at: AwareDatetime
    spec: str
    code_digest: str | None = None
    environment: str | None = None
    python_version: str | None = None
    code_version: str | None = None
    code_commit: str | None = None


class Measurement(Record):
    """One measured number with its error.

    `stderr` is the estimator's error for this finite data set and these weights (0 when exact, up
    to the rounding of float32; None when too few probes were taken to tell), never the spread between
    examples. `num_samples` counts the examples of a pass over them, and the independent probes of an
    estimate: its 95 % interval is value ± t stderr with Student's t of num_samples - 1 degrees of
    freedom. `layer` None is the whole model. `cost_gradients` and `wall_seconds` are those of the whole statistic for this split.
    """

    quantity: str
    value: float | None
    stderr: float | None
    num_samples: int
    method: str
    bn_mode: str
    split: str
    objective: Objective
    layer: str | None = None
    index: int | None = None
    cost_gradients: float | None = None
    wall_seconds: float | None = None
    skipped_reason: str | None = None


class SpectrumNode(Record):
    """A node λ and weight w of one draw's quadrature: Σ w f(λ) estimates tr f(H), or tr(σ² f(H))."""

    kind: SpectrumKind
    draw: int
    node: float
    weight: float


class FailureRecord(Record):
    """One failed attempt; `signature` groups failures of one cause."""

    trial_id: str
    statistic_id: str | None
    attempt_id: str
    failure_class: FailureClass
    signature: str
    message: str
    log_path: str
    host: str
    failed_at: AwareDatetime


def table(view: str, rows: Sequence[Record]) -> pa.Table:
    """Make the Arrow table of a view from its records."""
    return pa.Table.from_pylist([row.model_dump() for row in rows], schema=VIEWS[view])


def measurement_table(
    trial_id: str,
    statistic: StatisticSpec,
    statistic_id: str,
    rows: Sequence[Measurement],
    code_digest: str | None = None,
) -> pa.Table:
    """Make the long table of one statistic of one trial; units come from the glossary."""
    head = {
        "trial_id": trial_id,
        "statistic": statistic.name,
        "statistic_id": statistic_id,
        "code_digest": code_digest,
    }
    return pa.Table.from_pylist(
        [head | row.model_dump() | {"unit": _unit(row.quantity)} for row in rows],
        schema=VIEWS["measurements"],
    )


def spectrum_table(trial_id: str, statistic_id: str, nodes: Sequence[SpectrumNode]) -> pa.Table:
    """Make the table of one statistic's spectra of one trial."""
    head = {"trial_id": trial_id, "statistic_id": statistic_id}
    return pa.Table.from_pylist(
        [head | node.model_dump() for node in nodes], schema=VIEWS["spectra"]
    )


def _unit(quantity: str) -> str | None:
    known = GLOSSARY.get(quantity)
    return known.unit if known else None
