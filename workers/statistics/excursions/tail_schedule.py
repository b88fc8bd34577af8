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
    at most one a step: one at a uniformly random step of each of as many equal pieces.

    Args:
        settings: The settings of the statistic.
        seed: Seed of the steps of the records.
    """
    first, end = settings.burn_in_steps, settings.burn_in_steps + settings.num_steps
    generator = np.random.Generator(np.random.Philox(key=seed))
    edges = _edges(first, end, NUM_BLOCKS)
    legs = [Leg(first // 2, "forget"), Leg(first, "centre")]
    for start, stop, share in zip(edges[:-1], edges[1:], _shares(settings, edges), strict=True):
        pieces = _edges(start, stop, share)
        legs += [Leg(int(step), "record") for step in generator.integers(pieces[:-1], pieces[1:])]
        legs.append(Leg(stop, "block"))
    return legs


def _shares(settings: TailSpec, edges: list[int]) -> list[int]:
    """Return the records of each block between these edges: as many as in every other, up to one.

    Where nearly every step is recorded, a block could have fewer steps than that; records are then cut
    where the steps are.
    """
    sizes, shares = np.diff(edges), np.diff(_edges(0, settings.num_records, NUM_BLOCKS))
    if (shares > sizes).any():
        steps = [edge - edges[0] for edge in edges]
        shares = np.diff([settings.num_records * each // settings.num_steps for each in steps])
    return [int(share) for share in shares]


def _edges(first: int, end: int, num_parts: int) -> list[int]:
    return [first + (end - first) * number // num_parts for number in range(num_parts + 1)]
