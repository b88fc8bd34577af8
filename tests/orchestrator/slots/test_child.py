"""The slot's side of a fork server."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from orchestrator.slots.child import ForkServer, ForkServerLost

FAKES = Path(__file__).parents[1] / "fakes"


@pytest.fixture
def make_server(monkeypatch):
    """Make servers that are closed after the test."""
    monkeypatch.setenv("PYTHONPATH", f"{FAKES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    made = []

    def make(entry: str = "fake_trial") -> ForkServer:
        made.append(ForkServer(entry))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def make_order(tmp_path):
    """Write an order for the fake trial, which behaves by its seed."""

    def make(seed: int) -> tuple[Path, Path, dict[str, str]]:
        order = {
            "scratch": str(tmp_path), "store": str(tmp_path), "statistic": None,
            "trial_id": f"t{seed}", "attempt_id": "a", "trial": {"seed": seed}, "device_share": 0.0,
        }  # fmt: skip
        place = tmp_path / f"order{seed}.json"
        place.write_text(json.dumps(order))
        return place, tmp_path / "log", {"CUDA_VISIBLE_DEVICES": "-1"}

    return make


def test_a_child_is_started_and_its_end_heard(make_server, make_order):
    """One after another from the same server."""
    server = make_server()
    for seed, code in ((0, 0), (1, 1), (2, -signal.SIGKILL)):
        assert server.start_attempt(*make_order(seed)) > 0
        assert server.wait(20) == code


def test_waiting_is_over_in_time(make_server, make_order):
    """None while the child runs on; a signal reaches it."""
    server = make_server()
    server.start_attempt(*make_order(4))
    assert server.wait(0.2) is None
    server.signal(signal.SIGKILL)
    assert server.wait(20) == -signal.SIGKILL


def test_an_entry_that_cannot_be_imported_is_told(make_server, make_order):
    """With what the server said last."""
    with pytest.raises(
        ForkServerLost, match=r"(?s)the fork server is gone: .*No module named 'no_such_entry'"
    ):
        make_server("no_such_entry").start_attempt(*make_order(0))


def test_a_killed_server_is_told_and_replaced(make_server, make_order):
    """By the next attempt."""
    server = make_server()
    server.start_attempt(*make_order(4))
    os.kill(server._process.pid, signal.SIGKILL)
    with pytest.raises(ForkServerLost, match="the fork server is gone: it said nothing"):
        server.wait(20)
    with pytest.raises(ForkServerLost, match="it said nothing"):
        server.signal(signal.SIGTERM)
    server.start_attempt(*make_order(0))
    assert server.wait(20) == 0


def test_closing_twice_is_once(make_server, make_order):
    """And a server that never started has nothing to end."""
    server = make_server()
    server.close()
    server.start_attempt(*make_order(0))
    server.close()
    server.close()
