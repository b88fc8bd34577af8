from __future__ import annotations

import contextlib
from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from workers.contract import filesystem
from workers.contract import store as store_module
from workers.contract.commits import KEY_COLUMNS
from workers.contract.compaction import compact, conflicts, most_loose_files
from workers.contract.compaction_lock import LOCK_PATH, STALE_AFTER, Lock, hold_lock
from workers.contract.errors import StoreError, UserError
from workers.contract.parquet_file import encode
from workers.contract.records import (
    FailureRecord,
    Measurement,
    SpectrumNode,
    measurement_table,
    spectrum_table,
    table,
)
from workers.contract.schema import VIEWS
from workers.statistics.losses import LossesSpec

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NUM_STEPS = 25
"""Writes and removals of the compaction below: six merged files, eighteen merged away, the lock."""


class Killed(BaseException):
    """Stands for the process dying at that point."""


def _measurements(trial_id, value):
    row = Measurement(
        quantity="mean_loss",
        value=value,
        stderr=0.0,
        num_samples=10,
        method="full pass",
        bn_mode="frozen",
        split="train",
        objective="data",
    )
    return measurement_table(trial_id, LossesSpec(), "s1", [row, row])


def _rows(view, **values):
    row = dict.fromkeys(VIEWS[view].names) | values
    return pa.Table.from_pylist([row], schema=VIEWS[view])


@pytest.fixture
def fill(trial_rows, epoch_rows):
    """Put three trials with everything that belongs to them into a store."""

    def put(store, trial_ids=("t1", "t2", "t3")):
        for number, trial_id in enumerate(trial_ids):
            store.commit("epochs", (trial_id,), "a1", epoch_rows(trial_id, (number, 0.5)))
            store.commit("trials", (trial_id,), "a1", trial_rows(trial_id, seed=number))
            store.commit("measurements", (trial_id, "s1"), "a2", _measurements(trial_id, number))
            node = SpectrumNode(kind="noise", draw=0, node=1.0, weight=1.0)
            spectra = spectrum_table(trial_id, "s1", [node])
            store.commit("spectra", (trial_id, "s1"), "a2", spectra)
            failure = FailureRecord(
                trial_id=trial_id, statistic_id=None, attempt_id=f"f-{trial_id}",
                failure_class="crash", signature="s", message="m", log_path="l", host="h",
                failed_at=NOW,
            )  # fmt: skip
            store.commit("failures", (trial_id, f"f-{trial_id}"), f"f-{trial_id}",
                         table("failures", [failure]))  # fmt: skip
            sweep = _rows("sweep_trials", sweep="toy", revision=f"r-{trial_id}", trial_id=trial_id)
            store.commit("sweep_trials", ("toy", f"r-{trial_id}"), f"r-{trial_id}", sweep)

    return put


def _lock(owner):
    return Lock(owner=owner, taken_at=NOW)


def _content(store):
    return {view: Counter(map(repr, store.read(view).to_pylist())) for view in KEY_COLUMNS}


def _num_files(store):
    return {view: len(store.names(view)) for view in KEY_COLUMNS}


def test_every_view_becomes_one_file_with_the_same_values(store, fill):
    """Values before and after are equal, on a folder and on object storage."""
    fill(store)
    before = _content(store)
    result = compact(store, now=NOW)
    assert _content(store) == before
    assert set(_num_files(store).values()) == {1}
    assert [(view.view, view.num_ids, len(view.removed), view.left) for view in result.views] == [
        (view, 3, 3, ()) for view in KEY_COLUMNS
    ]
    assert store.names("control") == []


def test_commits_keep_their_time_and_attempt(local_store, fill):
    """A compacted commit is the commit it was."""
    fill(local_store)
    before = {key: c.committed_at for key, c in local_store.winners("trials").items()}
    compact(local_store, now=NOW)
    after = local_store.winners("trials")
    assert {key: c.committed_at for key, c in after.items()} == before
    assert {c.attempt_id for c in after.values()} == {"a1"}


def test_compacting_again_merges_compacted_files_too(local_store, fill):
    """Growth between compactions ends in one file again; nothing new, nothing done."""
    fill(local_store)
    compact(local_store, now=NOW)
    fill(local_store, ("t4", "t5"))
    before = _content(local_store)
    compact(local_store, now=NOW)
    assert _content(local_store) == before
    assert set(_num_files(local_store).values()) == {1}
    names = local_store.names("trials")
    again = compact(local_store, now=NOW)
    assert local_store.names("trials") == names
    assert {view.path for view in again.views} == {None}


def test_loose_files_are_those_not_yet_merged_of_the_fullest_view(store, fill, epoch_rows):
    """Counted by listings alone: what was merged counts no more."""
    assert most_loose_files(store) == 0
    fill(store)
    store.commit("epochs", ("t4",), "a1", epoch_rows("t4"))
    assert most_loose_files(store) == 4
    compact(store, now=NOW)
    assert most_loose_files(store) == 1  # the epochs of a trial not yet committed


def test_every_file_is_read_once_and_the_merged_one_once_more(local_store, fill, monkeypatch):
    """Beside the lock; of the epochs' trials, which decide whose epochs are kept, the merged file."""
    fill(local_store)
    read, paths = filesystem.read, []
    monkeypatch.setattr(
        filesystem, "read", lambda root, path: (paths.append(path), read(root, path))[1]
    )
    compact(local_store, now=NOW)
    views = Counter(path.split("/")[0] for path in paths)
    assert views.pop("control") >= 2
    assert views == dict.fromkeys(KEY_COLUMNS, 4) | {"trials": 5}


def test_an_empty_store_is_left_alone(local_store):
    """There is nothing to merge and nothing is written."""
    result = compact(local_store, now=NOW)
    assert all(view.path is None and view.num_ids == 0 for view in result.views)
    assert local_store.names("", recursive=True) == []


@pytest.mark.parametrize("step", range(NUM_STEPS + 1))
def test_a_kill_at_any_step_loses_nothing(local_store, fill, monkeypatch, step):
    """Before each write and each removal the process may die; every record is still read once."""
    fill(local_store)
    before = _content(local_store)
    remaining = [step]

    def or_die(act):
        def guarded(*arguments):
            if remaining[0] == 0:
                raise Killed
            remaining[0] -= 1
            return act(*arguments)

        return guarded

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(local_store, "write_bytes", or_die(local_store.write_bytes))
        patch.setattr(local_store, "remove", or_die(local_store.remove))
        compact(local_store, now=NOW)
    local_store.remove(LOCK_PATH)  # as when it is stale
    assert _content(local_store) == before
    compact(local_store, now=NOW)
    assert _content(local_store) == before
    assert set(_num_files(local_store).values()) == {1}


def test_readers_see_each_record_once_at_every_step(local_store, fill, monkeypatch):
    """A reader between any two steps finds the same records."""
    fill(local_store)
    before = _content(local_store)
    num_looks = 0
    remove = local_store.remove

    def look_then_remove(path):
        nonlocal num_looks
        assert _content(local_store) == before
        num_looks += 1
        remove(path)

    monkeypatch.setattr(local_store, "remove", look_then_remove)
    compact(local_store, now=NOW)
    assert num_looks == 19


def test_a_merged_file_that_is_not_as_written_removes_nothing(local_store, fill, monkeypatch):
    """The merged file is read back from the store before anything is removed."""
    fill(local_store)
    before = _content(local_store)
    write = local_store.write_bytes
    monkeypatch.setattr(
        local_store, "write_bytes", lambda path, content: write(path, content[: len(content) // 2])
    )
    with pytest.raises(StoreError, match="is not as written; nothing was removed"):
        compact(local_store, now=NOW)
    with pytest.warns(UserWarning, match="ignored a damaged file"):
        assert _content(local_store) == before
    assert local_store.names("control") == []


def test_damaged_files_and_conflicting_records_are_left_in_place(local_store, trial_rows, clock):
    """What cannot be read and what lost with other values stay as evidence."""
    for second, (attempt_id, weights) in enumerate([("a1", "w1"), ("a2", "w2")]):
        clock(second)
        rows = trial_rows(attempt_id=attempt_id, weights_sha256=weights)
        local_store.commit("trials", ("t1",), attempt_id, rows)
    local_store.commit("trials", ("t2",), "a1", trial_rows("t2"))
    local_store.write_bytes("trials/t3.a1.parquet", b"damaged")
    with pytest.warns(UserWarning, match="ignored a damaged file"):
        result = compact(local_store, now=NOW)
    trials = next(view for view in result.views if view.view == "trials")
    assert trials.left == ("trials/t1.a2.parquet",)
    assert str(trials) == f"trials: 2 files merged into {trials.path}, 1 left beside"
    assert "spectra: nothing to merge" in str(result).splitlines()
    assert trials.removed == ("trials/t1.a1.parquet", "trials/t2.a1.parquet")
    assert set(local_store.names("trials")) == {
        "trials/t1.a2.parquet",
        "trials/t3.a1.parquet",
        trials.path,
    }
    with pytest.warns(UserWarning, match="ignored a damaged file"):
        found = conflicts(local_store)
    assert [(c.trial_id, c.weights_sha256) for c in found] == [("t1", {"a1": "w1", "a2": "w2"})]
    assert str(found[0]) == (
        "trial t1 was trained to different weights: the record of attempt a1 counts, not a2; "
        "its measurements may be of either"
    )


def test_equal_duplicates_are_removed(local_store):
    """A measurement committed twice with equal values is kept once."""
    for attempt_id in ("a1", "a2"):
        local_store.commit("measurements", ("t1", "s1"), attempt_id, _measurements("t1", 0.5))
    compact(local_store, now=NOW)
    assert len(local_store.names("measurements")) == 1
    assert local_store.read("measurements").num_rows == 2


def test_equal_weights_are_no_conflict(local_store, trial_rows):
    """Two attempts that reached the same weights agree."""
    for attempt_id in ("a1", "a2"):
        local_store.commit("trials", ("t1",), attempt_id, trial_rows(attempt_id=attempt_id))
    assert conflicts(local_store) == []


def test_what_was_compacted_counts_before_what_comes_late(local_store, trial_rows, clock):
    """A commit that arrives late with an earlier time does not change what readers saw."""
    clock(5)
    for trial_id in ("t1", "t2"):
        local_store.commit("trials", (trial_id,), "a1", trial_rows(trial_id))
    compact(local_store, now=NOW)
    clock(1)
    local_store.commit("trials", ("t1",), "a0", trial_rows(attempt_id="a0"))
    assert local_store.winners("trials")["t1",].attempt_id == "a1"


def test_epochs_without_their_trial_wait(local_store, trial_rows, epoch_rows, clock):
    """Epochs are merged only for the kept attempt, and are found when the trial comes later."""
    clock(1)
    local_store.commit("epochs", ("t1",), "lost", epoch_rows("t1", (9.0,)))
    for trial_id in ("t1", "t2"):
        local_store.commit("epochs", (trial_id,), "kept", epoch_rows(trial_id, (1.0,)))
        local_store.commit("trials", (trial_id,), "kept", trial_rows(trial_id, attempt_id="kept"))
    local_store.commit("epochs", ("t3",), "late", epoch_rows("t3", (3.0,)))
    result = compact(local_store, now=NOW)
    epochs = next(view for view in result.views if view.view == "epochs")
    assert epochs.left == ("epochs/t1.lost.parquet", "epochs/t3.late.parquet")
    local_store.commit("trials", ("t3",), "late", trial_rows("t3", attempt_id="late"))
    assert local_store.read("epochs").column("train_loss").to_pylist() == [1.0, 1.0, 3.0]


def test_what_a_newer_version_wrote_is_left_to_it(local_store, trial_rows, monkeypatch):
    """Files with a column that this version does not know stay as they are, and still count; others are merged."""
    known = VIEWS["trials"]
    newer = known.append(pa.field("energy_joules", pa.float64()))
    for number in range(2):
        local_store.commit("trials", (f"old{number}",), "a1", trial_rows(f"old{number}"))
    more = {f"new{number}": trial_rows(f"new{number}") for number in range(2)}
    with monkeypatch.context() as patched:
        patched.setitem(VIEWS, "trials", newer)
        for name, rows in more.items():
            wider = rows.append_column("energy_joules", pa.array([7.0]))
            local_store.commit("trials", (name,), "a1", wider)
    result = next(each for each in compact(local_store).views if each.view == "trials")
    assert len(result.removed) == 2
    assert [path for path in result.left if "new" in path] == list(result.left)
    assert result.num_ids == 4
    assert local_store.read("trials").num_rows == 4
    monkeypatch.setitem(VIEWS, "trials", newer)
    seen = local_store.read("trials").select(["trial_id", "energy_joules"]).to_pylist()
    assert {row["trial_id"]: row["energy_joules"] for row in seen} == {
        "old0": None, "old1": None, "new0": 7.0, "new1": 7.0
    }  # fmt: skip


def test_one_compaction_at_a_time(local_store, fill):
    """A held lock is bad input with owner, time and cure; a stale one is taken over."""
    fill(local_store)
    with hold_lock(local_store, _lock("node7:12:ab")):
        with pytest.raises(UserError, match="is being compacted by node7:12:ab since 2026") as told:
            compact(local_store, now=NOW + STALE_AFTER - timedelta(seconds=1))
        assert "remove that file" in told.value.faults[0].mend
        compact(local_store, now=NOW + STALE_AFTER)
    assert local_store.names("control") == []


def test_a_lock_taken_by_another_at_the_same_time_is_respected(local_store, monkeypatch):
    """Who finds another's name after writing its own steps back and leaves that lock."""
    write = local_store.write_json

    def write_then_lose(path, value):
        write(path, value)
        write(path, value | {"owner": "other"})

    monkeypatch.setattr(local_store, "write_json", write_then_lose)
    with pytest.raises(UserError, match="compacted by other"), hold_lock(local_store, _lock("me")):
        pytest.fail("the block must not run")
    assert local_store.read_json(LOCK_PATH)["owner"] == "other"


def test_a_lock_that_is_not_whole_is_nobodys(local_store):
    """A damaged lock file does not block for ever."""
    local_store.write_bytes(LOCK_PATH, b'{"owner": ')
    with hold_lock(local_store, _lock("me")):
        assert local_store.read_json(LOCK_PATH)["owner"] == "me"


def test_a_lock_of_an_earlier_version_is_respected(local_store):
    """It told neither process nor place."""
    local_store.write_json(LOCK_PATH, {"owner": "old", "taken_at": NOW.isoformat()})
    with pytest.raises(UserError, match="is being compacted by old"):
        compact(local_store, now=NOW)


def test_the_step_count_of_the_kill_test_covers_all_steps(local_store, fill, monkeypatch):
    """A kill was tried before every write and every removal."""
    fill(local_store)
    calls = []
    for name in ("write_bytes", "remove"):
        act = getattr(local_store, name)
        monkeypatch.setattr(local_store, name, lambda *a, act=act: (calls.append(1), act(*a))[1])
    compact(local_store, now=NOW)
    assert len(calls) == NUM_STEPS


@pytest.mark.filterwarnings("ignore:ignored a damaged file")
def test_a_merged_file_of_nothing_is_damaged(local_store):
    """Two files or more are merged, so that none of ours is empty: as one, it would hide that all is gone."""
    path = local_store.compacted_path("trials", "20260101T000000-aa")
    content = encode(
        "trials", VIEWS["trials"].empty_table(), committed_at="2026-01-01", attempt_id="", parts=[]
    )
    local_store.write_bytes(path, content)
    found = local_store.commits_in("trials", path)
    assert str(found) == "it is a merged file of nothing"
    assert local_store.read("trials").num_rows == 0


def test_a_merged_file_that_does_not_name_an_id_is_not_decoded(local_store, fill, monkeypatch):
    """A slot looks whether its trial is done before each attempt: it need not decode everybody's rows."""
    fill(local_store)
    compact(local_store, now=NOW)
    (path,) = local_store.names("measurements")
    for trial_id in ("t1", "t3"):
        keys = [commit.key for commit in local_store.commits_of("measurements", trial_id)]
        assert keys == [(trial_id, "s1")]
    decoded = []
    decode = store_module.decode_commits
    monkeypatch.setattr(
        store_module, "decode_commits", lambda *a: (decoded.append(a[1]), decode(*a))[1]
    )
    assert local_store.commits_of("measurements", "t") == []
    assert decoded == []
    assert len(local_store.commits_of("measurements", "t2")) == 1
    assert decoded == [path]
