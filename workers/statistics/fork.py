"""`fork`: independent streams of SGD from the kept weights, and the loss they gain above their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from workers.contract.excursions import ExcursionSpec
from workers.contract.frozen import Count, Misfit

if TYPE_CHECKING:
    from workers.contract.records import Measurement
    from workers.statistics.measuring.context import MeasurementContext


class ForkSpec(ExcursionSpec):
    """`num_streams` independent streams of SGD, compared with their mean in windows of the step number.

    The windows are (T/2, T], (T/4, T/2], … for T = num_steps, `num_windows` of them; the longest one is
    looked at `records_per_window` times, each shorter one half as often. Streams are the independent
    units of every interval: on a linear regression of 4 parameters 95 % intervals covered 92-93 % with
    32 of them, 94-95 % with 64.
    """

    numerics_version = 2
    quantities = (
        "excess_loss",
        "harmonic_excess_loss",
        "expected_gradient_norm_squared",
        "gradient_norm_squared",
        "batch_gradient_norm_squared",
        "gradient_noise_trace",
        "direction_variance",
        "direction_noise",
        "hessian_top_eigenvalue",
        "hessian_residual_norm",
    )

    name: Literal["fork"] = "fork"
    num_streams: Annotated[int, Field(ge=32, le=100_000)] = 64
    num_steps: Count = 512
    num_windows: Annotated[int, Field(ge=1, le=30)] = 5
    records_per_window: Annotated[int, Field(ge=1, le=10_000)] = 8

    @model_validator(mode="after")
    def _windows_have_steps(self) -> ForkSpec:
        least = 2 ** (self.num_windows - 1)
        if self.num_steps < least:
            raise Misfit(
                f"num_steps {self.num_steps} is too few for {self.num_windows} windows, each half as "
                "long as the next",
                f"give at least {least} steps, or fewer windows",
            )
        return self

    def stated_gradients(self, batch_size: int, num_train: int) -> float:
        """Return the cost by which time is stated: steps of all streams, passes where windows are looked at, products.

        The algorithm counts more, by half where steps are most of it: batches that probe the noise, slopes,
        evaluations of the mean. Time is known by epochs of training, each a gradient. One stated here took about
        0.75 of an epoch, with a ResNet-8 and with an MLP of 64 units, m = 32; of those counted 0.65 and 0.5.
        """
        steps = self.num_steps * batch_size / num_train
        observations = sum(map(len, self.windows()))
        return self.num_streams * (steps + observations) + 3 * self.max_lanczos_steps

    def windows(self) -> list[tuple[int, ...]]:
        """Return the steps at which each window is looked at, the shortest window first.

        A window (s, e] of J observations has them at e, e - Δ, …, with Δ = (e - s)/J rounded down, so the
        last step of a window is always one of them; it names the window. It begins where the one
        before ends, the first one half way.
        """
        halvings = list(reversed(range(self.num_windows)))
        ends = [self.num_steps >> each for each in halvings]
        starts = [ends[0] // 2, *ends[:-1]]
        return [
            _observed_steps(start, end, max(1, self.records_per_window >> each))
            for start, end, each in zip(starts, ends, halvings, strict=True)
        ]


def _observed_steps(start: int, end: int, num_observations: int) -> tuple[int, ...]:
    distance = max(1, (end - start) // num_observations)
    steps = [end - distance * number for number in range(num_observations)]
    return tuple(step for step in reversed(steps) if step > start)


def measure(context: MeasurementContext, settings: ForkSpec) -> list[Measurement]:
    """Measure as the algorithm of this name says."""
    from workers.statistics.algorithms import fork  # here: who plans needs no TensorFlow

    return fork.measure(context, settings)


ITEM = ForkSpec
