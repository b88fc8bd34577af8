"""Which trials fit which nodes."""

from __future__ import annotations

import os
import sys

import pytest

from orchestrator.machine import cores
from orchestrator.machine.memory import usable_memory_bytes
from orchestrator.planning import fit
from orchestrator.planning.fit import Node, fit_faults, one_device, size_text, this_machine
from workers.contract.sweep_spec import ResourcesSpec


@pytest.mark.parametrize(
    ("node", "demand", "slots"),
    [
        (Node("a", 8, 4), ResourcesSpec(gpus=1, cpus=2), 4),
        (Node("a", 8, 4), ResourcesSpec(gpus=2, cpus=1), 2),
        (Node("a", 8, 4), ResourcesSpec(gpus=0.5, cpus=1), 8),
        (Node("a", 4, 4), ResourcesSpec(gpus=0.5, cpus=1), 4),
        (Node("a", 8, 4), ResourcesSpec(gpus="1/3", cpus=1), 8),
        (Node("a", 8, 1), ResourcesSpec(gpus="1/3", cpus=1), 3),
        (Node("a", 2, 0), ResourcesSpec(gpus=0, cpus=1), 2),
        (Node("a", 2, 0), ResourcesSpec(gpus=1, cpus=1), 0),
        (Node("a", 1, 4), ResourcesSpec(gpus=1, cpus=2), 0),
        (Node("a", 8, 0, memory=10), ResourcesSpec(cpus=1, memory=3), 3),
        (Node("a", 2, 0, memory=10), ResourcesSpec(cpus=1, memory=3), 2),
        (Node("a", 8, 0), ResourcesSpec(cpus=1, memory=1), 0),
        (Node("a", 8, 4, accelerators=("H100",)), ResourcesSpec(gpus=1, accelerator="H100"), 4),
        (Node("a", 8, 4, accelerators=("T4",)), ResourcesSpec(gpus=1, accelerator="H100"), 0),
    ],
)
def test_slots_of_a_node(node, demand, slots):
    """The scarcest of CPUs, GPUs and memory decides, and the kind of GPUs; shares do not span devices."""
    assert node.slots_for(demand) == slots


def test_a_trial_that_fits_nowhere_is_refused_with_the_nodes():
    """One node that fits is enough."""
    small, large = Node("small", 2, 0), Node("large", 8, 2)
    demand = ResourcesSpec(gpus=2, cpus=4)
    assert fit_faults(demand, [small, large], "x") == []
    fault = fit_faults(demand, [small], "the cure")[0]
    assert fault.what.splitlines() == [
        "a trial wants 4 CPUs and 2 GPUs, and no node has them",
        "           CPUs  GPUs  trials by CPUs  trials by GPUs",
        "  ───────  ────  ────  ──────────────  ──────────────",
        "  a trial     4     2",
        "  small       2     0               0               0",
    ]
    assert (fault.where, fault.mend) == ("resources", "the cure")


def test_memory_and_kind_are_told_where_a_trial_asks_for_them():
    """Of a node that knows no kind of its GPUs, too."""
    nodes = [
        Node("new", 8, 2, memory=2**34, accelerators=("H100",)),
        Node("old", 8, 2, memory=2**30),
    ]
    demand = ResourcesSpec(gpus=1, cpus=1, memory=2**35, accelerator="H200")
    fault = fit_faults(demand, nodes, "x")[0]
    assert fault.what.splitlines() == [
        "a trial wants 1 CPUs, 1 GPUs of kind H200 and 32 GiB of memory, and no node has them",
        "           CPUs  GPUs     kind  memory  trials by CPUs  trials by GPUs  trials by memory",
        "  ───────  ────  ────  ───────  ──────  ──────────────  ──────────────  ────────────────",
        "  a trial     1     1     H200  32 GiB",
        "  new         8     2     H100  16 GiB               8               2                 0",
        "  old         8     2  unknown   1 GiB               8               2                 0",
    ]


def test_this_machine_has_memory_and_the_kind_of_its_first_gpu(monkeypatch):
    """Where it may see any GPU; as many as the driver lists else."""
    monkeypatch.setattr(fit, "gpu_names", lambda: ["NVIDIA H100 80GB HBM3"] * 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    node = this_machine()
    assert (node.gpus, node.accelerators, node.memory) == (2, ("H100",), usable_memory_bytes())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert (this_machine().gpus, this_machine().accelerators) == (0, ())


CPU = ResourcesSpec(cpus=1)
NODES = [Node("a", 1, 0, "1"), Node("b", 4, 0, "2"), Node("c", 3, 0, "3"), Node("d", 9, 0, "4")]


@pytest.mark.parametrize(
    ("devices", "recorded", "chosen"),
    [
        ({"1": "old", "2": "new", "3": "new"}, {}, "new"),  # 7 slots against 1
        ({"1": "old", "2": "new", "3": "new"}, {"old": 2, "gone": 9}, "old"),
        ({"1": "old"}, {"gone": 9}, "old"),
        ({}, {}, None),
    ],
)
def test_a_sweep_is_kept_to_one_model_of_device(devices, recorded, chosen):
    """That of most recorded trials which is there, else that of most room; a silent node has none."""
    assert one_device(NODES, devices, CPU, recorded) == chosen


def test_a_sweep_may_mix_devices():
    """Where it says so."""
    mixing = CPU.model_copy(update={"mixed_devices": True})
    assert one_device(NODES, {"1": "old", "2": "new"}, mixing, {}) is None


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="CPUs are taken away on Linux alone"
)
def test_this_machine_has_the_cpus_that_this_process_may_use(monkeypatch):
    """A batch system gives a job some of them, and a container the time of some."""
    monkeypatch.setattr(cores, "_QUOTAS", ())
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert this_machine().cpus == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert this_machine().cpus == len(allowed)
    monkeypatch.setattr(cores, "_quotas", lambda: [1.5])
    assert this_machine().cpus == 1


def test_a_trial_without_gpus_is_told_so():
    """As many as the CPUs hold; names of nodes are padded."""
    fault = fit_faults(ResourcesSpec(gpus=0, cpus=9), [Node("a-long-name", 8, 2)], "x")[0]
    assert (
        fault.what.splitlines()[-1] == "  a-long-name     8     2               0             any"
    )


def test_sizes_of_memory_are_written_in_full():
    """Of whatever size; not as 1.5e+03."""
    sizes = (2**30, 3 * 2**29, 1500 * 2**30, 2**50)
    assert [size_text(size) for size in sizes] == ["1 GiB", "1.5 GiB", "1,500 GiB", "1,048,576 GiB"]
