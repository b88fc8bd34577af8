"""Which slots hang: their attempt has fallen silent, or they hold a trial and run no attempt.

An attempt reports every few seconds that it runs. Between attempts a slot may be silent for longer:
it starts its fork server, or waits before another try or for another run to give way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from orchestrator.liveness.silence import Silence
from workers.contract.orders import Heartbeat


class Slots(Protocol):
    """The slots at work."""

    def busy(self) -> set[str]:
        """Return the ids of the trials they hold."""
        ...

    def end(self, trial_id: str) -> None:
        """Kill the one that holds a trial."""
        ...


class HungSlots:
    """Detector of the slots of a run that hang.

    Args:
        silence_seconds: The slot of an attempt that is silent for longer hangs.
        idle_seconds: So does a slot that holds a trial and runs no attempt for longer.
    """

    def __init__(self, silence_seconds: float, idle_seconds: float) -> None:
        self._attempts, self._idle = Silence(silence_seconds), Silence(idle_seconds)

    def find(self, beats: Sequence[Heartbeat], busy: Collection[str], now: float) -> set[str]:
        """Return the trials whose slots hang; each is returned again only after as much time.

        The end of its slot may not be in the store yet when another slot takes up the trial.

        Args:
            beats: Heartbeats of the attempts of this run that say they run.
            busy: Trials that slots hold.
            now: Monotonic time [s].
        """
        silent = self._attempts.silent({beat.attempt_id: beat for beat in beats}, now)
        trials = {beat.trial_id for beat in beats}
        # an attempt that lost its slot may keep saying that it runs; one heard is the slot's
        heard = {beat.trial_id for beat in beats if beat.attempt_id not in silent}
        idle = self._idle.silent({name: None for name in busy if name not in trials}, now)
        hung = (trials - heard | idle) & set(busy)
        for beat in beats:
            if beat.trial_id in hung:
                self._attempts.forget(beat.attempt_id)
        for name in hung:
            self._idle.forget(name)
        return hung
