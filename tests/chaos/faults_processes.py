"""Deaths and hangs of attempts, fork servers and slots, at random times and at chosen places."""

from __future__ import annotations

import signal
import time

import psutil
from evidence import Seen
from ground import Ground, Missed
from surroundings import is_running, seconds_until_gone

TRAINING_PLACES = (
    "training_chunk:7", "checkpoint_write:1", "model_write:1", "model_committed:1",
    "epoch_write:1", "epochs_committed:1", "trial_write:1", "trial_renaming:1",
    "checkpoint_renaming:2", "model_renaming:1", "epoch_renaming:1",
)  # fmt: skip
MEASURING_PLACES = ("measurement_batch:5", "measurement_write:1", "measurement_renaming:1")


def kill_child_somewhere(ground: Ground) -> None:
    """An attempt is killed at any moment; the slot makes another."""
    with ground.fault("attempt SIGKILL"):
        time.sleep(ground.world.rng.uniform(0, 0.5))
        _kill_child(ground, ground.world.rng.choice(ground.wait_for_attempts()))


def kill_child_at(ground: Ground, place: str) -> None:
    """An attempt is killed in the middle of a write, between write and rename, between commits."""
    kind = place.split(":", maxsplit=1)[0]
    where = {"write": "inside a Parquet write", "renaming": "between write and rename"}
    what = where.get(kind.rsplit("_", 1)[-1], f"at {kind}")
    what = "inside a checkpoint write" if kind == "checkpoint_write" else what
    with ground.fault(f"attempt SIGKILL {what}"):
        is_training = not place.startswith("measurement")
        _kill_child(ground, ground.stand_still_at(place, is_training=is_training))


def kill_slot(ground: Ground) -> None:
    """A slot is killed: its fork server and its attempt go with it, and another takes over."""
    with ground.fault("slot SIGKILL"):
        _kill_slot(ground, ground.world.rng.choice(ground.wait_for_attempts()), signal.SIGKILL)


def kill_fork_server(ground: Ground) -> None:
    """A fork server is killed: its attempt goes with it, the slot starts another."""
    with ground.fault("fork server SIGKILL"):
        seen = ground.world.rng.choice(ground.wait_for_attempts())
        try:
            child = psutil.Process(seen.pid)
            server = child.parent()
        except psutil.NoSuchProcess:
            server = None
        if server is None or server.pid == 1:
            raise Missed("the attempt had left")
        _note_end(ground, seen, [_send(server.pid, signal.SIGKILL), child])


def stop_child(ground: Ground) -> None:
    """An attempt hangs: the slot ends it once it has not moved for too long, and makes another."""
    with ground.fault("attempt SIGSTOP"):
        seen = ground.world.rng.choice(ground.wait_for_attempts())
        child = _send_to(ground, seen, signal.SIGSTOP)
        ground.wait(lambda: not is_running(child), "the end of a hung attempt", 40)
        ground.world.evidence.note_death(seen, time.time() - 0.2)


def stop_slot(ground: Ground) -> None:
    """A slot hangs; the driver's watchdog replaces it."""
    with ground.fault("slot SIGSTOP"):
        seen = ground.world.rng.choice(ground.wait_for_attempts())
        slot = _send(seen.slot, signal.SIGSTOP)
        ground.wait(lambda: not is_running(slot), "the end of a hung slot", 90)


def _kill_child(ground: Ground, seen: Seen) -> None:
    _note_end(ground, seen, [_send_to(ground, seen, signal.SIGKILL)])


def _kill_slot(ground: Ground, seen: Seen, number: signal.Signals) -> None:
    try:
        below = psutil.Process(seen.slot).children(recursive=True)
    except psutil.NoSuchProcess:
        raise Missed("the slot had left") from None
    _note_end(ground, seen, [_send(seen.slot, number), *below])


def _note_end(ground: Ground, seen: Seen, killed: list[psutil.Process]) -> None:
    """Note that the attempt lived until now, and see that nothing of it is left."""
    ground.world.evidence.note_death(seen, time.time())
    ground.world.tally.gone_seconds.append(seconds_until_gone(killed, "what was killed"))


def _send_to(ground: Ground, seen: Seen, number: signal.Signals) -> psutil.Process:
    """Send an attempt's process a signal; it misses when that goes on with another already."""
    ground.world.evidence.look()
    if seen.status is not None:
        raise Missed("the attempt had ended")
    return _send(seen.pid, number)


def _send(pid: int, number: signal.Signals) -> psutil.Process:
    """Send a process a signal; it misses when that was quicker to leave."""
    try:
        process = psutil.Process(pid)
        if is_running(process):
            process.send_signal(number)
            return process
    except psutil.NoSuchProcess:
        pass
    raise Missed(f"process {pid} had left")
