"""Rows of one split, which share its mode and cost."""

from __future__ import annotations

from dataclasses import dataclass

from workers.contract.records import Measurement
from workers.contract.settings import Objective
from workers.numerics.probes import Estimate
from workers.statistics.measuring.groups import Groups


@dataclass(frozen=True)
class SplitRows:
    """The common properties of the rows of one split.

    Attributes:
        split: The name of the split.
        bn_mode: The mode of batch normalisation.
        cost_gradients: Cost of the whole statistic for this split.
        wall_seconds: Time of the whole statistic for this split.
    """

    split: str
    bn_mode: str
    cost_gradients: float
    wall_seconds: float

    def row(
        self,
        quantity: str,
        method: str,
        value: float | None,
        stderr: float | None,
        *,
        objective: Objective,
        num_samples: int,
        layer: str | None = None,
        index: int | None = None,
        skipped_reason: str | None = None,
    ) -> Measurement:
        """Return one row."""
        return Measurement(
            quantity=quantity,
            value=None if value is None else float(value),
            stderr=None if stderr is None else float(stderr),
            num_samples=num_samples,
            method=method,
            bn_mode=self.bn_mode,
            split=self.split,
            objective=objective,
            layer=layer,
            index=index,
            cost_gradients=self.cost_gradients,
            wall_seconds=self.wall_seconds,
            skipped_reason=skipped_reason,
        )

    def of_groups(
        self,
        quantity: str,
        method: str,
        found: Estimate,
        groups: Groups,
        *,
        objective: Objective,
        num_samples: int,
    ) -> list[Measurement]:
        """Return a row for the whole model and for each layer."""
        return [
            self.row(
                quantity,
                method,
                value,
                stderr,
                objective=objective,
                num_samples=num_samples,
                layer=layer,
            )
            for layer, value, stderr in zip(groups.names, found.value, found.stderr, strict=True)
        ]
