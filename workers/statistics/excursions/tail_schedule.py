"""The schedule of a tail: a burn-in, then blocks of steps with records at random steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from workers.statistics.tail import TailSpec


NUM_BLOCKS = 32
"""Units of the intervals: enough for Student's t, few enough to be long against SGD's memory."""

Event = Literal["forget", "centre", "record", "block"]
"""`forget` resets the sums, `centre` makes the mean iterate the centre, `record` evaluates the
objective, `block` closes a block."""


class Leg(NamedTuple):
    """An uninterrupted part of the run, up to before step `end`, and what happens then."""

    end: int
    then: Event


def legs_of(settings: TailSpec, seed: int) -> list[Leg]:
    """Cut a run into legs; steps are counted from the beginning of the burn-in.

    The sums restart half way through the burn-in, so that the centre is the mean iterate of its
    second half. Blocks have equal numbers of steps, up to one. Each has its share of the records,
    one at a uniformly random step of each of as many equal pieces.

    Args:
        settings: The settings of the statistic.
        seed: Seed of the steps of the records.
    """
    first, end = settings.burn_in_steps, settings.burn_in_steps + settings.num_steps
    generator = np.random.Generator(np.random.Philox(key=seed))
    edges = _edges(first, end, NUM_BLOCKS)
    shares = np.diff(_edges(0, settings.num_records, NUM_BLOCKS))
    legs = [Leg(first // 2, "forget"), Leg(first, "centre")]
    for start, stop, share in zip(edges[:-1], edges[1:], shares.tolist(), strict=True):
        pieces = _edges(start, stop, share)
        legs += [Leg(int(step), "record") for step in generator.integers(pieces[:-1], pieces[1:])]
        legs.append(Leg(stop, "block"))
    return legs


def _edges(first: int, end: int, num_parts: int) -> list[int]:
    return [first + (end - first) * number // num_parts for number in range(num_parts + 1)]
