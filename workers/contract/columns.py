"""The unit and the meaning of every column of every view, which frames and Parquet files carry."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from workers.contract.quantities import GLOSSARY


@dataclass(frozen=True)
class ColumnFacts:
    """What a column holds.

    Attributes:
        unit: "loss" is the unit of the mean loss, "parameter" of the weights, "1" of a pure number;
            None where the values are no numbers, or where the meaning says whose unit it is.
        meaning: One sentence.
    """

    unit: str | None
    meaning: str


_RATE = "parameter²/loss"

_OF_ALL_VIEWS: dict[str, tuple[str | None, str]] = {
    "sweep": (None, "Name of the sweep."),
    "revision": (None, "Revision of the sweep's plan; later ones sort after earlier ones."),
    "trial_id": (None, "Hash of what decides the weights."),
    "attempt_id": (None, "The attempt that wrote the row; attempts sort by the time they began."),
    "statistic": (None, "Name of the statistic."),
    "statistic_id": (None, "Hash of what decides a measurement."),
    "model": (None, "Name of the model."),
    "depth": ("layers", "Depth of a ResNet; null for other models."),
    "dataset": (None, "Name of the data set."),
    "data_digest": (None, "Digest of the decoded data."),
    "num_train": ("examples", "N, the number of training examples."),
    "num_params": ("parameters", "P, the number of trainable parameters."),
    "loss": (None, "Name of the loss."),
    "batch_size": ("examples", "m, the number of examples a batch."),
    "learning_rate": (_RATE, "η at the start of training."),
    "final_learning_rate": (_RATE, "η at the end of the schedule."),
    "learning_rate_used": (_RATE, "η of the excursion of SGD that the row is about."),
    "batch_size_over_learning_rate": ("examples·loss/parameter²", "m/η with the initial η."),
    "seed": (None, "Seed of the trial."),
    "momentum": ("1", "μ, the factor of the velocity."),
    "weight_decay": ("loss/parameter²", "Twice the factor of ‖θ_decayed‖² in the objective."),
    "epochs": ("epochs", "Number of epochs trained."),
    "epoch": ("epochs", "Number of the epoch, from 0."),
    "outcome": (None, "How training ended: converged, budget_spent, diverged or nonfinite."),
    "converged_at_epoch": ("epochs", "Epoch from which the convergence rule held; null if never."),
    "train_loss": ("loss", "Mean training loss per example, as seen by SGD in the last epoch."),
    "train_accuracy": ("1", "Share of training examples whose largest output is the label."),
    "validation_loss": ("loss", "Mean loss per example of the test split."),
    "validation_accuracy": ("1", "Share of test examples whose largest output is the label."),
    "weights_sha256": (None, "Digest of the trained weights."),
    "seconds": ("seconds", "Time the epoch took."),
    "wall_seconds": ("seconds", "Time the work took by the clock on the wall."),
    "device": (None, "The device trained on."),
    "device_share": ("1", "Share of a GPU that the trial had; 0 without one."),
    "host": (None, "Name of the machine."),
    "environment_id": (None, "Hash of versions, device and threads; bits are promised within one."),
    "code_digest": (None, "Digest of the source of `workers` that made the row; null in older ones."),
    "environment": (None, "What `environment_id` is the hash of, as JSON; null in older records."),
    "python_version": (None, "Version of Python; null in older records."),
    "code_version": (None, "Version of the installed package; null where it was not installed."),
    "code_commit": (None, "Git commit of the code, where a checkout or an installation told it."),
    "environment_ids": (None, "Every environment that trained a seed of the cell."),
    "started_at": (None, "When the attempt began, UTC."),
    "finished_at": (None, "When the attempt ended, UTC."),
    "failed_at": (None, "When the attempt failed, UTC."),
    "spec": (None, "The resolved spec of the trial as JSON."),
    "quantity": (None, "Name of the measured quantity, as in the glossary."),
    "layer": (None, "The layer; null is the whole model."),
    "index": (None, "Place in a list of values; null where there is one value."),
    "value": (None, "The measured number, in the unit of column `unit`."),
    "stderr": (None, "Standard error of the estimator, in the unit of the value; 0 where exact."),
    "mean": (None, "Mean over the seeds of the cell, in the quantity's unit."),
    "num_samples": (None, "Examples of a pass over them; independent probes of an estimate."),
    "method": (None, "How the value was obtained."),
    "bn_mode": (None, "Batch normalisation: frozen, moving_average or batch."),
    "split": (None, "Split of the data: train or test."),
    "objective": (None, "data is the loss alone, total has the L2 term."),
    "unit": (None, "Unit of the value."),
    "cost_gradients": ("gradients", "Cost in gradients of the mean loss over the training set."),
    "skipped_reason": (None, "Why nothing was measured; null where something was."),
    "kind": (None, "Spectrum of the Hessian, or noise-weighted spectrum."),
    "draw": (None, "Number of the start vector, from 0."),
    "node": ("loss/parameter²", "λ, a node of the quadrature."),
    "weight": (None, "w of the node: Σ w f(λ) estimates tr f(H), or tr(σ² f(H)) of kind noise."),
    "num_seeds": ("seeds", "Number of seeds."),
    "num_missing": ("seeds", "Seeds not yet trained and measured."),
    "num_failed": ("seeds", "Seeds given up after failures."),
    "num_diverged": ("seeds", "Seeds that diverged or became nonfinite."),
    "complete": (None, "Whether every planned seed is trained and measured."),
    "prediction": (None, "Name of the law."),
    "target": (None, "The quantity that the law predicts."),
    "sampler": (None, "How batches are drawn: shuffle or replacement."),
    "num_steps": ("steps", "T, the steps of SGD from the kept weights; null in a stationary state."),
    "predicted": (None, "Mean over seeds of what the law says, in the target's unit."),
    "predicted_stderr": (None, "Its standard error, in the target's unit."),
    "measured": (None, "Mean over seeds of what was measured, in the target's unit."),
    "measured_stderr": (None, "Its standard error, in the target's unit."),
    "measured_by": (None, "The statistic that measured it: fork or tail."),
    "log_ratio": ("1", "ln(measured/predicted)."),
    "log_ratio_low": ("1", "Lower end of its 95 % interval."),
    "log_ratio_high": ("1", "Upper end of its 95 % interval."),
    "verdict": (None, "Of the interval alone: holds within ±10 %, fails wholly outside, else undecided; where `valid` is false, a law that holds only agrees."),
    "valid": (None, "Whether no assumption of the law is known to be broken."),
    "reason": (None, "What is broken, what was not measured, and what else matters."),
    "reasons": (None, "The sentences of `reason`, one by one."),
    "test": (None, "Name of the assumption tested."),
    "low": (None, "Lower end of the value's 95 % interval, in its unit."),
    "high": (None, "Upper end of the value's 95 % interval, in its unit."),
    "passes": (None, "Whether the assumption holds."),
    "meaning": (None, "What the test says, in a sentence."),
    "detail": (None, "What was compared, where it matters."),
    "failure_class": (None, "Kind of the failure, which decides how often it is tried again."),
    "signature": (None, "Groups failures of one cause."),
    "message": (None, "What was raised or seen."),
    "log_path": (None, "The log of the attempt, below the store's root."),
}  # fmt: skip

_OF_ONE_VIEW: dict[tuple[str, str], tuple[str | None, str]] = {
    ("epochs", "learning_rate"): (_RATE, "η in this epoch."),
    ("epochs", "train_loss"): ("loss", "Mean training loss per example, as seen by SGD."),
    ("cell_measurements", "stderr"): (
        None,
        "Standard error of the mean over seeds, in the quantity's unit; null for one seed.",
    ),
    ("cell_measurements", "num_seeds"): ("seeds", "Seeds with a sound value."),
    ("validity", "value"): (None, "The number tested, in the unit that the test's meaning says."),
    ("validity", "sampler"): (None, "How the excursion's batches are drawn."),
    ("failures", "statistic_id"): (None, "The statistic that failed; null where training did."),
}  # fmt: skip


def column_facts(view: str, name: str) -> ColumnFacts:
    """Return the unit and the meaning of a column; `<quantity>_mean` has its quantity's."""
    quantity, _, part = name.rpartition("_")
    if view == "cells" and quantity in GLOSSARY:
        known = GLOSSARY[quantity]
        word = {"mean": "Mean over seeds", "stderr": "Standard error over seeds"}[part]
        return ColumnFacts(known.unit, f"{word} of {known.symbol}: {known.meaning}")
    return ColumnFacts(*(_OF_ONE_VIEW.get((view, name)) or _OF_ALL_VIEWS[name]))


def described(view: str, schema: pa.Schema) -> pa.Schema:
    """Return the schema of a view with unit and meaning in each field's metadata."""
    return pa.schema([field.with_metadata(_metadata(view, field.name)) for field in schema])


def _metadata(view: str, name: str) -> dict[bytes | str, bytes | str]:
    facts = column_facts(view, name)
    found: dict[bytes | str, bytes | str] = {"meaning": facts.meaning}
    if facts.unit is not None:
        found["unit"] = facts.unit
    return found
