"""What a sweep is: one model, data set and loss over a grid of batch sizes, learning rates and seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from workers.contract.errors import shortened
from workers.contract.frozen import Count, Frozen, Misfit, Positive, Seed, refuse_repeats
from workers.contract.registry import STATISTICS
from workers.contract.specs import DatasetSpec, ModelSpec, TrainingSpec
from workers.contract.statistics import StatisticSpec

MEASURED_BY_DEFAULT = ("losses", "traces")
MOST_SEEDS = 10_000
MOST_TRIALS = 100_000

_SHARE = re.compile(r"\s*([0-9]{1,4}(?:\.[0-9]{0,20})?)\s*(?:/\s*([0-9]{1,4})\s*)?")
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(?:([KMGT])(i?))?B?\s*")
_MOST_BYTES = 2**50

Pair = Annotated[
    tuple[Count, Positive], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]


class GridSpec(Frozen):
    """Every batch size with every learning rate."""

    batch_size: list[Count] = Field(min_length=1)
    learning_rate: list[Positive] = Field(min_length=1)

    @model_validator(mode="after")
    def _values_differ(self) -> GridSpec:
        refuse_repeats("batch_size", self.batch_size)
        refuse_repeats("learning_rate", self.learning_rate)
        _refuse_alike(self.learning_rate)
        return self


class ResourcesSpec(Frozen):
    """What one trial holds while it runs.

    Nothing of it decides a `trial_id`.

    Attributes:
        gpus: 0, a whole number, or a share 1/n of one device ("1/2", 0.5).
        cpus: TensorFlow threads.
        memory: Of the host, in bytes; given as a whole number of them or as "4GiB", "500MB"; 0 asks for none in
            particular. Ray counts it, and limits nobody to it.
        accelerator: The kind of its GPUs by the name that Ray has for it, such as "H100"; None takes any.
        mixed_devices: Whether trials of one sweep may run on nodes of different devices, so that their bits differ.
    """

    gpus: float = 0.0
    cpus: Count = 1
    memory: int = 0
    accelerator: str | None = None
    mixed_devices: bool = False

    @field_validator("gpus", mode="before")
    @classmethod
    def _whole_or_one_nth(cls, value: object) -> float:
        share = _share(value)
        nearest = share.limit_denominator(64)
        is_number = 0 <= share <= 1000 and abs(nearest - share) < 1e-3
        if not is_number or (nearest.denominator != 1 and nearest.numerator != 1):
            told = shortened(str(value))
            raise Misfit(
                f"gpus is {told}",
                "give 0, a whole number, or a share 1/n of one device such as 1/2",
            )
        return float(nearest)

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes_of_size(cls, value: object) -> int:
        num_bytes = _num_bytes(value)
        if num_bytes is None or num_bytes > _MOST_BYTES:
            raise Misfit(
                f"memory is {shortened(str(value))}",
                "give a size such as 4GiB or 500MB, a whole number of bytes, or 0 to ask for none in particular",
            )
        return num_bytes

    @model_validator(mode="after")
    def _accelerator_has_gpus(self) -> ResourcesSpec:
        if self.accelerator is not None and not self.gpus:
            raise Misfit(
                f"accelerator is {shortened(self.accelerator)}, and a trial holds no GPUs",
                "give gpus: 1, or leave accelerator out",
            )
        return self


def _num_bytes(value: object) -> int | None:
    """Read what `memory` is given as; None where it is no size."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    number, prefix, is_binary = found.groups()
    unit = 1024 if is_binary else 1000
    return round(Fraction(number) * Fraction(unit) ** " KMGT".index(prefix or " "))


def _share(value: object) -> Fraction:
    """Read what `gpus` is given as; -1 where it is no number or one beyond all bounds."""
    of_text = isinstance(value, str) and _SHARE.fullmatch(value)
    try:
        if of_text:
            return Fraction(of_text[1]) / Fraction(of_text[2] or 1)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Fraction(-1)
        return Fraction(float(value))
    except (ValueError, OverflowError, ZeroDivisionError):
        return Fraction(-1)


def _measured_by_default() -> list[StatisticSpec]:
    return [STATISTICS[name].model_validate({"name": name}) for name in MEASURED_BY_DEFAULT]


class SweepSpec(Frozen):
    """A sweep as written in YAML; unknown keys are errors."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    model: ModelSpec
    dataset: DatasetSpec
    loss: str
    grid: GridSpec | None = None
    pairs: list[Pair] | None = Field(default=None, min_length=1)
    seeds: (
        Annotated[int, Field(ge=1, le=MOST_SEEDS)]
        | Annotated[list[Seed], Field(min_length=1, max_length=MOST_SEEDS)]
    )
    training: TrainingSpec
    measure: list[StatisticSpec] = Field(default_factory=_measured_by_default, min_length=1)
    resources: ResourcesSpec = ResourcesSpec()

    @field_validator("pairs")
    @classmethod
    def _pairs_differ(cls, pairs: list[Pair] | None) -> list[Pair] | None:
        refuse_repeats("pairs", pairs or [])
        _refuse_alike(rate for _, rate in pairs or [])
        return pairs

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: int | list[int]) -> int | list[int]:
        refuse_repeats("seeds", seeds if isinstance(seeds, list) else [])
        return seeds

    @field_validator("training")
    @classmethod
    def _stops_behind_the_last_milestone(cls, training: TrainingSpec) -> TrainingSpec:
        """Refuse trials that may end at other rates: a cell has one final rate.

        Not where a plan that was kept is read: those of earlier versions stay readable.
        """
        rule, last = training.convergence, max(training.milestones, default=0)
        if rule.stop and last > rule.patience_epochs:  # the rule cannot hold at an earlier epoch
            raise Misfit(
                f"convergence.stop may end a trial after {rule.patience_epochs + 1} epochs, before the last "
                f"milestone, {last}, so that trials of a cell end at different learning rates",
                f"leave stop out, end milestones at epoch {rule.patience_epochs}, or give "
                f"convergence.patience_epochs: {last}",
            )
        return training

    @field_validator("measure")
    @classmethod
    def _statistics_differ(cls, measure: list[StatisticSpec]) -> list[StatisticSpec]:
        refuse_repeats("measure", [item.model_dump_json(exclude={"seeds"}) for item in measure])
        return measure

    @model_validator(mode="after")
    def _grid_or_pairs(self) -> SweepSpec:
        if (self.grid is None) == (self.pairs is None):
            if self.grid is not None:
                raise Misfit("grid and pairs are both given", "keep one")
            raise Misfit(
                "there is neither grid nor pairs",
                "give one, such as grid: {batch_size: [100], learning_rate: [0.1]}",
            )
        return self

    @model_validator(mode="after")
    def _statistics_have_their_seeds(self) -> SweepSpec:
        num_seeds = len(self.seed_list)
        for item in self.measure:
            if item.seeds is not None and item.seeds > num_seeds:
                raise Misfit(
                    f"{item.name} is to be measured for {item.seeds} seeds, and a cell has {num_seeds}",
                    f"give measure a number of seeds of at most {num_seeds}, or none for all",
                )
        return self

    @model_validator(mode="after")
    def _is_no_larger_than_a_plan(self) -> SweepSpec:
        grid = self.grid
        num_cells = (
            len(self.pairs or [])
            if grid is None
            else len(grid.batch_size) * len(grid.learning_rate)
        )
        num_seeds = self.seeds if isinstance(self.seeds, int) else len(self.seeds)
        if num_cells * num_seeds > MOST_TRIALS:
            raise Misfit(
                f"{num_cells:,} cells with {num_seeds:,} seeds are {num_cells * num_seeds:,} trials",
                f"give fewer values or seeds, for at most {MOST_TRIALS:,} trials a sweep",
            )
        return self

    @property
    def cells(self) -> list[tuple[int, float]]:
        """Every (batch size, learning rate), in the order written."""
        if self.grid is None:
            return list(self.pairs or [])
        return [(size, rate) for size in self.grid.batch_size for rate in self.grid.learning_rate]

    @property
    def seed_list(self) -> list[int]:
        """The seeds, n meaning 0 … n-1."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)


def _refuse_alike(rates: Iterable[float]) -> None:
    """Raise when two learning rates look the same in tables and figures, which show six digits."""
    shown: dict[str, float] = {}
    for rate in rates:
        other = shown.setdefault(f"{rate:g}", rate)
        if other != rate:
            raise Misfit(
                f"learning_rate holds {other!r} and {rate!r}, which tables show alike, as {rate:g}",
                "keep one of them, or give rates that differ in their first six digits",
            )
