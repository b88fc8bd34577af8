"""Checkpoints: found again, damaged ones passed over, two kept."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from workers.contract.store import Store
from workers.resumable.checkpoint import remove_checkpoints

FOLDER = "checkpoints/work"


def arrays(value):
    return {"a/b": np.full((2, 3), value, np.float32), "text": np.array("ü" * 3)}


def files(store):
    return store.names(FOLDER)


def test_the_newest_is_found_with_all_its_arrays(make_checkpoints):
    """Names, shapes, types and values come back; another attempt finds them too."""
    checkpoints = make_checkpoints()
    assert checkpoints.newest() is None
    checkpoints.save(5, arrays(1.0))
    checkpoints.save(12, arrays(2.0))
    found = make_checkpoints("second").newest()
    assert found.done == 12
    assert set(found.arrays) == {"a/b", "text"}
    assert found.arrays["a/b"].dtype == np.float32
    np.testing.assert_array_equal(found.arrays["a/b"], np.full((2, 3), 2.0))
    assert str(found.arrays["text"]) == "üüü"


def test_names_carry_step_digest_and_attempt(make_checkpoints, store):
    """Readable in a listing."""
    make_checkpoints().save(5, arrays(1.0))
    step, digest, attempt, suffix = files(store)[0].removeprefix(f"{FOLDER}/").split(".")
    assert (step, len(digest), attempt, suffix) == ("step-000000005", 16, "first", "npz")


def test_the_last_two_are_kept(make_checkpoints, store):
    """Of this attempt and of those before it."""
    make_checkpoints().save(3, arrays(0.0))
    checkpoints = make_checkpoints("second")
    for done in (5, 8, 13):
        checkpoints.save(done, arrays(done))
    assert [path.split(".")[0][-2:] for path in files(store)] == ["08", "13"]


def test_what_another_attempt_prunes_meanwhile_is_replaced_by_what_it_saved(
    make_checkpoints, store, monkeypatch
):
    """A second attempt at the work must not begin anew because all it had listed is gone."""
    first, second = make_checkpoints(), make_checkpoints("second")
    for done in (1, 2):
        first.save(done, arrays(done))
    names, later = Store.names, [3, 4]

    def list_late(self: Store, folder: str) -> list[str]:
        found = names(self, folder)
        while later:
            first.save(later.pop(0), arrays(0.0))
        return found

    monkeypatch.setattr(Store, "names", list_late)
    assert second.newest().done == 4


def test_a_checkpoint_further_on_is_not_removed(make_checkpoints, store):
    """It may be of another environment that will be back."""
    make_checkpoints(environment_id="there").save(100, arrays(0.0))
    checkpoints = make_checkpoints("second")
    for done in (5, 8, 13):
        checkpoints.save(done, arrays(done))
    assert [path.split(".")[0][-3:] for path in files(store)] == ["008", "013", "100"]
    assert checkpoints.newest().done == 13


def test_a_checkpoint_of_other_conditions_is_not_removed_though_passed(make_checkpoints, store):
    """Where two environments take turns, each goes on from its own; a damaged one goes."""
    make_checkpoints(environment_id="there").save(3, arrays(0.0))
    store.write_bytes(f"{FOLDER}/{Store.checkpoint_name(4, '0' * 16, 'first')}", b"")
    checkpoints = make_checkpoints("second")
    for done in (5, 8, 13):
        checkpoints.save(done, arrays(done))
    assert [path.split(".")[0][-3:] for path in files(store)] == ["003", "008", "013"]
    assert make_checkpoints("third", environment_id="there").newest().done == 3


def test_the_largest_number_is_that_of_any_file(make_checkpoints, store):
    """Of other conditions too, or damaged."""
    checkpoints = make_checkpoints()
    assert checkpoints.largest_number() == 0
    checkpoints.save(5, arrays(1.0))
    make_checkpoints(environment_id="there").save(7, arrays(0.0))
    assert checkpoints.largest_number() == 7
    store.write_bytes(f"{FOLDER}/{Store.checkpoint_name(10**10, '0' * 16, 'first')}", b"")
    assert checkpoints.largest_number() == 10**10


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-7],
        lambda content: b"",
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
    ],
    ids=["truncated", "empty", "one bit flipped"],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    make_checkpoints, store, caplog, damage
):
    """And the log says so."""
    checkpoints = make_checkpoints()
    checkpoints.save(5, arrays(1.0))
    checkpoints.save(12, arrays(2.0))
    path = files(store)[-1]
    store.write_bytes(path, damage(store.read_bytes(path)))
    assert make_checkpoints().newest().done == 5
    assert f"passed over a damaged checkpoint: {path}" in caplog.text


def test_a_checkpoint_of_another_environment_is_passed_over(make_checkpoints, caplog):
    """Its bits could not be continued; the log says under what it was saved."""
    make_checkpoints().save(5, arrays(1.0))
    assert make_checkpoints(environment_id="there").newest() is None
    assert "passed over a checkpoint of other conditions" in caplog.text
    assert '{"environment_id": "here"}, now {"environment_id": "there"}' in caplog.text


def test_all_are_removed_at_the_end_with_their_folders(make_checkpoints, store):
    """Nested folders too; a work without checkpoints is no fault."""
    make_checkpoints().save(5, arrays(1.0))
    store.write_bytes(f"{FOLDER}/key/step-1.npz", b"")
    remove_checkpoints(store, FOLDER)
    assert store.names("checkpoints", recursive=True) == []
    assert not store.local_path(FOLDER).exists()
    remove_checkpoints(store, FOLDER)


DIE_WHILE_WRITING = """
import sys
from workers.contract.store import Store
Store.open(sys.argv[1]).write_bytes(sys.argv[2], b"half of it")
"""


@pytest.mark.parametrize("folder", [FOLDER, f"{FOLDER}/key"])
def test_what_a_killed_writer_left_is_removed_too(store, folder):
    """A hidden file, which no list of names has, and which would keep its folder for ever."""
    name = Store.checkpoint_name(12, "0" * 16, "first")
    subprocess.run(
        [sys.executable, "-c", DIE_WHILE_WRITING, store.root.uri, f"{folder}/{name}"],
        env=os.environ | {"MINIMA_FAULT": "checkpoint_write:1"},
        check=False,
    )
    (left,) = store.local_path(folder).iterdir()
    assert left.name.startswith(f".{name}.")
    remove_checkpoints(store, FOLDER)
    assert not store.local_path(FOLDER).exists()


def test_where_no_checkpoint_is_one_look_says_so(make_checkpoints, store, monkeypatch):
    """Most attempts begin there: nothing listed can have been pruned meanwhile."""
    looks, names = [], Store.names
    monkeypatch.setattr(Store, "names", lambda *a: (looks.append(a[1]), names(*a))[1])
    assert make_checkpoints().newest() is None
    assert looks == [FOLDER]
