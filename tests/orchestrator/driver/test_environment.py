"""What Ray is told through the environment."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.driver.environment import prepare_environment
from orchestrator.machine.scratch import scratch_folder


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.setattr(os, "environ", {"RAY_AUTH_MODE": "theirs", "PATH": os.environ["PATH"]})


def test_a_cluster_of_our_own_has_a_token_of_its_own(tmp_path):
    """That only this user can read; two runs have different ones."""
    tokens = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        prepare_environment(None, tmp_path / name)
        place = tmp_path / name / "ray-token"
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(place)
        assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"  # it stays on loopback
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        tokens.append(place.read_text())
    assert len(tokens[0]) == 64
    assert tokens[0] != tokens[1]


def test_temporary_places_are_ours_alone_whatever_the_umask():
    """Folders 0700, the token 0600, under umask 000."""
    former = os.umask(0)
    try:
        with scratch_folder() as scratch:
            prepare_environment(None, scratch)
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in scratch.iterdir()}
            modes["scratch"] = stat.S_IMODE(scratch.stat().st_mode)
    finally:
        os.umask(former)
    assert modes == {"scratch": 0o700, "empty": 0o700, "ray-token": 0o600}


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="processes of others tell their sockets in /proc"
)
def test_a_cluster_of_our_own_listens_on_loopback_alone(tmp_path):
    """Head, raylet, workers and driver; no other machine of the network reaches one."""
    home = Path(__file__).resolve().parents[3]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(home), "HOME": str(tmp_path)}
    script = home / "tests/orchestrator/fakes/listen_on_cluster.py"
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"gcs_server", "raylet"} <= set(found)
    assert len(found) >= 4
    addresses = {address.removeprefix("::ffff:") for each in found.values() for address in each}
    assert addresses == {"127.0.0.1"}, found


def test_how_to_enter_a_cluster_at_an_address_is_the_users_to_say(tmp_path):
    """Nothing is written either."""
    prepare_environment("head:6379", tmp_path)
    assert os.environ["RAY_AUTH_MODE"] == "theirs"
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_ray_sends_nothing_and_hides_gpus_that_were_not_asked_for(tmp_path):
    """Wherever the cluster is."""
    prepare_environment("head:6379", tmp_path)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] == "1"
    assert os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
