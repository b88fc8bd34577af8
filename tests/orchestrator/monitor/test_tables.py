"""How states look on a terminal."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from orchestrator.monitor.status import CellStatus, SweepStatus
from orchestrator.monitor.tables import (
    device_table,
    failure_table,
    pace_parts,
    progress_text,
    silence_line,
    status_table,
    time_left,
    what_runs,
)
from orchestrator.monitor.throughput import Throughput
from orchestrator.planning.estimate import duration
from workers.contract.orders import Heartbeat, Progress


def text_of(renderable) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(renderable)
    return stream.getvalue()


def beat(statistic=None, devices="-1", share=0.5, **progress) -> Heartbeat:
    return Heartbeat(
        trial_id="0123456789abcdef", attempt_id="a", statistic=statistic, sweep="toy", run_id="r",
        state="running", host="node7", pid=1, devices=devices, device_share=share,
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
    assert [part.strip() for part in rows[0]][1:-1] == [
        "100",
        "0.08",
        "3",
        "1",
        "·",
        "1",
        "·",
        "unknown",
    ]
    assert [part.strip() for part in rows[1]][1:-1] == [
        "500",
        "0.5",
        "·",
        "·",
        "2",
        "·",
        "3",
        "unknown",
    ]


def test_of_many_cells_those_not_done_are_shown_and_the_others_summed():
    """2,000 cells: what runs or failed first, then what waits, and one row for all the rest."""
    done = [CellStatus(size, 0.1, 5, 0, 0, 0, 0) for size in range(1, 1851)]
    waits = [CellStatus(size, 0.2, 0, 0, 0, 5, 0, seconds_left=90.0) for size in range(1, 149)]
    busy = [CellStatus(7, 0.3, 2, 3, 0, 0, 0), CellStatus(8, 0.3, 4, 0, 0, 0, 1)]
    status = SweepStatus("big", "r", [*done, *waits, *busy], [])
    lines = text_of(status_table(status)).splitlines()
    assert lines[0].split("; ") == [
        "big: 9256 of 10000 trials done",
        "100 of 2,000 cells shown, those not done first, the others summed (--json: each)",
    ]
    rows = [
        [part.strip() for part in line.split("│")[1:-1]] for line in lines if line.startswith("│")
    ]
    assert [row[:2] for row in rows[:3]] == [["7", "0.3"], ["8", "0.3"], ["1", "0.2"]]
    assert rows[-1] == ["other", "cells", "9250", "·", "·", "250", "·", "2 min"]
    assert len(rows) == 101
    over = text_of(status_table(replace(status, cells=done))).splitlines()
    assert "0 of 1,850 cells shown, all summed (--json: each)" in over[0]
    assert [line.split("│")[3].strip() for line in over if "other" in line] == ["9250"]


def test_how_far_a_cell_is():
    """How many run, the epoch of the furthest from 1, and when its last trial is done."""
    cells = [
        CellStatus(100, 0.08, 3, 2, 0, 0, 0, furthest_epoch=31, epochs=125, seconds_left=7200.0),
        CellStatus(100, 0.2, 0, 1, 0, 0, 0, seconds_left=math.nan),
        CellStatus(100, 0.5, 5, 0, 0, 0, 0, seconds_left=0.0),
    ]
    lines = text_of(status_table(SweepStatus("toy", "r", cells, []))).splitlines()
    rows = [[part.strip() for part in line.split("│")] for line in lines if line.startswith("│")]
    assert [row[4] for row in rows] == ["2 (epoch 31/125)", "1", "·"]
    assert [row[8] for row in rows] == ["2.0 h", "unknown", "·"]


def running(*beats: Heartbeat) -> SweepStatus:
    cells = {"0123456789abcdef": (32, 0.05)}
    return SweepStatus("toy", "r", [], list(beats), trial_cells=cells)


def test_what_runs_is_told_by_cell():
    """Epoch or statistic of each attempt, once; an attempt of no cell by its trial."""
    status = running(beat(epoch=2, epochs=12), beat("traces"), beat("traces"))
    assert what_runs(status) == "32, 0.05: epoch 3/12 and traces"
    assert what_runs(status, has_epochs=False) == "32, 0.05: training and traces"
    assert what_runs(replace(status, trial_cells={}, running=[beat()])) == "0123456789: training"
    assert what_runs(running()) == ""


def test_diverged_trials_are_marked_in_their_cell():
    """Of the three done one has no minimum."""
    cell = CellStatus(100, 0.5, 3, 0, 0, 0, 0, diverged=1)
    assert "│ 3 (1 diverged) │" in text_of(status_table(SweepStatus("toy", "r", [cell], [])))


def test_pauses_are_told_beside_the_pace():
    """Where they make a difference of more than a twentieth; of work long past the time alone."""
    paused = Throughput(2, 600.0, "the run", 24.0, None, 0, worked_seconds=300.0)
    status = SweepStatus("toy", "r", [CellStatus(1, 0.1, 2, 0, 0, 0, 0)], [], throughput=paused)
    assert pace_parts(status) == [
        "2 trials finished in 10 min, since the run began, 5 min of it worked: 24/h"
    ]
    past = replace(paused, window_seconds=math.inf)
    assert pace_parts(replace(status, throughput=past)) == [
        "2 trials finished in 5 min of work: 24/h"
    ]


def test_what_each_gpu_does():
    """Attempts by device, with shares and their sum; those without a device apart."""
    shown = text_of(
        device_table(
            running(
                beat(devices="-1", share=0.0, done=30, total=120, epoch=2, epochs=12),
                beat("traces", "3", phase="measuring", done=1, total=4),
                beat("losses", "3", phase="measuring"),
                beat(devices="10", share=1.0),
            )
        )
    )
    rows = [
        [part.strip() for part in line.split("│")[1:-1]]
        for line in shown.splitlines()
        if line.startswith("│")
    ]
    assert rows == [
        ["node7", "3 (100 %)", "32, 0.05", "0123456789", "0.5", "traces", "25 %"],
        ["", "", "32, 0.05", "0123456789", "0.5", "losses", "…"],
        ["node7", "10 (100 %)", "32, 0.05", "0123456789", "1", "training", "…"],
        ["node7", "none", "32, 0.05", "0123456789", "·", "training", "epoch 3/12, 25 %"],
    ]


def _pace_line(status) -> str:
    return "; ".join(pace_parts(status))


def test_how_fast_it_goes():
    """What was counted, over which time; nothing of what is not known."""
    cell = CellStatus(100, 0.08, 3, 1, 0, 0, 0)
    pace = Throughput(7, 3600.0, "an hour ago", 7.0, 123.4, 2, 3600.0)
    status = SweepStatus("toy", "r", [cell], [beat()], seconds_left=7200.0, throughput=pace)
    assert _pace_line(status) == (
        "7 trials finished in the last hour: 7/h; 123 training steps/s; about 2.0 h left"
    )
    young = Throughput(2, 600.0, "the first live attempt", 12.0, None, 0, 600.0)
    assert _pace_line(replace(status, throughput=young, seconds_left=math.nan)) == (
        "2 trials finished in 10 min, since the first live attempt began: 12/h; time left unknown"
    )
    assert _pace_line(replace(status, throughput=None, running=[])) == "nothing runs"


def test_a_fast_pace_is_written_in_full():
    """Not as 1.2e+03."""
    pace = Throughput(1234, 3600.0, "an hour ago", 1234.0, 12_345.6, 2, 3600.0)
    cell = CellStatus(100, 0.08, 1234, 0, 0, 0, 0)
    status = SweepStatus("toy", "r", [cell], [beat()], throughput=pace)
    assert _pace_line(status) == (
        "1,234 trials finished in the last hour: 1,234/h; 12,346 training steps/s"
    )


def test_who_is_silent():
    """By name and host, and that a single look cannot tell a clock that is off."""
    status = SweepStatus("toy", "r", [], [])
    assert silence_line(status, is_single_look=True) == ""
    status = replace(status, silent=[beat()] * 5)
    told = silence_line(status, is_single_look=True)
    assert told.startswith("silent for over a minute: 0123456789 on node7, 0123456789 on node7")
    assert told.endswith(" and 2 more: ended by force, or clocks differ (--watch decides)")
    assert silence_line(status, is_single_look=False).endswith("2 more: ended by force")


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
    joined = "".join(line.split("│")[3].strip() for line in shown.splitlines() if "│" in line)
    assert joined.replace(" ", "").startswith("shape[batch,10][/][red]xyy")
    assert 200 < shown.count("y") < 300
