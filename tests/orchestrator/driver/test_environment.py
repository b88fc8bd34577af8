"""What Ray is told through the environment."""

from __future__ import annotations

import os
import stat

import pytest

from orchestrator.driver.environment import prepare_environment


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
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        tokens.append(place.read_text())
    assert len(tokens[0]) == 64
    assert tokens[0] != tokens[1]


def test_how_to_enter_a_cluster_at_an_address_is_the_users_to_say(tmp_path):
    """Nothing is written either."""
    prepare_environment("head:6379", tmp_path)
    assert os.environ["RAY_AUTH_MODE"] == "theirs"
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_ray_sends_nothing_and_hides_gpus_that_were_not_asked_for(tmp_path):
    """Wherever the cluster is."""
    prepare_environment("head:6379", tmp_path)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] == "1"
    assert os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
