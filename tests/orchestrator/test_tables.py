"""How states look on a terminal."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from orchestrator.status import CellStatus, SweepStatus
from orchestrator.tables import (
    duration,
    failure_table,
    progress_text,
    running_table,
    status_table,
    time_left,
)
from workers.contract.orders import Heartbeat, Progress


def text_of(renderable) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(renderable)
    return stream.getvalue()


def beat(statistic=None, devices="-1", **progress) -> Heartbeat:
    return Heartbeat(
        trial_id="0123456789abcdef", attempt_id="a", statistic=statistic, sweep="toy", run_id="r",
        state="running", host="node7", pid=1, devices=devices, device_share=0.5,
        started_at="2026-01-02T03:04:05+00:00", beat_at="2026-01-02T03:04:05+00:00",
        progress=Progress(**{"phase": "training"} | progress),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (35_000, "9.7 h"),
        (36_000, "10 h"),
        (172_799, "48 h"),
        (172_800, "2 days"),
        (21 * 86_400, "21 days"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_seconds_for_a_person(seconds, text):
    """In the unit that gives a number of one to three digits."""
    assert duration(seconds) == text


def test_what_is_left():
    """Of what nothing is known of, nothing is said."""
    assert time_left(120) == "about 2 min left"
    assert time_left(math.nan) == "time left unknown"


def test_cells_by_state():
    """A row a cell, a dot where there is none."""
    cells = [CellStatus(100, 0.08, 3, 1, 0, 1, 0), CellStatus(500, 0.5, 0, 0, 2, 0, 3)]
    lines = text_of(status_table(SweepStatus("toy", "r", cells, []))).splitlines()
    assert lines[0].strip() == "toy: 3 of 10 trials done"
    rows = [line.split("│") for line in lines if line.startswith("│")]
    assert [part.strip() for part in rows[0]][1:-1] == ["100", "0.08", "3", "1", "·", "1", "·"]
    assert [part.strip() for part in rows[1]][1:-1] == ["500", "0.5", "·", "·", "2", "·", "3"]


def test_what_runs_now():
    """Training by epoch, measuring by share; the device with its share, or none."""
    shown = text_of(
        running_table(
            [
                beat(done=30, total=120, epoch=2, epochs=12),
                beat("traces", "3", phase="measuring", done=1, total=4),
            ]
        )
    )
    first, second = [line for line in shown.splitlines() if line.startswith("│")]
    for part in ("0123456789 ", "training", "epoch 3/12, 25 %", "node7", "none", "03:04:05"):
        assert part in first
    for part in ("measuring traces", "25 %", "3 (0.5)"):
        assert part in second


def test_an_attempt_that_has_not_told_how_far_it_is():
    """Three dots stand for it."""
    assert progress_text(beat()) == "…"


def test_a_message_is_shown_as_it_is():
    """Brackets of a message are no markup, and a long one is cut."""
    group = {
        "failure_class": "bug", "signature": "ValueError", "count": 2,
        "message": "shape [batch, 10] [/] [red]x" + "y" * 1000, "log_path": "logs/a.log",
    }  # fmt: skip
    shown = text_of(failure_table([group]))
    joined = "".join(line.split("│")[4].strip() for line in shown.splitlines() if "│" in line)
    assert joined.replace(" ", "").startswith("shape[batch,10][/][red]xyy")
    assert 200 < shown.count("y") < 300
