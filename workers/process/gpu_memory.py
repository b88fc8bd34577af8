"""Memory of the GPUs that a trial holds: a gate before TensorFlow starts, and the limit of a share.

Ray passes a GPU on before the former process has freed its memory, and counts shares without
enforcing them. NVML reports how much is free, without a CUDA context of its own. Where its library
(extra `gpu`) or the driver is absent there is neither gate nor limit.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

from workers.contract.errors import Drained

USABLE = 0.9
"""The part of a device that trials may fill: the driver and a CUDA context per trial, some 0.3-0.5
GB, take the rest. With it n shares of 1/n fit on a device together with their contexts."""

LONGEST_WAIT_SECONDS = 60.0
_POLL_SECONDS = 1.0


class GpuBusy(Exception):
    """A GPU given to this trial stayed occupied by others; the message says by how much."""


@dataclass(frozen=True)
class DeviceMemory:
    """Memory of one GPU as the driver reports it."""

    name: str
    free_bytes: int
    total_bytes: int


class Nvml(Protocol):
    """The part of NVML that is used."""

    def memory(self, device: str) -> DeviceMemory | None:
        """Return the memory of a device by index in PCI order or UUID; None when NVML cannot."""
        ...

    def count(self) -> int:
        """Count the devices of this machine."""
        ...


def wait_for_share(
    share: float, visible_devices: str, should_stop: Callable[[], bool]
) -> int | None:
    """Wait until the devices given to this process have room for its share.

    Args:
        share: The share of one GPU, or a number of whole ones; 0 for none.
        visible_devices: CUDA_VISIBLE_DEVICES, numbered in PCI order (CUDA_DEVICE_ORDER=PCI_BUS_ID).
        should_stop: Called between readings.

    Returns:
        The bytes that a share below 1 may take; None where there is no limit.

    Raises:
        GpuBusy: There was no room within `LONGEST_WAIT_SECONDS`.
        Drained: It was asked to stop while it waited.
    """
    if not share:
        return None
    with opened_nvml() as nvml:
        if nvml is None:
            return None
        devices = pinned_devices(visible_devices)
        wait_until_free(nvml, devices, share, should_stop)
        return limit_bytes(nvml, devices, share)


def pinned_devices(visible_devices: str) -> list[str]:
    """Split CUDA_VISIBLE_DEVICES as CUDA does: what follows an empty entry or -1 is ignored."""
    entries = (entry.strip() for entry in visible_devices.split(","))
    return list(takewhile(lambda entry: entry not in {"", "-1"}, entries))


def wait_until_free(
    nvml: Nvml,
    devices: Sequence[str],
    share: float,
    should_stop: Callable[[], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Poll every second until every device has room for the share; raises as `wait_for_share`."""
    deadline = clock() + LONGEST_WAIT_SECONDS
    while shortages := _shortages(nvml, devices, share):
        if should_stop():
            raise Drained("asked to stop while waiting for memory of a GPU")
        if clock() >= deadline:
            raise GpuBusy(f"after {LONGEST_WAIT_SECONDS:.0f} s " + "; ".join(shortages))
        sleep(_POLL_SECONDS)


def limit_bytes(nvml: Nvml, devices: Sequence[str], share: float) -> int | None:
    """Return the bytes that a share below 1 may take; None for whole devices, or when unknown."""
    memory = nvml.memory(devices[0]) if devices and share < 1 else None
    return None if memory is None else _need(memory, share)


@contextlib.contextmanager
def opened_nvml() -> Iterator[Nvml | None]:
    """Open NVML for the block; None where its library or the driver is absent."""
    nvml = _open()
    try:
        yield nvml
    finally:
        if nvml is not None:
            nvml.close()


def _shortages(nvml: Nvml, devices: Sequence[str], share: float) -> list[str]:
    found = [memory for device in devices if (memory := nvml.memory(device)) is not None]
    return [
        f"GPU {memory.name} has {gigabytes(memory.free_bytes)} of "
        f"{gigabytes(memory.total_bytes)} GB free, and the trial needs "
        f"{gigabytes(_need(memory, share))} GB"
        for memory in found
        if memory.free_bytes < _need(memory, share)
    ]


def _need(memory: DeviceMemory, share: float) -> int:
    return int(min(share, 1.0) * USABLE * memory.total_bytes)


def gigabytes(num_bytes: int) -> str:
    """Format bytes as GB with one digit after the point."""
    return f"{num_bytes / 1e9:.1f}"


class _DriverNvml:
    """NVML through `pynvml`, whose errors mean that a device cannot be queried."""

    def __init__(self, library: _Pynvml) -> None:
        self._library = library

    def memory(self, device: str) -> DeviceMemory | None:
        library = self._library
        try:
            handle = (
                library.nvmlDeviceGetHandleByIndex(int(device))
                if device.isdecimal()
                else library.nvmlDeviceGetHandleByUUID(device)
            )
            memory = library.nvmlDeviceGetMemoryInfo(handle)
        except library.NVMLError:  # an abbreviated UUID, memory shared with the processor
            return None
        return DeviceMemory(device, int(memory.free), int(memory.total))

    def count(self) -> int:
        return int(self._library.nvmlDeviceGetCount())

    def close(self) -> None:
        self._library.nvmlShutdown()


class _MemoryInfo(Protocol):
    free: int
    total: int


class _Pynvml(Protocol):
    """The part of the module `pynvml` that is used; it has no types."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: N802  # NVML's own names
    def nvmlShutdown(self) -> None: ...  # noqa: N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...  # noqa: N802
    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object: ...  # noqa: N802
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> _MemoryInfo: ...  # noqa: N802


def _open() -> _DriverNvml | None:
    try:
        import pynvml  # of the extra `gpu`
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return None
    return _DriverNvml(pynvml)
