"""What a name of the store is made of is read from it again, and other names say nothing."""

from __future__ import annotations

import pytest

from workers.contract.store import Store

TRIAL, ATTEMPT = "0123456789abcdef0123", "20260102T030405-0a1b2c3d"


def test_the_trial_of_a_model_and_of_a_heartbeat_is_read_from_its_path():
    """Up to the first dot, as no identity holds one."""
    assert Store.model_trial(Store.model_path(TRIAL, ATTEMPT)) == TRIAL
    assert Store.heartbeat_trial(Store.heartbeat_path(TRIAL, ATTEMPT)) == TRIAL


@pytest.mark.parametrize("done", [0, 7, 123_456_789, 10**12])
def test_the_steps_and_the_digest_of_a_checkpoint_are_read_from_its_name(done):
    """However many steps; in every folder."""
    name = Store.checkpoint_name(done, "0123456789abcdef", ATTEMPT)
    assert Store.checkpoint_parts(f"{Store.checkpoint_folder(TRIAL)}/{name}") == (
        done,
        "0123456789abcdef",
    )


@pytest.mark.parametrize("name", ["step-7.0123456789abcdef.a.npz", "step-000000007.12.a.npz", "x"])
def test_other_files_beside_checkpoints_are_none(name):
    """Too few digits of either number, or another name."""
    assert Store.checkpoint_parts(f"checkpoints/x/{name}") is None


@pytest.mark.parametrize("sweep", ["toy", "toy.of.dots", "a-b_c"])
def test_the_sweep_of_a_plan_and_of_a_run_is_read_from_its_path(sweep):
    """Also where its name holds dots."""
    assert Store.plan_parts(Store.plan_path(sweep, "20260102-ab")) == (sweep, "20260102-ab")
    assert Store.run_parts(Store.run_path(sweep, ATTEMPT)) == (sweep, ATTEMPT)
    assert Store.plan_path(sweep, "r").startswith(f"{Store.plan_folder(sweep)}/")


@pytest.mark.parametrize("path", ["sweeps/toy.json", "sweeps/toy/a/b.json", "sweeps/toy/notes.txt"])
def test_other_files_beside_plans_are_none(path):
    """Of another depth or another kind."""
    assert Store.plan_parts(path) is None


def test_other_files_of_control_are_no_run():
    """A stop marker and the words of a preflight."""
    assert Store.run_parts(Store.stop_path("toy", ATTEMPT)) is None
    assert Store.run_parts(Store.nonce_path("0a")) is None


def test_the_answers_to_a_nonce_are_told_from_those_to_another():
    """By the token."""
    assert Store.is_nonce_of(Store.nonce_answer_path("0a", "node"), "0a")
    assert Store.is_nonce_of(Store.nonce_path("0a"), "0a")
    assert not Store.is_nonce_of(Store.nonce_answer_path("0b", "node"), "0a")


@pytest.mark.parametrize("key", [(TRIAL,), (TRIAL, "abcdef0123456789abcd")])
def test_the_id_of_rows_is_read_from_their_path(key):
    """As many parts as the view has columns; an attempt that is part of the id stands there once."""
    path = Store.rows_path("measurements", key, ATTEMPT)
    assert Store.is_rows(path)
    assert not Store.is_compacted(path)
    assert Store.rows_key(path, len(key)) == key
    assert Store.rows_path("failures", (TRIAL, ATTEMPT), ATTEMPT).count(ATTEMPT) == 1
    assert Store.folder(path) == "measurements"


def test_merged_and_derived_rows_are_told_from_an_id_s():
    """By their names alone."""
    assert Store.is_compacted(Store.compacted_path("trials", "20260102T030405-0a"))
    assert not Store.is_compacted(Store.derived_path("cells", "toy"))
    assert Store.is_rows(Store.derived_path("cells", "toy"))
    assert not Store.is_rows("trials/compacted-notes.txt")


def test_the_attempt_of_a_heartbeat_is_read_from_its_path():
    """What stands behind the trial."""
    assert Store.heartbeat_attempt(Store.heartbeat_path(TRIAL, ATTEMPT)) == ATTEMPT
