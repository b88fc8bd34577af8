"""What Ray and Tune are told through the environment, and the driver, whose import of Ray reads it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from orchestrator.running.driver import Driver

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # under `uv run` Ray would rebuild the environment on each node
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # a task that asks for no GPU must see none
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    # Tune's own records are never read back
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # the default of 600 s would hold a GPU for as long
    "TUNE_FORCE_TRIAL_CLEANUP_S": "60",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "60",
}


_ALONE = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""A cluster of one machine listens on loopback, as on macOS: nobody else's packets reach it."""


def prepare_environment(address: str | None, scratch: Path) -> None:
    """Set the environment; call before ray is first imported.

    A cluster of our own gets a fresh token that only this user can read, and is reached from this
    machine alone. For a cluster at an
    address, RAY_AUTH_MODE and the token are the user's to set.
    """
    os.environ.update(_SETTINGS)
    if address is None:
        token = scratch / "ray-token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        os.environ |= {**_ALONE, "RAY_AUTH_TOKEN_PATH": str(token)}


def make_driver(address: str | None, scratch: Path) -> Driver:
    """Return the driver over the Ray cluster at an address; None for one of our own on this machine.

    Args:
        address: Of the cluster.
        scratch: A folder that is there for as long as the driver is used.
    """
    prepare_environment(address, scratch)
    from orchestrator.driver.ray_driver import RayDriver  # it imports Ray, which takes seconds

    return RayDriver(address, scratch)
