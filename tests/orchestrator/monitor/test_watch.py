"""Sweeps watched until the last trial: a terminal is redrawn, elsewhere only changes are printed."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from orchestrator.machine.console import Output
from orchestrator.monitor import watch as watching
from orchestrator.monitor.status import CellStatus, SweepStatus
from orchestrator.monitor.watch import status_view, watch
from workers.contract.errors import StoreError

START = SweepStatus("toy", "r", [CellStatus(32, 0.1, 0, 1, 0, 2, 0, 3, 9, 60.0)], [])


def after(num_done: int, seconds_left: float = 60.0) -> SweepStatus:
    cell = replace(START.cells[0], done=num_done, running=0, to_train=3 - num_done)
    return replace(START, cells=[cell], seconds_left=seconds_left)


class Looks:
    """Gives one look after another; an error is raised. Notes the waits."""

    def __init__(self, *looks: SweepStatus | StoreError) -> None:
        self._looks, self.waits = list(looks), []

    def __call__(self) -> list[SweepStatus]:
        found = self._looks.pop(0)
        if isinstance(found, StoreError):
            raise found
        return [found]

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_elsewhere_only_changes_are_printed(capsys):
    """The first look whole, then a line a change of counts, not of times; ends with the last trial."""
    looks = Looks(START, START, after(1), after(1, 50.0), after(2), after(3, 0.0))
    assert watch(looks, Output(), looks.wait) == [after(3, 0.0)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "toy: 0 of 3 trials done"
    assert [line for line in lines[1:] if line.startswith("toy: ")] == [
        "toy: 1 of 3 trials done, 0 running, 0 to measure, 2 to train, 0 failed; nothing runs",
        "toy: 2 of 3 trials done, 0 running, 0 to measure, 1 to train, 0 failed; nothing runs",
        "toy: 3 of 3 trials done, 0 running, 0 to measure, 0 to train, 0 failed",
    ]
    assert looks.waits == [5.0] * 5


def test_a_store_that_is_away_is_looked_at_again(capsys):
    """Watching goes on; a first look that fails is told."""
    looks = Looks(START, StoreError("away"), after(3))
    assert watch(looks, Output(), looks.wait) == [after(3)]
    with pytest.raises(StoreError):
        watch(Looks(StoreError("away")), Output(), looks.wait)


def test_with_json_watching_is_waiting(capsys):
    """Nothing is printed before the end."""
    looks = Looks(START, after(2), after(3))
    assert watch(looks, Output(is_json=True), looks.wait) == [after(3)]
    assert capsys.readouterr().out == ""


def test_a_terminal_is_redrawn(monkeypatch):
    """In place: the cursor goes up between two looks."""
    stream = io.StringIO()
    monkeypatch.setattr(
        watching, "PrintableConsole", lambda: Console(file=stream, force_terminal=True, width=100)
    )
    looks = Looks(START, after(2), after(3))
    watch(looks, Output(), looks.wait)
    shown = stream.getvalue()
    assert "\x1b[1A" in shown  # one line up
    for number in range(4):
        assert (f"{number} of 3 trials done" in shown) is (number != 1)


def test_nothing_is_wrapped_at_100_columns(make_beat):
    """Four GPUs on hosts with long names, two attempts each, and a failure with its log."""
    running = [
        make_beat(
            f"{host}{gpu}{half}" * 5, host=f"ip-10-0-12-{host}4.eu-west-1.compute.internal",
            devices=str(gpu), device_share=0.5, done=62_000, total=62_500, epoch=123, epochs=125,
        )
        for host in range(2) for gpu in range(2) for half in range(2)
    ]  # fmt: skip
    cells = [CellStatus(500, 0.08, 10, 8, 100, 100, 10, 125, 125, 1e7)]
    failure = {
        "failure_class": "out_of_memory", "signature": "ResourceExhaustedError", "count": 12,
        "message": "OOM " * 50, "log_path": f"logs/{'0' * 20}.20260102T030405-00000003.log",
    }  # fmt: skip
    state = SweepStatus("paper-kld", "r", cells, running, silent=running[:2], failures=[failure])
    stream = io.StringIO()
    Console(file=stream, width=100).print(status_view([state], is_single_look=True))
    shown = stream.getvalue()
    for whole in ("8 (epoch 125/125)", "epoch 124/125, 99 %", "0 (100 %)", failure["log_path"]):
        assert whole in shown
    assert max(len(line) for line in shown.splitlines()) <= 100
    rows = [line for line in shown.splitlines() if "epoch 124/125, 99 %" in line]
    assert len(rows) == len(running)
