"""What runs on each GPU: the live attempts by host and device, with the shares they hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from workers.contract.orders import Heartbeat

NO_DEVICE = "none"


@dataclass(frozen=True)
class DeviceUse:
    """One GPU of a host, or `none` for its attempts without one; `share` is the sum held."""

    host: str
    device: str
    share: float
    attempts: list[Heartbeat]


def device_use(running: Sequence[Heartbeat]) -> list[DeviceUse]:
    """Group live attempts by host and device; one on several whole GPUs is listed under each."""
    groups: dict[tuple[str, str], list[Heartbeat]] = defaultdict(list)
    for beat in running:
        for device in _devices_of(beat):
            groups[beat.host, device].append(beat)
    return [
        DeviceUse(host, device, sum(share_held(beat) for beat in attempts), attempts)
        for (host, device), attempts in sorted(groups.items(), key=lambda item: _order(*item[0]))
    ]


def share_held(beat: Heartbeat) -> float:
    """Return the share that an attempt holds of each of its devices: 1, 1/n, or 0 for none."""
    return min(beat.device_share, 1.0)


def _devices_of(beat: Heartbeat) -> list[str]:
    named = [name.strip() for name in beat.devices.split(",")] if beat.device_share else []
    return [name for name in named if name not in {"", "-1"}] or [NO_DEVICE]


def _order(host: str, device: str) -> tuple[str, int, str]:
    """Return a sort key that puts 2 before 10, and names after numbers."""
    return host, int(device) if device.isdecimal() else 10**9, device
