"""The columns of every view, with their types; additions only, a column is never retyped or removed."""

from __future__ import annotations

import pyarrow as pa

from workers.contract.columns import described
from workers.contract.quantities import GLOSSARY

SCHEMA_VERSION = 1

_TIME = pa.timestamp("us", tz="UTC")


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


_TEXT, _INT, _REAL, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()

SWEEP_TRIALS = _schema(
    sweep=_TEXT,
    revision=_TEXT,
    trial_id=_TEXT,
    batch_size=_INT,
    learning_rate=_REAL,
    seed=_INT,
)

TRIALS = _schema(
    trial_id=_TEXT,
    attempt_id=_TEXT,
    model=_TEXT,
    depth=_INT,
    dataset=_TEXT,
    data_digest=_TEXT,
    num_train=_INT,
    num_params=_INT,
    loss=_TEXT,
    batch_size=_INT,
    learning_rate=_REAL,
    final_learning_rate=_REAL,
    seed=_INT,
    momentum=_REAL,
    weight_decay=_REAL,
    epochs=_INT,
    outcome=_TEXT,
    converged_at_epoch=_INT,
    train_loss=_REAL,
    train_accuracy=_REAL,
    validation_loss=_REAL,
    validation_accuracy=_REAL,
    weights_sha256=_TEXT,
    wall_seconds=_REAL,
    device=_TEXT,
    device_share=_REAL,
    host=_TEXT,
    environment_id=_TEXT,
    started_at=_TIME,
    finished_at=_TIME,
    spec=_TEXT,
    code_digest=_TEXT,
    environment=_TEXT,
    python_version=_TEXT,
    code_version=_TEXT,
    code_commit=_TEXT,
)

EPOCHS = _schema(
    trial_id=_TEXT,
    epoch=_INT,
    learning_rate=_REAL,
    train_loss=_REAL,
    train_accuracy=_REAL,
    validation_loss=_REAL,
    validation_accuracy=_REAL,
    seconds=_REAL,
)

MEASUREMENTS = _schema(
    trial_id=_TEXT,
    statistic=_TEXT,
    statistic_id=_TEXT,
    quantity=_TEXT,
    layer=_TEXT,
    index=_INT,
    value=_REAL,
    stderr=_REAL,
    num_samples=_INT,
    method=_TEXT,
    bn_mode=_TEXT,
    split=_TEXT,
    objective=_TEXT,
    unit=_TEXT,
    cost_gradients=_REAL,
    wall_seconds=_REAL,
    skipped_reason=_TEXT,
    code_digest=_TEXT,
)

SPECTRA = _schema(
    trial_id=_TEXT, statistic_id=_TEXT, kind=_TEXT, draw=_INT, node=_REAL, weight=_REAL
)

CELL_MEASUREMENTS = _schema(
    sweep=_TEXT,
    loss=_TEXT,
    batch_size=_INT,
    learning_rate=_REAL,
    statistic=_TEXT,
    statistic_id=_TEXT,
    quantity=_TEXT,
    layer=_TEXT,
    index=_INT,
    method=_TEXT,
    bn_mode=_TEXT,
    split=_TEXT,
    objective=_TEXT,
    num_seeds=_INT,
    mean=_REAL,
    stderr=_REAL,
)

CELL_QUANTITIES = tuple(GLOSSARY)
"""Whole-model quantities that `cells` shows as `<quantity>_mean` and `<quantity>_stderr`."""

CELLS = _schema(
    sweep=_TEXT,
    loss=_TEXT,
    batch_size=_INT,
    learning_rate=_REAL,
    batch_size_over_learning_rate=_REAL,
    num_train=_INT,
    num_seeds=_INT,
    num_missing=_INT,
    num_failed=_INT,
    num_diverged=_INT,
    complete=_BOOL,
    environment_ids=pa.list_(_TEXT),
    **{f"{name}_{part}": _REAL for name in CELL_QUANTITIES for part in ("mean", "stderr")},
)

PREDICTIONS = _schema(
    sweep=_TEXT,
    loss=_TEXT,
    batch_size=_INT,
    learning_rate=_REAL,
    learning_rate_used=_REAL,
    prediction=_TEXT,
    target=_TEXT,
    statistic_id=_TEXT,
    bn_mode=_TEXT,
    sampler=_TEXT,
    num_steps=_INT,
    predicted=_REAL,
    predicted_stderr=_REAL,
    measured=_REAL,
    measured_stderr=_REAL,
    measured_by=_TEXT,
    log_ratio=_REAL,
    valid=_BOOL,
    reason=_TEXT,
    log_ratio_low=_REAL,
    log_ratio_high=_REAL,
    verdict=_TEXT,
    reasons=pa.list_(_TEXT),
)

VALIDITY = _schema(
    sweep=_TEXT,
    trial_id=_TEXT,
    loss=_TEXT,
    batch_size=_INT,
    learning_rate=_REAL,
    seed=_INT,
    learning_rate_used=_REAL,
    bn_mode=_TEXT,
    sampler=_TEXT,
    statistic_id=_TEXT,
    test=_TEXT,
    value=_REAL,
    low=_REAL,
    high=_REAL,
    passes=_BOOL,
    meaning=_TEXT,
    quantity=_TEXT,
    layer=_TEXT,
    split=_TEXT,
    detail=_TEXT,
)

FAILURES = _schema(
    trial_id=_TEXT,
    statistic_id=_TEXT,
    attempt_id=_TEXT,
    failure_class=_TEXT,
    signature=_TEXT,
    message=_TEXT,
    log_path=_TEXT,
    host=_TEXT,
    failed_at=_TIME,
)

_COLUMNS: dict[str, pa.Schema] = {
    "sweep_trials": SWEEP_TRIALS,
    "trials": TRIALS,
    "epochs": EPOCHS,
    "measurements": MEASUREMENTS,
    "spectra": SPECTRA,
    "cell_measurements": CELL_MEASUREMENTS,
    "cells": CELLS,
    "predictions": PREDICTIONS,
    "validity": VALIDITY,
    "failures": FAILURES,
}

VIEWS = {view: described(view, columns) for view, columns in _COLUMNS.items()}
"""Every field's metadata says unit and meaning; equality of schemas is that of names and types."""
