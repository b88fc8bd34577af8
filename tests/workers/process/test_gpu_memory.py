"""A trial waits for the memory of its GPU, gives up after a while, and a share has a limit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from workers.contract.errors import Drained
from workers.process import gpu_memory
from workers.process.gpu_memory import (
    LONGEST_WAIT_SECONDS,
    DeviceMemory,
    GpuBusy,
    limit_bytes,
    opened_nvml,
    pinned_devices,
    wait_for_share,
    wait_until_free,
)

GB = 10**9


class FakeNvml:
    """GPUs of 10 GB; each look at a device takes the next of its values, the last one for ever."""

    def __init__(self, **free: list[float]) -> None:
        self.free = {name.removeprefix("gpu"): values for name, values in free.items()}

    def memory(self, device: str) -> DeviceMemory | None:
        values = self.free.get(device)
        if values is None:
            return None
        value = values.pop(0) if len(values) > 1 else values[0]
        return DeviceMemory(device, int(value * GB), 10 * GB)

    def count(self) -> int:
        return len(self.free)


class FakeClock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def wait(nvml: FakeNvml, devices: list[str], share: float, **changes: object) -> float:
    """Wait on a fake clock; the seconds that passed."""
    clock = FakeClock()
    settings = {"should_stop": lambda: False, "clock": clock, "sleep": clock.sleep} | changes
    wait_until_free(nvml, devices, share, **settings)
    return clock.seconds - 100.0


@pytest.mark.parametrize(
    ("share", "free", "seconds"),
    [
        (1, [9.5], 0),
        (1, [2, 5, 9.0], 2),
        (0.5, [4.4, 4.5], 1),
        (0.25, [2.2, 2.3], 1),
        (2, [8, 9.5], 1),
    ],
)
def test_it_waits_until_the_share_is_free(share, free, seconds):
    """Nine tenths of the share of the whole, looked at once a second."""
    assert wait(FakeNvml(gpu0=free), ["0"], share) == seconds


def test_every_device_must_have_room():
    """Not only the first."""
    assert wait(FakeNvml(gpu0=[10], gpu3=[1, 1, 10]), ["0", "3"], 2) == 2


def test_a_gpu_that_stays_full_is_busy():
    """After a minute, with the figures."""
    with pytest.raises(GpuBusy) as caught:
        wait(FakeNvml(gpu0=[10], gpu1=[1.25]), ["0", "1"], 2)
    assert str(caught.value) == (
        "after 60 s GPU 1 has 1.2 of 10.0 GB free, and the trial needs 9.0 GB"
    )
    assert LONGEST_WAIT_SECONDS == 60


def test_it_can_be_stopped_while_it_waits():
    """Within a second."""
    with pytest.raises(Drained, match="waiting for memory"):
        wait(FakeNvml(gpu0=[1]), ["0"], 1, should_stop=lambda: True)


def test_a_device_that_does_not_tell_is_not_waited_for():
    """Nor limited."""
    assert wait(FakeNvml(), ["GPU-abbreviated"], 1) == 0
    assert limit_bytes(FakeNvml(), ["GPU-abbreviated"], 0.5) is None


def test_only_a_share_has_a_limit():
    """All shares of a device together leave a tenth of it."""
    nvml = FakeNvml(gpu0=[10])
    assert limit_bytes(nvml, ["0"], 0.5) == 4.5 * GB
    assert 4 * limit_bytes(nvml, ["0"], 0.25) == 9 * GB
    assert limit_bytes(nvml, ["0"], 1) is None
    assert limit_bytes(nvml, [], 0.5) is None


@pytest.mark.parametrize(
    ("visible", "devices"),
    [
        ("0", ["0"]),
        ("2, 3", ["2", "3"]),
        ("GPU-8932f937,MIG-1", ["GPU-8932f937", "MIG-1"]),
        ("-1", []),
        ("", []),
        ("1,-1,2", ["1"]),
    ],
)
def test_visible_devices_are_split_as_cuda_does(visible, devices):
    """Indices and UUIDs; nothing after an invalid one."""
    assert pinned_devices(visible) == devices


class NvmlError(Exception):
    pass


@pytest.fixture
def pynvml(monkeypatch) -> Iterator[SimpleNamespace]:
    """A library in place of NVIDIA's: two devices of 10 GB, one of them full."""
    memories = {0: 10 * GB, 1: 1 * GB, "GPU-a": 10 * GB}

    def handle(name: object) -> object:
        if name not in memories:
            raise NvmlError
        return name

    state = SimpleNamespace(opened=0)
    library = SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: setattr(state, "opened", state.opened + 1),
        nvmlShutdown=lambda: setattr(state, "opened", state.opened - 1),
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetMemoryInfo=lambda name: SimpleNamespace(free=memories[name], total=10 * GB),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    yield library
    assert state.opened == 0, "left open"


def test_the_library_is_asked_by_index_or_uuid(pynvml):
    """Whatever CUDA_VISIBLE_DEVICES holds; the limit of a share comes back."""
    with opened_nvml() as nvml:
        assert nvml.count() == 2
        assert nvml.memory("1") == DeviceMemory("1", 1 * GB, 10 * GB)
        assert nvml.memory("7") is None
    assert wait_for_share(0.5, "0", lambda: False) == 4.5 * GB
    assert wait_for_share(0.5, "GPU-a", lambda: False) == 4.5 * GB
    assert wait_for_share(0.5, "GPU-b", lambda: False) is None
    assert wait_for_share(1, "0", lambda: False) is None


def test_the_library_is_closed_when_a_gpu_is_busy(pynvml, monkeypatch):
    """The fixture counts."""
    monkeypatch.setattr(gpu_memory, "LONGEST_WAIT_SECONDS", 0.0)
    with pytest.raises(GpuBusy):
        wait_for_share(1, "1", lambda: False)


def test_without_library_or_driver_there_is_no_gate(pynvml, monkeypatch):
    """Nor a limit; a CPU trial asks nobody."""

    def no_driver() -> None:
        raise NvmlError

    assert wait_for_share(0, "1", lambda: False) is None
    pynvml.nvmlInit = no_driver
    assert wait_for_share(0.5, "1", lambda: False) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert wait_for_share(0.5, "1", lambda: False) is None
