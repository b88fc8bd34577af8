"""The way to the driver: set the environment, and only then import Ray, which reads it as it is imported."""

from __future__ import annotations

from pathlib import Path

from orchestrator.driver.environment import prepare_environment
from orchestrator.running.driver import Driver


def make_driver(address: str | None, scratch: Path) -> Driver:
    """Return the driver over the Ray cluster at an address; None for one of our own on this machine.

    Args:
        address: Of the cluster.
        scratch: A folder that is there for as long as the driver is used.
    """
    prepare_environment(address, scratch)
    from orchestrator.driver.ray_driver import RayDriver  # it imports Ray, which takes seconds

    return RayDriver(address, scratch)
