"""What a sweep cost in core-hours, training and measuring told apart."""

from __future__ import annotations

from analysis.records.load import SweepData

_ONE_PIECE = ["trial_id", "statistic_id", "split", "bn_mode", "objective"]
"""Rows of one piece of measuring each tell its whole time."""


def cost_sentence(data: SweepData) -> str:
    """Return the total in core-hours; hours where the plan does not tell how many cores a trial has."""
    cores = _cores(data)
    training = float(data.trials["wall_seconds"].sum()) * (cores or 1) / 3600
    pieces = data.measurements.groupby(_ONE_PIECE, dropna=False)["wall_seconds"].max()
    measuring = float(pieces.sum()) * (cores or 1) / 3600
    unit = "core-hours" if cores else "hours"
    return (
        f"Cost: {training + measuring:.2g} {unit}, {training:.2g} of training and {measuring:.2g} of "
        "measuring."
    )


def _cores(data: SweepData) -> int | None:
    resources = data.plan.spec.get("resources")
    cores = resources.get("cpus") if isinstance(resources, dict) else None
    return cores if isinstance(cores, int) else None
