"""What a law answers about one quantity in one excursion of a cell."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from analysis.evidence.excursions import TARGETS
from analysis.mathematics.means import mean_of_units
from analysis.mathematics.uncertain import Uncertain


@dataclass(frozen=True)
class Prediction:
    """What a law says about one target in one excursion of a cell.

    Attributes:
        target: The quantity it predicts.
        statistic_id: Where its input came from; None when there is none.
        by_seed: What it predicts, with the error of its input; empty when it could not be computed.
        faults: Why the law cannot be expected to hold here; empty when it can.
        remarks: What else a reader must know.
    """

    target: str
    statistic_id: str | None = None
    by_seed: Mapping[int, Uncertain] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def of(self, seeds: Collection[int]) -> Prediction:
        """Keep what is predicted for some seeds."""
        return replace(self, by_seed={s: v for s, v in self.by_seed.items() if s in seeds})

    @property
    def predicted(self) -> float | None:
        """The mean over seeds."""
        return mean_of_units(self._values).value if self.by_seed else None

    @property
    def predicted_stderr(self) -> float | None:
        """The error of that mean from the spread over seeds; of one seed the estimator's own."""
        if len(self.by_seed) == 1:
            (only,) = self.by_seed.values()
            stderr = only.stderr
        else:
            stderr = mean_of_units(self._values).stderr
        return stderr if math.isfinite(stderr) else None

    @property
    def _values(self) -> list[float]:
        return [each.value for each in self.by_seed.values()]


def value_faults(found: Prediction) -> list[str]:
    """Return what is predicted and cannot be: both targets are above 0 where SGD has noise and a minimum."""
    values = [each.value for each in found.by_seed.values()]
    wrong = [value for value in values if not value > 0]
    if not wrong:
        return []
    return [
        f"the predicted {TARGETS[found.target]} is not above 0 in {len(wrong)} of {len(values)} seeds, "
        f"here {min(wrong):.3g}: the law's noise is none, or the weights are at no minimum"
    ]
