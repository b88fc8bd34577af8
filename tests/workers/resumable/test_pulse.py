"""How many steps a chunk may have."""

from __future__ import annotations

from workers.resumable.pulse import Pace


def test_the_first_chunk_is_one_step_and_its_time_is_not_believed():
    """It includes compilation."""
    pace = Pace(2.0)
    assert pace.num_steps == 1
    pace.observe(1, 60.0)
    assert pace.num_steps == 1


def test_chunks_grow_to_the_time_allowed_but_not_at_once():
    """At 10 ms a step and 2 s a chunk: 1, 8, 64, 200."""
    pace, sizes = Pace(2.0), []
    pace.observe(1, 60.0)
    for _ in range(4):
        pace.observe(pace.num_steps, 0.01 * pace.num_steps)
        sizes.append(pace.num_steps)
    assert sizes == [8, 64, 200, 200]


def test_a_chunk_is_at_least_one_step():
    """Even where one step takes longer than a chunk may."""
    pace = Pace(2.0)
    pace.observe(1, 60.0)
    pace.observe(1, 60.0)
    assert pace.num_steps == 1
