"""What has fallen silent, by this process's own clock alone, as no two machines' clocks agree."""

from __future__ import annotations

from collections.abc import Mapping


class Silence:
    """Record of things looked at from time to time, to find those unchanged for too long.

    Args:
        limit_seconds: How long is too long.
        longest_gap_seconds: After a longer time without a look all start afresh, as nothing can be
            heard while the store is out of reach.
    """

    def __init__(self, limit_seconds: float, longest_gap_seconds: float = 30.0) -> None:
        self._limit, self._longest_gap = limit_seconds, longest_gap_seconds
        self._heard: dict[str, tuple[object, float]] = {}
        self._looked_at: float | None = None

    def silent(self, seen: Mapping[str, object], now: float) -> set[str]:
        """Look at everything that should live and return the names of the silent ones.

        Args:
            seen: The present state of each, by name.
            now: Monotonic time [s].
        """
        if self._looked_at is not None and now - self._looked_at > self._longest_gap:
            self._heard.clear()
        self._looked_at = now
        former, self._heard = self._heard, {}
        for name, state in seen.items():
            known = former.get(name)
            since = known[1] if known is not None and known[0] == state else now
            self._heard[name] = (state, since)
        return {name for name, (_, since) in self._heard.items() if now - since > self._limit}

    def forget(self, name: str) -> None:
        """Start one afresh at the next look, whatever its state then."""
        self._heard.pop(name, None)
