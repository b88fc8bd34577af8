"""Rows of one split that share its mode, objective and cost."""

from __future__ import annotations

from dataclasses import dataclass

from workers.contract.records import Measurement
from workers.contract.statistics import BatchNormMode, Objective
from workers.probes import Estimate
from workers.statistics.groups import Groups


@dataclass(frozen=True)
class SplitRows:
    """Makes rows of one split.

    Attributes:
        split: Its name.
        bn_mode: As set.
        objective: As set.
        cost_gradients: Of the whole statistic for this split.
        wall_seconds: Of the whole statistic for this split.
    """

    split: str
    bn_mode: BatchNormMode
    objective: Objective
    cost_gradients: float
    wall_seconds: float

    def row(
        self,
        quantity: str,
        method: str,
        value: float,
        stderr: float | None,
        *,
        num_samples: int,
        layer: str | None = None,
        index: int | None = None,
    ) -> Measurement:
        """Give one row."""
        return Measurement(
            quantity=quantity,
            value=float(value),
            stderr=None if stderr is None else float(stderr),
            num_samples=num_samples,
            method=method,
            bn_mode=self.bn_mode,
            split=self.split,
            objective=self.objective,
            layer=layer,
            index=index,
            cost_gradients=self.cost_gradients,
            wall_seconds=self.wall_seconds,
        )

    def of_groups(
        self, quantity: str, method: str, found: Estimate, groups: Groups, *, num_samples: int
    ) -> list[Measurement]:
        """Give a row for the whole model and for each layer."""
        return [
            self.row(quantity, method, value, stderr, num_samples=num_samples, layer=layer)
            for layer, value, stderr in zip(groups.names, found.value, found.stderr, strict=True)
        ]
