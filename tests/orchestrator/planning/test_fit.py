"""Which trials fit which nodes."""

from __future__ import annotations

import os
import sys

import pytest

from orchestrator.planning.fit import Node, fit_faults, this_machine
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
    ],
)
def test_slots_of_a_node(node, demand, slots):
    """The scarcer of CPUs and GPUs decides; shares do not span devices."""
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


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="CPUs are taken away on Linux alone"
)
def test_this_machine_has_the_cpus_that_this_process_may_use():
    """A batch system gives a job some of them."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert this_machine().cpus == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert this_machine().cpus == len(allowed)


def test_a_trial_without_gpus_is_told_so():
    """As many as the CPUs hold; names of nodes are padded."""
    fault = fit_faults(ResourcesSpec(gpus=0, cpus=9), [Node("a-long-name", 8, 2)], "x")[0]
    assert (
        fault.what.splitlines()[-1] == "  a-long-name     8     2               0             any"
    )
