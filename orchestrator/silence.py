"""Which attempts have fallen silent, by this process' own clock alone: no two machines' clocks agree."""

from __future__ import annotations

from collections.abc import Sequence

from workers.contract.orders import Heartbeat


class Silence:
    """Looks at heartbeats now and then, and tells which have not changed for too long.

    Args:
        limit_seconds: How long is too long.
        longest_gap_seconds: After a longer time without a look all begin anew, as while the store is
            away nobody can be heard.
    """

    def __init__(self, limit_seconds: float, longest_gap_seconds: float = 30.0) -> None:
        self._limit, self._longest_gap = limit_seconds, longest_gap_seconds
        self._heard: dict[str, tuple[Heartbeat, float]] = {}
        self._looked_at: float | None = None

    def silent(self, beats: Sequence[Heartbeat], now: float) -> list[Heartbeat]:
        """Look at the heartbeats of all attempts that should live; give the silent ones.

        Args:
            beats: As the store holds them.
            now: Monotonic seconds.
        """
        if self._looked_at is not None and now - self._looked_at > self._longest_gap:
            self._heard.clear()
        self._looked_at = now
        former, self._heard = self._heard, {}
        for beat in beats:
            known = former.get(beat.attempt_id)
            since = known[1] if known is not None and known[0] == beat else now
            self._heard[beat.attempt_id] = (beat, since)
        return [beat for beat, since in self._heard.values() if now - since > self._limit]
