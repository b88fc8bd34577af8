"""What a process with TensorFlow is asked of a network before a sweep starts, and what it answers."""

from __future__ import annotations

from pydantic import Field

from workers.contract.errors import Fault
from workers.contract.frozen import Frozen
from workers.contract.specs import TrialSpec
from workers.contract.statistics import StatisticSpec


class NetworkQuestion(Frozen):
    """Can this trial's network be trained, kept and measured?

    Attributes:
        trial: Names the network, its data and its loss.
        statistics: To be taken of it.
        data_dir: Where the data are.
        left_out: Keys of plugins that are not called, as they ended a process that was asked before.
    """

    trial: TrialSpec
    statistics: list[StatisticSpec]
    data_dir: str | None
    left_out: list[str] = Field(default_factory=list)


class NetworkAnswer(Frozen):
    """All faults, each as what, where, mend; none for a sound network."""

    faults: list[list[str]]

    @classmethod
    def of(cls, faults: list[Fault]) -> NetworkAnswer:
        """Write the faults down."""
        return cls(faults=[[each.what, each.where, each.mend] for each in faults])

    def read(self) -> list[Fault]:
        """Make faults of them again."""
        return [Fault(*each) for each in self.faults]
