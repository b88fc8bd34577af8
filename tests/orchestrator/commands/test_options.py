"""How options are read."""

from __future__ import annotations

import pytest
import typer

from orchestrator.commands.options import awaited_nodes_of, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("11h30m", 41400), ("2d", 172800), ("1d2h3m4s", 93784)],
)
def test_a_time_is_read_as_seconds(text, seconds):
    """The sum of its days, hours, minutes and seconds."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "m", "0h", "-5m", "1.5h", "5m 3s", "30m11h", "٣h x"])
def test_what_is_no_time_is_refused(text):
    """With what is meant."""
    with pytest.raises(typer.BadParameter, match="is no time: write 90s, 45m, 11h30m or 2d"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "read"), [("3", (3, None)), ("3,600", (3, 600.0)), ("0", (0, None))]
)
def test_nodes_are_waited_for_without_end_or_for_so_long(text, read):
    assert awaited_nodes_of(text) == read
