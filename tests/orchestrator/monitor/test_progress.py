"""A running sweep is shown from its store: a line a change, or tables on a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from rich.console import Console

from orchestrator.monitor import progress
from orchestrator.monitor.progress import ProgressView
from orchestrator.planning.prepare import Options, prepare
from workers.contract.errors import StoreError
from workers.contract.orders import Heartbeat, Progress
from workers.contract.records import FailureRecord, table
from workers.contract.store import Store


class Watched:
    """A view on the toy sweep, its store, a clock, and what was shown."""

    def __init__(self, monkeypatch, *, is_terminal: bool = False) -> None:
        self.prepared = prepare("toy.yaml", Options("store"))
        self.stream = io.StringIO()
        self.now, self.spent, self.is_stopping = 1000.0, 0.0, False
        clocks = {"monotonic": lambda: self.now, "thread_time": self._time_spent}
        monkeypatch.setattr(progress, "time", SimpleNamespace(**clocks))
        self.look_costs = 0.0
        console = Console(file=self.stream, force_terminal=is_terminal, width=100)
        self.view = ProgressView(self.prepared, 2, console, is_stopping=lambda: self.is_stopping)

    def _time_spent(self) -> float:
        """Tell the processor time, which the look between two questions takes its share of."""
        self.spent += self.look_costs
        return self.spent

    def look(self, seconds_later: float = 6.0) -> list[str]:
        """Let time pass and update; everything shown so far."""
        self.now += seconds_later
        with self.view:
            self.view.update()
        return self.stream.getvalue().splitlines()

    def beat(self, number: int, done: int = 0, total: int = 0) -> None:
        now = datetime.now(UTC).isoformat()
        name = self.prepared.plan.trials[number].trial_id
        heartbeat = Heartbeat(
            trial_id=name, attempt_id="a", statistic=None, sweep="toy", run_id="r",
            state="running", host="node7", pid=1, devices="-1", device_share=0.0, started_at=now,
            beat_at=now, progress=Progress(phase="training", done=done, total=total),
        )  # fmt: skip
        path = Store.heartbeat_path(name, "a")
        self.prepared.store.write_json(path, heartbeat.model_dump(mode="json"))

    def fail(self, number: int, attempt_id: str) -> None:
        name = self.prepared.plan.trials[number].trial_id
        row = FailureRecord(
            trial_id=name, statistic_id=None, attempt_id=attempt_id, failure_class="bug",
            signature="s", message="m", log_path="l", host="h", failed_at=datetime.now(UTC),
        )  # fmt: skip
        rows = table("failures", [row])
        self.prepared.store.commit("failures", (name, attempt_id), attempt_id, rows)


@pytest.fixture
def make_watched(monkeypatch, toy_sweep):
    """Make a view, wherever the store stands by then."""
    toy_sweep(seeds=3, training={"epochs": 100}, measure=["losses"])
    return lambda **options: Watched(monkeypatch, **options)


@pytest.mark.parametrize(("costs", "gap"), [(0.01, 5.0), (0.1, 10.0), (3.0, 20.0)])
def test_a_costly_look_comes_less_often(make_watched, costs, gap):
    """In proportion to its processor time, and never so seldom that what hangs would not be found."""
    watched = make_watched()
    watched.look_costs = costs
    watched.look()
    watched.look(gap - 0.1)
    assert watched.view.num_reads == 1
    watched.look(0.2)
    assert watched.view.num_reads == 2


def test_a_line_a_change(make_watched, finish_trial):
    """Nothing is said twice."""
    watched = make_watched()
    lines = watched.look()
    assert len(lines) == 1
    assert lines[0].startswith("0 of 3 trials done, 0 running, about ")
    assert lines[0].endswith(" left")
    assert watched.look() == lines
    watched.beat(0)
    finish_trial(watched.prepared.store, watched.prepared.plan.trials[1], [])
    finish_trial(
        watched.prepared.store, watched.prepared.plan.trials[2], watched.prepared.plan.statistics
    )
    assert watched.look()[1].startswith("1 of 3 trials done, 1 running")


def test_the_store_is_not_read_at_every_call(make_watched):
    """A moment ago is soon enough."""
    watched = make_watched()
    watched.look()
    watched.beat(0)
    assert len(watched.look(seconds_later=1.0)) == 1
    assert len(watched.look(seconds_later=6.0)) == 2


def test_a_store_that_is_away_is_told_once_and_ends_nothing(make_watched, monkeypatch):
    """A run that waits for it must not look as if it did nothing."""
    watched = make_watched()
    watched.look()

    def fail(*_: object) -> None:
        raise StoreError("cannot list trials")

    with monkeypatch.context() as away:
        away.setattr(Store, "marks", fail)
        said = watched.look()
        assert said[1:] == ["the store does not answer, looking again: cannot list trials"]
        assert watched.look(seconds_later=6.0) == said
    assert len(watched.look(seconds_later=6.0)) == 2


def test_a_drain_is_said(make_watched):
    """In place of the time left."""
    watched = make_watched()
    watched.is_stopping = True
    assert watched.look() == ["0 of 3 trials done, 0 running, draining: trials save and leave"]


def test_an_attempt_at_a_trial_that_is_done_is_still_watched(make_watched, finish_trial):
    """Its slot may hang after the last commit; but it is not shown as running."""
    watched = make_watched()
    watched.look()
    watched.beat(0)
    plan = watched.prepared.plan
    finish_trial(watched.prepared.store, plan.trials[0], plan.statistics)
    assert watched.look()[1].startswith("1 of 3 trials done, 0 running")
    assert [beat.trial_id for beat in watched.view.heartbeats] == [plan.trials[0].trial_id]


def test_recorded_trials_tell_how_long_the_rest_takes(make_watched, finish_trial):
    """From the first one on, in place of the speed stated before."""
    watched = make_watched()
    first = watched.look()[0]
    finish_trial(watched.prepared.store, watched.prepared.plan.trials[0], [], wall_seconds=36_000.0)
    assert "h left" in watched.look()[1]
    assert "h left" not in first


def test_failures_since_the_start_are_counted(make_watched):
    """Not what failed in earlier runs."""
    make_watched().fail(0, "before")
    watched = make_watched()
    watched.look()
    assert watched.view.failures == []
    watched.fail(0, "now")
    watched.look()
    assert [failure.attempt_id for failure in watched.view.failures] == ["now"]
    assert watched.view.num_reads == 2


def test_tables_on_a_terminal(make_watched):
    """Cells by state, what runs, and the time left."""
    watched = make_watched(is_terminal=True)
    watched.beat(0, done=1, total=4)
    shown = "\n".join(watched.look())
    for part in ("toy: 0 of 3 trials done", "running now", "node7", "25 %", " left"):
        assert part in shown


def test_what_libraries_print_meanwhile_is_not_shown(make_watched, capfd):
    """Tune prints a box about its experiment to standard output, which a run discards."""
    watched = make_watched(is_terminal=True)
    with watched.view:
        print("Configuration for experiment")
        watched.view.update()
    assert "experiment" not in watched.stream.getvalue()
    assert "experiment" in capfd.readouterr().out  # where the driver has put the null device


def test_what_runs_is_told_with_one_estimate(make_watched):
    """By cell, and one time left in all, on a terminal as in a pipe."""
    watched = make_watched()
    watched.beat(0)
    assert "1 running (32, 0.1: training), " in watched.look()[0]
    on_terminal = make_watched(is_terminal=True)
    shown = "\n".join(on_terminal.look())
    assert shown.count(" left") == shown.count("trials done") > 0  # of every frame
    assert "32, 0.1" in shown
