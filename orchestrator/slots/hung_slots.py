"""Which slots hang: nothing is heard of what they do, or they hold a trial and do nothing about it.

An attempt tells every few seconds that it runs. Between attempts a slot may be silent for longer: it
starts its fork server, waits before another try, or for another run to give way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from orchestrator.liveness.silence import Silence
from workers.contract.orders import Heartbeat


class Slots(Protocol):
    """The slots at work."""

    def busy(self) -> set[str]:
        """Name the trials they hold."""
        ...

    def end(self, trial_id: str) -> None:
        """End the one that holds a trial, by force."""
        ...


class HungSlots:
    """Looks at the slots of a run now and then.

    Args:
        silence_seconds: An attempt that tells nothing for so long is at a slot that hangs.
        idle_seconds: So does a slot that holds a trial and has no attempt running for so long.
    """

    def __init__(self, silence_seconds: float, idle_seconds: float) -> None:
        self._attempts, self._idle = Silence(silence_seconds), Silence(idle_seconds)

    def find(self, beats: Sequence[Heartbeat], busy: Collection[str], now: float) -> set[str]:
        """Give the trials whose slots hang; each is given again only when as much time has passed.

        Its slot's end may not be in the store yet while another slot takes the trial up.

        Args:
            beats: Of the attempts of this run that say they run.
            busy: Trials that slots hold.
            now: Monotonic seconds.
        """
        silent = self._attempts.silent({beat.attempt_id: beat for beat in beats}, now)
        trials = {beat.trial_id for beat in beats}
        # one that lost its slot may say for ever that it runs; another that is heard is the slot's
        heard = {beat.trial_id for beat in beats if beat.attempt_id not in silent}
        idle = self._idle.silent({name: None for name in busy if name not in trials}, now)
        hung = (trials - heard | idle) & set(busy)
        for beat in beats:
            if beat.trial_id in hung:
                self._attempts.forget(beat.attempt_id)
        for name in hung:
            self._idle.forget(name)
        return hung
