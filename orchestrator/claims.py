"""Claims: an attempt says that it begins, and gives way where another run does the same already.

Each attempt publishes a heartbeat in the state `claiming`, then looks for those of other runs. Of two
that claim at once the first by name goes on, once it has seen that the other gave way; whoever is
`running` is never disturbed. A claim that nobody keeps, as its run is over or its driver dead, counts
for nothing. Claims save work; no record depends on them: two attempts at one trial commit equal bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from orchestrator.heartbeats import heartbeats_of
from workers.contract.errors import StoreError
from workers.contract.orders import Heartbeat
from workers.contract.store import Store

_POLL_SECONDS = 0.2
_LONGEST_SECONDS = 10.0


def is_ours(
    store: Store,
    claim: Heartbeat,
    presumed_dead: Collection[str] = (),
    wait: Callable[[float], None] = time.sleep,
) -> bool:
    """Say whether a published claim stands; False when another run does this trial already.

    Args:
        store: Where claims are.
        claim: Our own, published.
        presumed_dead: Attempts that have been silent for too long.
        wait: Waits for seconds.
    """
    for _ in range(round(_LONGEST_SECONDS / _POLL_SECONDS)):
        others = rivals(store, claim.trial_id, claim.run_id, presumed_dead)
        if any(_comes_first(other, claim) for other in others):
            return False
        if not others:
            return True
        wait(_POLL_SECONDS)  # the other one is about to give way
    return True


def rivals(
    store: Store, trial_id: str, run_id: str, presumed_dead: Collection[str] = ()
) -> list[Heartbeat]:
    """Give the attempts at a trial that other runs, still registered, have begun and not ended."""
    try:
        found = heartbeats_of(store, trial_id)
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
        and beat.attempt_id not in presumed_dead
        and Store.run_path(beat.sweep, beat.run_id) in registered
    ]


def _comes_first(other: Heartbeat, claim: Heartbeat) -> bool:
    if other.state == "running":
        return True
    return (other.run_id, other.attempt_id) < (claim.run_id, claim.attempt_id)
