"""What has fallen silent, by this process' own clock alone: no two machines' clocks agree."""

from __future__ import annotations

from collections.abc import Mapping


class Silence:
    """Looks at things now and then, and tells which have not changed for too long.

    Args:
        limit_seconds: How long is too long.
        longest_gap_seconds: After a longer time without a look all begin anew, as while the store is
            away nobody can be heard.
    """

    def __init__(self, limit_seconds: float, longest_gap_seconds: float = 30.0) -> None:
        self._limit, self._longest_gap = limit_seconds, longest_gap_seconds
        self._heard: dict[str, tuple[object, float]] = {}
        self._looked_at: float | None = None

    def silent(self, seen: Mapping[str, object], now: float) -> set[str]:
        """Look at all that should live; give the silent ones.

        Args:
            seen: What each looks like now, by its name.
            now: Monotonic seconds.
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
        """Let one begin anew at the next look, however it looks then."""
        self._heard.pop(name, None)
