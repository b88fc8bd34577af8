"""Kinds of accelerators have the names that Ray has for them."""

from __future__ import annotations

import pytest
from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager
from ray.util.accelerators import accelerators as rays

from orchestrator.planning.accelerators import (
    accelerator_faults,
    accelerator_of,
    known_accelerators,
)


def test_the_names_are_those_of_ray():
    """Whatever its version has."""
    names = {value for name, value in vars(rays).items() if not name.startswith("_")}
    assert {"H100", "T4", "A100-80G"} <= names == known_accelerators()


@pytest.mark.parametrize(
    "product",
    [
        "NVIDIA H100 80GB HBM3",
        "NVIDIA H200",
        "Tesla V100-SXM2-16GB",
        "NVIDIA A100-SXM4-40GB",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "NVIDIA GeForce RTX 5090",
        "NVIDIA L40S",
    ],
)
def test_a_product_has_the_name_that_ray_gives_it(product):
    """A cluster of our own offers what was planned for it."""
    expected = NvidiaGPUAcceleratorManager._gpu_name_to_accelerator_type(product)
    assert accelerator_of(product) == expected


@pytest.mark.parametrize("name", ["H100", "A100-80G", "GeForce-RTX-5090"])
def test_a_known_name_has_no_fault(name):
    """Of cards for consumers Ray has no list."""
    assert list(accelerator_faults(name, "here")) == []


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("h100", "did you mean 'H100'?"),
        ("H1000", "did you mean 'H100'? Known: A100, A100-40G, "),
        ("abacus", "Known: A100, A100-40G, "),
    ],
)
def test_an_unknown_name_is_a_fault_with_those_near(name, mend):
    """Ray would wait for ever for a node that has it."""
    (fault,) = accelerator_faults(name, "toy.yaml, resources.accelerator")
    assert (fault.what, fault.where) == (
        f"no accelerator named {name!r}",
        "toy.yaml, resources.accelerator",
    )
    assert fault.mend.startswith(mend)
