"""A run is asked to drain by signal or by a marker that names it alone."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from orchestrator.liveness import run_control
from orchestrator.liveness.run_control import (
    EXIT_INTERRUPTED,
    INTERRUPTED,
    RunControl,
    ask_to_stop,
    interrupted_afterwards,
    interruptible,
    live_runs,
    with_handlers_kept,
)
from orchestrator.machine.processes import process_space
from workers.contract.errors import StoreError
from workers.contract.store import Store

FAKES = Path(__file__).parents[1] / "fakes"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "store"))


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_writes_the_marker_and_sets_the_flag(store, number):
    """With its name as the reason, so that slots on other machines are told."""
    control = RunControl(store, "toy")
    with control.listening():
        assert not control.is_stopping
        signal.raise_signal(number)
        assert control.is_stopping
        assert control.signal_name == number.name
        assert store.read_json(Store.stop_path("toy", control.run_id))["reason"] == number.name


def test_a_second_signal_ends_at_once(store):
    """For who will not wait; the registration goes all the same."""
    with RunControl(store, "toy").listening():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert live_runs(store, "toy") == []


def test_handlers_are_put_back(store):
    """However the block ends."""
    former = [signal.getsignal(number) for number in SIGNALS]
    with RunControl(store, "toy").listening():
        assert [signal.getsignal(number) for number in SIGNALS] != former
    assert [signal.getsignal(number) for number in SIGNALS] == former
    with pytest.raises(ValueError, match="of the block"), RunControl(store, "toy").listening():
        raise ValueError("of the block")
    assert [signal.getsignal(number) for number in SIGNALS] == former


def test_a_run_is_registered_while_it_listens(store):
    """With host and process, under its sweep's name alone."""
    control = RunControl(store, "toy")
    with control.listening():
        assert live_runs(store, "toy") == [control.run_id]
        assert live_runs(store, "to") == []
        owner = store.read_json(Store.run_path("toy", control.run_id))
        assert (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())
    assert live_runs(store, "toy") == []


def test_a_marker_stops_one_run_only(store):
    """A run that was stopped leaves its marker; a later or another run goes on."""
    first, second = RunControl(store, "toy"), RunControl(store, "toy")
    ask_to_stop(store, "toy", first.run_id, "minima stop")
    assert first.is_stopping
    assert not second.is_stopping
    assert not RunControl(store, "toy").is_stopping
    assert not RunControl(store, "other").is_stopping


def test_a_dead_run_of_this_host_is_forgotten(store, dead_pid):
    """Of whatever sweep; what a living process or one in a container registered stays, and what nobody can judge."""
    here, running = process_space(), os.getppid()
    owners = {
        "dead": {"process_space": here, "pid": dead_pid},
        "alive": {"process_space": here, "pid": running},
        "elsewhere": {"process_space": f"{here}0", "pid": dead_pid},
        "strange": {"process_space": here},
    }
    for run_id, owner in owners.items():
        store.write_json(Store.run_path("toy", run_id), owner)
    store.write_json(Store.run_path("other", "dead"), owners["dead"])
    control = RunControl(store, "toy")
    with control.listening():
        found = set(live_runs(store, "toy"))
    assert found == {"alive", "elsewhere", "strange", control.run_id}
    assert live_runs(store, "other") == []


def test_the_run_of_another_user_is_not_forgotten(store, monkeypatch):
    """A process that may not be signalled lives."""
    owner = {"process_space": process_space(), "pid": 7}
    store.write_json(Store.run_path("toy", "theirs"), owner)

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    with RunControl(store, "toy").listening():
        assert "theirs" in live_runs(store, "toy")


def test_the_marker_is_written_once_the_store_is_back(store, monkeypatch):
    """A signal while the store is away stops the run, and its slots as soon as they can be told."""
    control = RunControl(store, "toy")

    def fail(*_: object) -> None:
        raise StoreError("away")

    with control.listening():
        with monkeypatch.context() as away:
            away.setattr(Store, "read_bytes", fail)
            away.setattr(Store, "write_json", fail)
            assert not control.is_stopping
            signal.raise_signal(signal.SIGUSR1)
            control.poll()
            assert control.is_stopping
        path = Store.stop_path("toy", control.run_id)
        assert store.read_json(path) is None
        control.poll()
        assert store.read_json(path)["reason"] == "SIGUSR1"


@pytest.mark.parametrize("number", SIGNALS[1:], ids=lambda number: number.name)
def test_a_signal_interrupts_where_no_run_listens(number):
    """As Ctrl-C does, so that everything is put away; then no signal changes how the command ended."""
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(number)
    for late in SIGNALS:
        signal.raise_signal(late)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_interruption_is_held_back(number):
    """Until the block is over; then as before."""
    former = signal.getsignal(number)
    reached = []

    def block() -> None:
        with interrupted_afterwards():
            signal.raise_signal(number)
            reached.append(1)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == [1]
    assert signal.getsignal(number) == former
    with interrupted_afterwards():
        pass


def test_a_second_signal_is_not_held_back():
    """For who will not wait."""
    reached = []

    def block() -> None:
        with interrupted_afterwards():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            reached.append(1)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == []


def test_a_signal_counts_for_more_than_what_failed_after_it():
    """A cluster that cannot be joined is no mistake of who has asked to leave meanwhile."""

    def join(*asked: signal.Signals) -> None:
        with interrupted_afterwards():
            for number in asked:
                signal.raise_signal(number)
            raise OSError("nobody answers")

    with pytest.raises(KeyboardInterrupt):
        join(signal.SIGTERM)
    with pytest.raises(OSError, match="nobody"):
        join()


def lose_handler_and_get(number: signal.Signals) -> None:
    """Do as a library in C does that puts a signal back to its default, which would end this process."""
    ctypes.pythonapi.PyOS_setsig.argtypes = [ctypes.c_int, ctypes.c_void_p]
    ctypes.pythonapi.PyOS_setsig(number, None)
    time.sleep(0.1)
    os.kill(os.getpid(), number)
    time.sleep(0.1)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_handler_lost_meanwhile_is_set_again_at_once(number):
    """Before what took it is over."""
    heard = []
    signal.signal(number, lambda *_: heard.append(1))
    with_handlers_kept(lambda: lose_handler_and_get(number))
    assert heard == [1]
    signal.raise_signal(number)
    assert heard == [1, 1]


def test_a_handler_may_interrupt_what_its_loss_is_waited_for():
    """The function goes on in its thread."""
    over = []

    def function() -> None:
        lose_handler_and_get(signal.SIGTERM)
        time.sleep(0.5)
        over.append(1)

    with pytest.raises(KeyboardInterrupt), interruptible():
        with_handlers_kept(function)
    assert over == []


def test_what_is_raised_while_handlers_are_kept_comes_out():
    """Though it was raised in a thread."""

    def fail() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        with_handlers_kept(fail)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 6.0])
def test_a_signal_while_ray_is_left_or_after_it_interrupts(seconds):
    """Ray's farewell takes SIGTERM's handler with it; the exit code is ours all the same."""
    left = subprocess.run(
        [sys.executable, str(FAKES / "leave_cluster.py"), str(seconds)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert left.returncode == EXIT_INTERRUPTED, left.stderr[-3000:]
    said = "the caller was interrupted\n" if seconds > 1 else f"{INTERRUPTED}\n"
    assert (left.stdout, left.stderr) == ("", said)


def test_the_runs_of_a_sweep_whose_name_holds_dots_are_found(store):
    """And those of a sweep whose name begins alike are not its own."""
    for sweep, run_id in (("toy.of.dots", "run1"), ("toy", "run2")):
        store.write_json(Store.run_path(sweep, run_id), {})
    assert live_runs(store, "toy.of.dots") == ["run1"]
    assert live_runs(store, "toy") == ["run2"]


def test_the_store_is_asked_for_the_marker_every_two_seconds_at_most(store, monkeypatch):
    """However many want to know; what a signal asked for is known at once."""
    control, looks, now = RunControl(store, "toy"), [], [100.0]
    monkeypatch.setattr(run_control.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(store, "read_bytes", looks.append)
    assert not any(control.is_stopping for _ in range(50))
    assert looks == [Store.stop_path("toy", control.run_id)]
    monkeypatch.setattr(store, "read_bytes", lambda _: b"{}")
    now[0] += 1.9
    assert not control.is_stopping
    now[0] += 0.1
    assert control.is_stopping
    other = RunControl(store, "toy")
    other.ask_to_stop("now")
    assert other.is_stopping


def test_a_run_that_was_asked_stays_asked_while_the_store_is_away(store, monkeypatch):
    """Else it would begin trials anew that its slots then refuse."""
    control, now = RunControl(store, "toy"), [100.0]
    monkeypatch.setattr(run_control.time, "monotonic", lambda: now[0])
    ask_to_stop(store, "toy", control.run_id, "minima stop")
    assert control.is_stopping
    monkeypatch.setattr(Store, "read_bytes", Mock(side_effect=StoreError("away")))
    now[0] += 2.0
    assert control.is_stopping
