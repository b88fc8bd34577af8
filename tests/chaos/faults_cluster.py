"""Nodes that die, nodes that are taken away with notice, a head that dies."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
from ground import Ground
from surroundings import ClusterProcess, is_running, seconds_until_gone, with_variable


def kill_raylet(ground: Ground) -> None:
    """A node dies with all it runs; the work goes on elsewhere, and a new node takes its place."""
    with ground.fault("raylet SIGKILL"):
        world = ground.world
        seen = world.rng.choice(ground.wait_for_attempts())
        machine = str(seen.began["machine"])
        below = _workers_of(world.cluster.raylets[machine])
        alive = [one for one in ground.attempts() if one.began["machine"] == machine]
        world.cluster.kill_raylet(machine)
        for one in alive:
            world.evidence.note_death(one, time.time())
        world.tally.gone_seconds.append(seconds_until_gone(below, f"what {machine} ran"))
        time.sleep(world.rng.uniform(0, 1))
        world.cluster.add(machine)


def drain_node(ground: Ground) -> None:
    """A cloud takes a node away with some seconds' notice; a new one comes."""
    with ground.fault("node drained with a deadline"):
        world = ground.world
        seconds = world.rng.uniform(3, 6)
        machine = str(world.rng.choice(ground.wait_for_attempts()).began["machine"])
        raylet = psutil.Process(world.cluster.raylets[machine])
        below = _workers_of(raylet.pid)
        world.cluster.drain(machine, seconds)
        deadline = time.monotonic() + seconds
        ground.wait(
            lambda: time.monotonic() > deadline or not is_running(raylet),
            "the deadline",
            seconds + 5,
        )
        alive = [one for one in ground.attempts() if one.began["machine"] == machine]
        world.cluster.kill_raylet(machine)
        for one in alive:
            world.evidence.note_death(one, time.time())
        world.tally.gone_seconds.append(seconds_until_gone(below, f"what {machine} ran"))
        world.cluster.add(machine)


def kill_head(ground: Ground, new_cluster: Callable[[], ClusterProcess]) -> None:
    """The cluster is lost: the driver leaves with 3, and the same command resumes on another one."""
    with ground.fault("head killed"):
        ground.wait_for_attempts()
        driver = ground.driver
        alive = ground.attempts()
        ground.world.cluster.kill_head()
        code = driver.wait()
        assert code == 3, f"exit code {code}\n{driver.told()}"
        ground.world.cluster.close()
        for seen in alive:
            if seen.status is None:
                ground.world.evidence.note_death(seen, seen.ended_at)
        ground.world.tally.gone_seconds.append(driver.seconds_until_alone([]))
        ground.drop_driver()
        ground.world.cluster = new_cluster()
        ground.wait_for_attempts()


def _workers_of(raylet: int) -> list[psutil.Process]:
    """List what a node runs, by the mark Ray gives its workers, which their children inherit."""
    return with_variable("RAY_RAYLET_PID", str(raylet))
