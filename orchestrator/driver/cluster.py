"""Join a Ray cluster or start one of our own, and leave it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import ray
from ray._private import services
from ray._private import utils as ray_utils

from orchestrator.driver.address import no_cluster, resolve_address, where_of
from orchestrator.driver.head import Head
from orchestrator.liveness.exit_code import decided_code
from orchestrator.liveness.run_control import (
    EXIT_INTERRUPTED,
    INTERRUPTED,
    interrupted_afterwards,
    with_handlers_kept,
)
from orchestrator.machine.console import errors_for_humans
from orchestrator.machine.guardian import guarded
from orchestrator.machine.scratch import quiet_stdout
from orchestrator.planning.fit import Node, this_machine
from orchestrator.running.driver import ClusterLost
from workers.contract.errors import user_error

ACCELERATOR_PREFIX = "accelerator_type:"
"""How Ray names the resource that a kind of accelerator is."""
_OBJECT_STORE_BYTES = 200 * 2**20


@contextlib.contextmanager
def cluster(address: str | None, scratch: Path) -> Iterator[list[Node]]:
    """Join the cluster at an address, or start one of our own on this machine, and list its nodes.

    Raises:
        UserError: There is no cluster at the address.
    """
    with guarded(scratch), quiet_stdout():
        try:
            try:
                _connect(address, scratch)
                yield _nodes()
            finally:
                if not isinstance(sys.exception(), ClusterLost | KeyboardInterrupt):
                    with_handlers_kept(ray.shutdown)  # it puts SIGTERM back to the default
        except ClusterLost:
            atexit.register(_leave_without_ray)
            raise
        except KeyboardInterrupt:
            # Tune's thread may be at work in Ray, whose end would then end us with a code of its own
            print(INTERRUPTED, file=errors_for_humans())
            _leave_without_ray()


def head_of_cluster(head_seconds: float) -> Head:
    """Return what watches the head of the joined cluster, to be entered."""
    return Head(_nodes, head_seconds=head_seconds)


def _leave_without_ray() -> NoReturn:
    """Leave before Ray's own farewell, which would wait for a head that is gone.

    The guardian ends what is left of a cluster of our own, and removes the scratch folder.
    What the command decided after the cluster was lost stays its exit code.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(decided_code(otherwise=EXIT_INTERRUPTED))


def _connect(address: str | None, scratch: Path) -> None:
    head = None if address is None else resolve_address(address)
    try:
        _start_or_join(head, scratch)
    except (ray.exceptions.RayError, RuntimeError, ValueError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        if address is not None:
            raise no_cluster(reason, where_of(address)) from error
        raise user_error(
            f"Ray does not start: {reason}",
            where="this machine",
            mend="make room in memory and for temporary files; `minima doctor` looks at both disks",
        ) from error


def _start_or_join(address: str | None, scratch: Path) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    # of every lost slot it prints the stack; what was lost is told in the `failures` view
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    own = {
        # Ray knows of a container's quota, and not which CPUs this process may use
        "num_cpus": min(this_machine().cpus, ray_utils.get_num_cpus()),
        "_memory": this_machine().memory,
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "_temp_dir": str(scratch / "ray"),
    }
    with interrupted_afterwards(), _no_handlers_of_ray(), _ray_apart():
        ray.init(address=address or "local", **quiet, **({} if address else own))


@contextlib.contextmanager
def _no_handlers_of_ray() -> Iterator[None]:
    """Keep SIGTERM ours: Ray's handlers leave with codes of their own, or get lost while it starts."""
    former = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda _handler: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = former


@contextlib.contextmanager
def _ray_apart() -> Iterator[None]:
    """Start Ray's processes in sessions of their own: a signal to our whole group must not end them under the run.

    The kernel ends them with us on Linux alone; elsewhere Ray's reaper does, which ends our group.
    """
    former = services.ConsolePopen
    if sys.platform.startswith("linux"):
        services.ConsolePopen = functools.partial(former, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = former


def _nodes() -> list[Node]:
    return [
        Node(
            name=str(node["NodeManagerHostname"]),
            cpus=int(node["Resources"].get("CPU", 0)),
            gpus=int(node["Resources"].get("GPU", 0)),
            node_id=str(node["NodeID"]),
            memory=int(node["Resources"].get("memory", 0)),
            accelerators=tuple(
                name.removeprefix(ACCELERATOR_PREFIX)
                for name in sorted(node["Resources"])
                if name.startswith(ACCELERATOR_PREFIX)
            ),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
