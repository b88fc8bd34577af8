"""The devices of a machine are told as records have them."""

from __future__ import annotations

import pytest

from workers.process import devices
from workers.process.devices import DeviceNames, device_names, gpu_names, processor_name

INFORMATION = "Model: \t\t {}\nIRQ:   \t\t 42\nGPU UUID: \t GPU-1\n"


@pytest.fixture
def driver(monkeypatch, tmp_path):
    """Stand in for the folder of NVIDIA's driver; add GPUs by their models."""
    monkeypatch.setattr(devices, "_GPUS", tmp_path / "gpus")

    def add(*models: str) -> None:
        for number, model in enumerate(models):
            folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
            folder.mkdir(parents=True)
            (folder / "information").write_text(INFORMATION.format(model))

    return add


def test_gpus_are_named_as_their_driver_does(driver):
    """None where there is no driver."""
    assert gpu_names() == []
    driver("NVIDIA H100 80GB HBM3", "Tesla T4")
    assert gpu_names() == ["NVIDIA H100 80GB HBM3", "Tesla T4"]


def test_a_node_tells_processor_and_gpus(driver):
    """What trials run on is one or the other; GPUs that differ are a kind of their own."""
    driver("NVIDIA H200", "NVIDIA H200")
    told = DeviceNames.model_validate_json(device_names())
    assert told == DeviceNames(processor=processor_name(), gpus=["NVIDIA H200"] * 2)
    assert told.for_trials(on_gpus=True) == "NVIDIA H200"
    assert told.for_trials(on_gpus=False) == processor_name() != ""
    mixed = told.model_copy(update={"gpus": ["a", "b", "a"]})
    assert mixed.for_trials(on_gpus=True) == "a and b"


def test_instruction_sets_are_vector_instructions_only():
    """Not the flags that a new kernel adds."""
    allowed = devices._VECTOR_FLAGS
    assert all(flag.startswith(allowed) for flag in devices.instruction_sets().split())


def test_a_system_that_does_not_tell_its_processor_is_no_fault(monkeypatch):
    """As on macOS, where there is no /proc."""
    monkeypatch.setattr(devices, "_processor_line", lambda key: "")
    assert devices.processor_name() != ""
    assert devices.instruction_sets() == ""
