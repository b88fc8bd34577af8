"""Pieces of work end as slots come free, the longest first."""

from __future__ import annotations

import itertools
import math

import pytest

from orchestrator.planning.schedule import ends_of


def test_each_piece_goes_to_the_slot_that_comes_free_next():
    """By hand: 5 and 4 start at once, 3 follows 4, 2 follows 5."""
    assert ends_of({"a": 2, "b": 3, "c": 4, "d": 5}, 2) == {"d": 5, "c": 4, "b": 7, "a": 7}


def test_what_runs_by_now_holds_its_slot():
    """Also more of it than there are slots: nothing starts before one of them ends."""
    assert ends_of({"a": 1.0}, 1, busy=[3.0]) == {"a": 4.0}
    assert ends_of({"a": 1.0}, 1, busy=[3.0, 2.0]) == {"a": 3.0}
    assert ends_of({"a": 1.0}, 2, busy=[3.0]) == {"a": 1.0}


def test_without_a_slot_nothing_ends():
    """Infinite; and nothing to do takes no time."""
    assert ends_of({"a": 1.0}, 0) == {"a": math.inf}
    assert ends_of({}, 0) == {}


def test_an_unknown_time_makes_all_ends_unknown():
    """Of the work or of what runs."""
    assert all(math.isnan(end) for end in ends_of({"a": 1.0, "b": math.nan}, 1).values())
    assert math.isnan(ends_of({"a": 1.0}, 1, busy=[math.nan])["a"])


@pytest.mark.parametrize("num_slots", [1, 2, 3])
def test_the_last_end_is_within_a_third_of_the_best_order(num_slots):
    """Graham's bound of longest-first, 4/3 - 1/(3 m), against every assignment of six pieces."""
    work = {"a": 7.0, "b": 6.0, "c": 5.0, "d": 4.0, "e": 4.0, "f": 3.0}
    best = min(
        max(
            sum(seconds for seconds, slot in zip(work.values(), slots, strict=True) if slot == each)
            for each in range(num_slots)
        )
        for slots in itertools.product(range(num_slots), repeat=len(work))
    )
    found = max(ends_of(work, num_slots).values())
    assert best <= found <= best * (4 / 3 - 1 / (3 * num_slots)) + 1e-12
