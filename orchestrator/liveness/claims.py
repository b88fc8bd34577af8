"""Claims: an attempt announces that it begins, and gives way to another run that has already begun.

Each attempt publishes a heartbeat in the state `claiming`, then looks for those of other runs. Of two
that claim at once the first by name goes on, once it has seen that the other gave way; an attempt
that is `running` is never disturbed. A claim whose run is over, or whose driver is dead, counts for
nothing. Claims save work; no record depends on them: two attempts at one trial commit equal bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from orchestrator.liveness.heartbeats import heartbeats_of_all
from orchestrator.liveness.silence import Silence
from workers.contract.errors import StoreError
from workers.contract.orders import Heartbeat
from workers.contract.store import Store

_POLL_SECONDS = 0.2
_LONGEST_SECONDS = 10.0
_LOOK_SECONDS = 1.0
RIVAL_SILENCE_SECONDS = 30.0
"""An attempt of another run that is silent for longer than this is not waited for."""


def is_ours(
    store: Store,
    claim: Heartbeat,
    presumed_dead: Collection[str] = (),
    wait: Callable[[float], None] = time.sleep,
) -> bool:
    """Return whether a published claim stands; False when another run already does this trial.

    Args:
        store: Where claims are.
        claim: Our own, already published.
        presumed_dead: Attempts that have been silent for too long.
        wait: Waits for so many seconds.
    """
    passed_over = {*presumed_dead, claim.attempt_id}
    for _ in range(round(_LONGEST_SECONDS / _POLL_SECONDS)):
        others = rivals(store, claim.trial_id, claim.run_id, passed_over)
        if any(_comes_first(other, claim) for other in others):
            return False
        if not others:
            return True
        wait(_POLL_SECONDS)  # the other is about to give way
    return True


def rivals(
    store: Store, trial_id: str, run_id: str, presumed_dead: Collection[str] = ()
) -> list[Heartbeat]:
    """List the attempts at a trial that other runs, still registered, have begun and not ended."""
    return rivals_at_all(store, {trial_id}, run_id, presumed_dead)


def rivals_at_all(
    store: Store, trial_ids: Collection[str], run_id: str, presumed_dead: Collection[str] = ()
) -> list[Heartbeat]:
    """List the rivals at several trials, with one reading of the store for all of them."""
    try:
        found = heartbeats_of_all(store, trial_ids, presumed_dead)
        if not any(beat.run_id != run_id for beat in found):
            return []
        registered = set(store.names("control"))
    except StoreError:
        return []
    return [
        beat
        for beat in found
        if beat.run_id != run_id
        and beat.state != "ended"
        and Store.run_path(beat.sweep, beat.run_id) in registered
    ]


def dead_rivals(
    store: Store, trial_id: str, run_id: str, is_over: Callable[[], bool]
) -> set[str] | None:
    """Watch other runs' attempts at a trial: None once one shows life, else those that are silent.

    Args:
        store: Where their heartbeats are.
        trial_id: The trial.
        run_id: Our own run.
        is_over: Called between looks; True ends the wait, which counts as a sign of life.
    """
    silence = Silence(RIVAL_SILENCE_SECONDS)
    seen: dict[str, Heartbeat] = {}
    while not is_over():
        found = rivals(store, trial_id, run_id)
        silent = silence.silent({beat.attempt_id: beat for beat in found}, time.monotonic())
        if len(silent) == len(found):
            return silent
        if any(seen.setdefault(beat.attempt_id, beat) != beat for beat in found):
            return None
        time.sleep(_LOOK_SECONDS)
    return None


def _comes_first(other: Heartbeat, claim: Heartbeat) -> bool:
    if other.state == "running":
        return True
    return (other.run_id, other.attempt_id) < (claim.run_id, claim.attempt_id)
