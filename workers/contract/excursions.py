"""SGD that goes on from a kept model to be watched: what is set, and at which steps it is looked at."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workers.contract.frozen import Count, Frozen, Positive, Seed
from workers.contract.specs import Sampler

ExcursionMode = Literal["frozen", "batch"]


class ExcursionSpec(Frozen):
    """SGD from the kept weights at a constant rate, with the trial's batch size, L2 and momentum.

    The velocity starts at zero; examples come without augmentation. `learning_rate` null is the final
    one of the trial's schedule. `bn_mode` `frozen` holds batch norm at the population statistics of the
    kept weights; `batch` normalises each batch by its own.
    """

    learning_rate: Positive | None = None
    sampler: Sampler = "replacement"
    bn_mode: ExcursionMode = "frozen"
    num_directions: Annotated[int, Field(ge=1, le=1000)] = 10
    max_lanczos_steps: Annotated[int, Field(ge=1, le=10_000)] = 60
    stream_seed: Seed = 0

    @model_validator(mode="after")
    def _has_lanczos_steps(self) -> ExcursionSpec:
        if self.max_lanczos_steps < self.num_directions:
            raise ValueError(
                f"max_lanczos_steps {self.max_lanczos_steps} is below num_directions "
                f"{self.num_directions}; raise the one or lower the other"
            )
        return self


class ForkSpec(ExcursionSpec):
    """`num_streams` independent streams of SGD, compared with their mean in windows of the step number.

    The windows are (T/2, T], (T/4, T/2], … for T = num_steps, `num_windows` of them; the longest one is
    looked at `records_per_window` times, each shorter one half as often. Streams are the independent
    units of every interval: on a linear regression of 4 parameters 95 % intervals covered 92-93 % with
    32 of them, 94-95 % with 64.
    """

    name: Literal["fork"] = "fork"
    num_streams: Annotated[int, Field(ge=32, le=100_000)] = 64
    num_steps: Count = 512
    num_windows: Annotated[int, Field(ge=1, le=30)] = 5
    records_per_window: Annotated[int, Field(ge=1, le=10_000)] = 8

    @model_validator(mode="after")
    def _windows_have_steps(self) -> ForkSpec:
        least = 2 ** (self.num_windows - 1)
        if self.num_steps < least:
            raise ValueError(
                f"num_steps {self.num_steps} is too few for {self.num_windows} windows, each half as "
                f"long as the next; give at least {least} steps, or fewer windows"
            )
        return self

    def windows(self) -> list[tuple[int, ...]]:
        """Give the steps at which each window is looked at, the shortest window first.

        A window (s, e] of J looks has them at e, e - Δ, …, with Δ = (e - s)/J rounded down, so the
        last step of a window is always one of them; it names the window. It begins where the one
        before ends, the first one half way.
        """
        halvings = list(reversed(range(self.num_windows)))
        ends = [self.num_steps >> each for each in halvings]
        starts = [ends[0] // 2, *ends[:-1]]
        return [
            _looks(start, end, max(1, self.records_per_window >> each))
            for start, end, each in zip(starts, ends, halvings, strict=True)
        ]


class TailSpec(ExcursionSpec):
    """One long run: a burn-in, then `num_steps` during which it is tested for being stationary.

    Loss and gradient of the whole training set are taken at `num_records` steps, at random places
    inside epochs. Block means over the run are the units of every interval.
    """

    name: Literal["tail"] = "tail"
    burn_in_steps: Count = 5_000
    num_steps: Annotated[int, Field(ge=1_000, le=10**9)] = 20_000
    num_records: Annotated[int, Field(ge=64, le=10**6)] = 256

    @model_validator(mode="after")
    def _has_steps_to_record(self) -> TailSpec:
        if self.num_steps < self.num_records:
            raise ValueError(
                f"num_steps {self.num_steps} is below num_records {self.num_records}; "
                "raise the one or lower the other"
            )
        return self


def _looks(start: int, end: int, num_looks: int) -> tuple[int, ...]:
    distance = max(1, (end - start) // num_looks)
    steps = [end - distance * number for number in range(num_looks)]
    return tuple(step for step in reversed(steps) if step > start)
