"""Rows that every excursion of SGD records: the largest eigenvalues, or that it would diverge."""

from __future__ import annotations

from collections.abc import Iterator

from workers.contract.excursions import ExcursionSpec
from workers.contract.quantities import STATISTIC_QUANTITIES
from workers.contract.records import Measurement
from workers.contract.skipping import skipped_reason
from workers.statistics.excursions.excursion import Directions, Excursion
from workers.statistics.measuring.split_rows import SplitRows


def eigenvalue_rows(
    about: SplitRows, directions: Directions, num_examples: int
) -> Iterator[Measurement]:
    """Yield `hessian_top_eigenvalue` and `hessian_residual_norm` by index, as `hessian` does."""
    ritz = directions.ritz
    for index, (value, residual) in enumerate(zip(ritz.values, ritz.residual_norms, strict=True)):
        for quantity, number, stderr in (
            ("hessian_top_eigenvalue", value, None),
            ("hessian_residual_norm", residual, 0.0),
        ):
            yield about.row(
                quantity,
                "lanczos",
                number,
                stderr,
                objective="total",
                num_samples=num_examples,
                index=index,
            )


def why_unstable(excursion: Excursion, directions: Directions) -> str | None:
    """Return why SGD would diverge at this rate even without noise; None where ηλ₁ < 2(1+μ)."""
    largest, limit = float(directions.ritz.values[0]), excursion.largest_stable_eigenvalue
    if largest < limit:
        return None
    return (
        f"λ₁ = {largest:.4g} is not below 2(1+μ)/η = {limit:.4g}; choose a learning rate below "
        f"{excursion.learning_rate * limit / largest:.4g}"
    )


def unstable_rows(settings: ExcursionSpec, why: str) -> list[Measurement]:
    """Return the rows of the outcome `unstable`: one without a value for each quantity."""
    return [
        Measurement(
            quantity=quantity,
            value=None,
            stderr=None,
            num_samples=0,
            method="skipped",
            bn_mode=settings.bn_mode,
            split="train",
            objective="total",
            skipped_reason=skipped_reason("unstable", why),
        )
        for quantity in STATISTIC_QUANTITIES[settings.name]
    ]
