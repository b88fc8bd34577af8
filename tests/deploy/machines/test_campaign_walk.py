"""One sweep on a cluster whose machines come and go, its store on object storage, its head without GPUs or CPUs."""

from __future__ import annotations

import re
import time

import pytest

from workers.contract.store import Store

pytestmark = pytest.mark.slow

NUM_TRIALS = 3
NEVER = ["--checkpoint-seconds", "3600"]  # nothing is saved but on notice
NOTICE_SECONDS = 30
DRAIN = ["ray", "drain-node", "--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=spot"]
DRAIN += [f"--deadline-remaining-seconds={NOTICE_SECONDS}"]
SOON_LOST = {  # a silent machine after some 10 s, not 50
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}


def both_have_steps(rig, store: Store) -> bool:
    """Return whether two machines have something to lose."""
    return len([beat for beat in rig.running(store).values() if beat.progress.done]) == 2


def tell_its_end(rig, number: int) -> None:
    """Give a machine notice, as a cloud does."""
    notice = rig.on(number, DRAIN, RAY_AUTH_TOKEN=rig.secret, RAY_ADDRESS=rig.address)
    assert rig.finish(notice)[0] == 0, rig.errors()


def logs(rig, store: Store, trial_id: str) -> dict[str, str]:
    """Return what the attempts at training a trial have logged, by their machine, in their order."""
    found = [each for each in rig.attempts(store) if each.trial_id == trial_id]
    paths = {
        each.host: Store.log_path(trial_id, each.attempt_id)
        for each in found
        if each.statistic is None
    }
    return {host: (store.read_bytes(path) or b"").decode() for host, path in paths.items()}


def test_machines_are_lost_added_and_drained(rig, s3_server, s3_store):
    """One that is lost costs what its trial had done; one that is told its end costs nothing; no bit differs."""
    rig.share_long_trials("moved", NUM_TRIALS)
    with rig.served(s3_server._server.app) as endpoint:
        place = re.sub(r"endpoint_override=[^&]*", f"endpoint_override={endpoint}", s3_store.uri)
        rig.start_head(0, **SOON_LOST)
        rig.start_node(3, 1)
        command = [*rig.minima, "run", "sweep.yaml", "--store", place, "--address", rig.address]
        run = rig.on(2, [*command, *NEVER], RAY_AUTH_TOKEN=rig.secret)
        rig.start_node(4, 1)
        rig.wait_until(lambda: both_have_steps(rig, s3_store))
        with rig.halted(s3_store, "node3", "node4") as found:
            lost, told = found["node3"], found["node4"]
            rig.lose(3)
            rig.start_node(5, 1)
            rig.wait_until(lambda: "node5" in rig.running(s3_store))
            tell_its_end(rig, 4)
        began = time.monotonic()
        rig.wait_until(lambda: "raylet" not in rig.programs(4))
        assert time.monotonic() - began < NOTICE_SECONDS

        status = rig.on(4, [*rig.minima, "status", "moved", "--store", place])
        assert "moved: " in rig.finish(status)[1]  # from outside the cluster, and without its token
        assert rig.finish(run)[0] == 0, rig.errors()

    failures = {row["host"]: row for row in s3_store.read("failures").to_pylist()}
    classes = {host: row["failure_class"] for host, row in failures.items()}
    assert classes == {"node3": "node_lost", "node4": "preempted"}
    assert failures["node4"]["attempt_id"] == told.attempt_id

    (resumed_at,) = re.findall(
        r"resumed at step (\d+)", logs(rig, s3_store, told.trial_id)["node5"]
    )
    saved = {each.attempt_id: each for each in rig.attempts(s3_store)}[told.attempt_id]
    assert int(resumed_at) >= saved.progress.done >= told.progress.done > 0
    assert "resumed" not in logs(rig, s3_store, lost.trial_id)["node5"]

    rows = s3_store.read("trials").to_pylist()
    undisturbed = rig.undisturbed(5)
    assert len(undisturbed) == NUM_TRIALS
    assert {row["trial_id"]: row["weights_sha256"] for row in rows} == undisturbed
