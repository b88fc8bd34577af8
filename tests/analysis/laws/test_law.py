"""Laws declare themselves, in an order, and each can be told from the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.evidence.excursions import TARGETS
from analysis.laws.law import in_order
from analysis.laws.palette import GREY
from analysis.predictions import laws


def test_the_laws_stand_in_the_order_they_declare():
    """Not in that of their files' names, and none is left out."""
    assert list(laws()) == [
        "wang_4_45", "jastrzebski_9", "wang_4_46", "finite_learning_rate", "finite_time",
        "finite_time_drift", "shuffled", "state_dependent",
    ]  # fmt: skip
    shown = list(in_order(reversed(laws().values())))
    assert shown == list(laws()) != sorted(laws())


def test_two_laws_of_one_name_are_our_own_bug():
    """Rows of the one would stand for the other."""
    law = laws()["shuffled"]
    with pytest.raises(AssertionError, match=r"^two laws are called 'shuffled'$"):
        in_order([law, replace(law, place=1, color="#000000")])


def test_two_laws_of_one_look_are_our_own_bug():
    """In a panel colour alone tells laws apart; laws of other targets share none, only legends."""
    law = laws()["wang_4_45"]
    with pytest.raises(AssertionError, match=r"^laws 'a' and 'b' are drawn alike$"):
        in_order([replace(law, name="b", place=99), replace(law, name="a", marker="x")])
    apart = replace(law, name="a", targets=("expected_gradient_norm_squared",))
    with pytest.raises(AssertionError, match=r"^laws 'wang_4_45' and 'a' are drawn alike$"):
        in_order([law, replace(apart, place=99)])
    assert len(in_order([law, replace(apart, marker="x")])) == 2


def test_a_law_of_no_target_is_our_own_bug():
    """Nothing measured could stand beside it."""
    law = replace(laws()["shuffled"], targets=("excess_loss", "accuracy"))
    with pytest.raises(AssertionError, match=r"^law 'shuffled' predicts {'accuracy'}, no target$"):
        in_order([law])


def test_every_law_has_a_colour_of_its_own():
    """None is grey as what is no datum; `finite_time_drift` was."""
    for target in TARGETS:
        colors = [law.color for law in laws().values() if target in law.targets]
        assert len(set(colors)) == len(colors) >= 6
        assert GREY not in colors
