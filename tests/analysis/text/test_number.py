from __future__ import annotations

import math

import pytest

from analysis.mathematics.interval import Interval
from analysis.mathematics.uncertain import Uncertain
from analysis.text.interval_text import interval_text
from analysis.text.number import Number, plus_minus, written, written_scalar
from analysis.text.number_text import NOTHING, plain, with_error


@pytest.mark.parametrize(
    "text",
    [plain(0.5), with_error(Uncertain(1e-9, 1e-10)), interval_text(Interval(2.0, 1.0, 3.0)),
     written_scalar(7), written(1e-05)],
)  # fmt: skip
def test_what_writes_a_number_keeps_it(text):
    """Every writer of numbers gives a cell its number; a mark behind it makes a text of it."""
    assert isinstance(text, Number)
    assert type(f"{text}*") is str


@pytest.mark.parametrize(
    "text",
    [NOTHING, plain(math.nan), written(math.inf), plus_minus("1", "nan"), written_scalar("1e5"),
     written_scalar(None)],
)  # fmt: skip
def test_what_is_no_number_has_none(text):
    """Nothing, the infinite, and words, even if they look like numbers: the name of a version or an id."""
    assert type(text) is str
