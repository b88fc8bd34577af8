"""What attempts note of themselves outside the store, and how a test reaches into them.

The folder `CHAOS_SIDE` holds `attempts/<attempt>.jsonl` (one line an event, written at once, so that
it survives any death), `settings.json` (how fast steps are, how far the clock is off), and `armed/`:
orders to stop at a place of `workers.contract.fault_injection`. An armed order is taken by one attempt, which
stands still there and writes its process id into the order's token.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from workers.contract import fault_injection
from workers.contract.orders import Order

SIDE = "CHAOS_SIDE"
MACHINE = "CHAOS_MACHINE"
"""Name of the machine a node pretends to be; a node that replaces a dead one takes over its name."""


def side_folder() -> Path:
    """Give the folder this process was told of."""
    return Path(os.environ[SIDE])


def settings(folder: Path) -> dict[str, float]:
    """Read what the test has set."""
    try:
        found: dict[str, float] = json.loads((folder / "settings.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def change_settings(folder: Path, **changes: float) -> None:
    """Set something for attempts that begin from now on."""
    unfinished = folder / f".settings.{os.getpid()}"
    unfinished.write_text(json.dumps(settings(folder) | changes))
    unfinished.replace(folder / "settings.json")


class Notes:
    """Writes one attempt's events."""

    def __init__(self, folder: Path, order: Order) -> None:
        place = folder / "attempts"
        place.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(place / f"{order.attempt_id}.jsonl", flags)
        self.note(
            "begin",
            store=order.store,
            trial_id=order.trial_id,
            statistic=order.statistic.name if order.statistic else None,
            attempt_id=order.attempt_id,
            pid=os.getpid(),
            slot=_grandparent(),
            raylet=int(os.environ.get("RAY_RAYLET_PID", "0")),
            machine=os.environ.get(MACHINE, ""),
            devices=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            share=order.device_share,
            checkpoint_seconds=order.checkpoint_seconds,
            step_seconds=settings(folder).get("step_seconds", 0.0),
        )

    def note(self, event: str, **facts: object) -> None:
        """Write an event with its time; one write, so that a line is whole or not there."""
        line = json.dumps({"event": event, "time": time.time(), **facts})
        os.write(self._descriptor, line.encode() + b"\n")

    def close(self) -> None:
        """Close the file: a process that goes on with another order has another."""
        os.close(self._descriptor)


def arm(folder: Path, name: str, place: str, *, is_training: bool | None = None) -> Path:
    """Ask attempts (of that kind) to stand still at a place; give the token to watch.

    Three may take the order, as not each gets so far; the first to get there makes the token, and then
    the others pass by.
    """
    armed = folder / "armed"
    armed.mkdir(parents=True, exist_ok=True)
    token = armed / f"{name}.token"
    kind = {True: "training", False: "measuring", None: "any"}[is_training]
    for number in range(3):
        order = armed / f"{name}.{number}.{kind}.order"
        unfinished = armed / f".{name}.{number}"
        unfinished.write_text(f"{place}:{token}")
        unfinished.replace(order)
    return token


def disarm(folder: Path) -> None:
    """Take back all orders that nobody has taken yet."""
    for path in (folder / "armed").glob("*.order"):
        path.unlink(missing_ok=True)


def take_armed_fault(folder: Path, order: Order, notes: Notes) -> None:
    """Take an order to stand still, if one waits for work of this kind."""
    os.environ.pop(fault_injection.VARIABLE, None)  # of an order that this process has done before
    kind = "training" if order.statistic is None else "measuring"
    for path in sorted((folder / "armed").glob("*.order")):
        if path.name.split(".")[-2] in {kind, "any"}:
            with contextlib.suppress(FileNotFoundError):
                taken = path.with_suffix(f".{order.attempt_id}.taken")
                path.rename(taken)
                os.environ[fault_injection.VARIABLE] = taken.read_text()
                notes.note("armed", fault=os.environ[fault_injection.VARIABLE])
                return


def _grandparent() -> int:
    """Give the process id of the slot: the parent of the fork server, which is our parent."""
    text = Path(f"/proc/{os.getppid()}/stat").read_text()
    return int(text.rsplit(")", 1)[1].split()[1])
