from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from workers.contract import filesystem
from workers.contract.errors import StoreError, UserError
from workers.contract.records import Measurement, measurement_table
from workers.contract.schema import VIEWS
from workers.contract.store import Store, new_attempt_id
from workers.contract.store_place import check_writable, place_faults
from workers.statistics.losses import LossesSpec


def _losses(store, view="epochs"):
    return store.read(view).column("train_loss").to_pylist()


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_an_empty_store_has_empty_views(store, view):
    """Every view reads with its columns although no folder exists."""
    assert store.read(view).schema.equals(VIEWS[view])
    assert store.read(view).num_rows == 0


def test_the_first_commit_of_an_id_counts(store, trial_rows, clock):
    """A later commit of the same id is never shown, whatever its name."""
    clock(2)
    store.commit("trials", ("t1",), "a1", trial_rows(attempt_id="a1", train_loss=1.0))
    clock(1)
    store.commit("trials", ("t1",), "a2", trial_rows(attempt_id="a2", train_loss=2.0))
    clock(3)
    store.commit("trials", ("t2",), "a0", trial_rows("t2", attempt_id="a0", train_loss=3.0))
    assert sorted(_losses(store, "trials")) == [2.0, 3.0]
    assert len(store.commits("trials")) == 3
    assert store.winners("trials")["t1",].attempt_id == "a2"


def test_epochs_are_those_of_the_kept_attempt(local_store, trial_rows, epoch_rows, clock):
    """The curve belongs to the weights: not the first committed epochs but the kept trial's."""
    clock(1)
    local_store.commit("epochs", ("t1",), "lost", epoch_rows(losses=(9.0,)))
    assert _losses(local_store) == []
    clock(2)
    local_store.commit("epochs", ("t1",), "kept", epoch_rows(losses=(1.0, 0.5)))
    clock(3)
    local_store.commit("trials", ("t1",), "kept", trial_rows(attempt_id="kept"))
    clock(4)
    local_store.commit("trials", ("t1",), "lost", trial_rows(attempt_id="lost"))
    assert _losses(local_store) == [1.0, 0.5]


def test_a_statistic_is_committed_on_its_own(local_store):
    """One trial has one commit a statistic; both are read."""
    row = Measurement(
        quantity="mean_loss",
        value=0.5,
        stderr=0.0,
        num_samples=10,
        method="full pass",
        bn_mode="frozen",
        split="train",
        objective="data",
    )
    for statistic_id in ("s1", "s2"):
        rows = measurement_table("t1", LossesSpec(), statistic_id, [row])
        local_store.commit("measurements", ("t1", statistic_id), "a1", rows)
    found = local_store.read("measurements")
    assert found.column("statistic_id").to_pylist() == ["s1", "s2"]
    assert found.column("unit").to_pylist() == ["loss", "loss"]


def test_damaged_files_are_warned_of_and_the_rest_is_read(store, trial_rows):
    """A half-written copy hides nothing: the sound commit of the same id counts."""
    path = store.commit("trials", ("t1",), "a1", trial_rows())
    store.commit("trials", ("t2",), "a1", trial_rows("t2"))
    content = store.read_bytes(path)
    store.write_bytes(path, content[: len(content) // 2])
    store.write_bytes("trials/t3.a1.parquet", b"")
    store.write_bytes("trials/notes.txt", b"not a record")
    message = r"ignored 2 damaged files of the store: trials/t1\..*; trials/t3\..*: it is cut off"
    with pytest.warns(UserWarning, match=message):
        assert store.read("trials").column("trial_id").to_pylist() == ["t2"]


def test_many_damaged_files_make_one_warning(local_store, trial_rows):
    """The first three are named, the rest counted."""
    for number in range(5):
        local_store.write_bytes(f"trials/t{number}.a1.parquet", b"damaged")
    with pytest.warns(UserWarning, match=r"ignored 5 damaged .*trials/t2.*; … and 2 more") as seen:
        local_store.read("trials")
    assert len(seen) == 1
    local_store.write_bytes("epochs/t1.a1.parquet", b"damaged")
    with pytest.warns(UserWarning, match=r"ignored a damaged file of the store, epochs/t1"):
        local_store.commits("epochs")


def test_a_file_merged_away_while_being_read_is_looked_for_again(
    local_store, trial_rows, monkeypatch
):
    """Between listing and reading a compaction may remove a file; the folder is listed anew."""
    gone = local_store.commit("trials", ("t1",), "a1", trial_rows())
    read = filesystem.read

    def read_once_merged(root, path):
        if path == gone:
            local_store.remove(gone)
            local_store.commit("trials", ("t1",), "a2", trial_rows(attempt_id="a2"))
        return read(root, path)

    monkeypatch.setattr(filesystem, "read", read_once_merged)
    assert local_store.read("trials").column("attempt_id").to_pylist() == ["a2"]


def test_derived_rows_are_replaced_sweep_by_sweep(store):
    """Aggregating one sweep again leaves the rows of the other."""
    for sweep, batch_size in (("one", 1), ("two", 2), ("one", 3)):
        rows = [dict.fromkeys(VIEWS["predictions"].names) | {"sweep": sweep}]
        rows[0]["batch_size"] = batch_size
        table = pa.Table.from_pylist(rows, schema=VIEWS["predictions"])
        store.replace_derived("predictions", sweep, table)
    found = store.read("predictions").to_pylist()
    assert sorted((row["sweep"], row["batch_size"]) for row in found) == [("one", 3), ("two", 2)]


def test_names_with_dots_keep_their_id(local_store):
    """A sweep's name may hold a dot although file names are joined by dots."""
    row = dict.fromkeys(VIEWS["sweep_trials"].names)
    row |= {"sweep": "resnet.v1.5", "revision": "r.1", "trial_id": "t1"}
    rows = pa.Table.from_pylist([row], schema=VIEWS["sweep_trials"])
    local_store.commit("sweep_trials", ("resnet.v1.5", "r.1"), "r.1", rows)
    assert list(local_store.winners("sweep_trials")) == [("resnet.v1.5", "r.1")]


def test_rows_of_another_id_are_not_committed(local_store, trial_rows):
    """A mix-up of ids is our own bug and stops before anything is written."""
    with pytest.raises(ValueError, match=r"trials of \('t2',\) hold rows of trial_id \['t1'\]"):
        local_store.commit("trials", ("t2",), "a1", trial_rows("t1"))
    with pytest.raises(ValueError, match="cannot name a file of trials"):
        local_store.commit("trials", ("a/b",), "a1", trial_rows("a/b"))
    assert local_store.names("trials") == []


def test_documents_are_read_back_or_none(store):
    """JSON is published whole; what is missing or not whole reads as None."""
    store.write_json("control/x.json", {"a": [1, 0.1]})
    assert store.read_json("control/x.json") == {"a": [1, 0.1]}
    assert store.read_json("control/none.json") is None
    store.write_bytes("control/x.json", b'{"a": ')
    assert store.read_json("control/x.json") is None


def test_a_writable_store_passes_and_is_left_clean(store):
    """The probe is removed."""
    check_writable(store)
    assert store.names("", recursive=True) == []


def test_a_store_that_is_not_there_is_not_made_by_the_check(tmp_path):
    """The probe goes into the nearest folder that is there."""
    check_writable(Store.open(str(tmp_path / "new" / "store")))
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_bad_input(tmp_path, trial_rows):
    """The check tells it before anything starts; a commit fails and publishes nothing."""
    (tmp_path / "file").write_text("")
    store = Store.open(str(tmp_path / "file" / "store"))
    with pytest.raises(UserError, match="cannot write minima-probe-") as caught:
        check_writable(store)
    assert caught.value.faults[0].mend == "choose a place that can be written"
    with pytest.raises(StoreError, match=r"cannot write trials/t1\.a1\.parquet"):
        store.commit("trials", ("t1",), "a1", trial_rows())


def test_a_missing_bucket_is_bad_input(s3_store, monkeypatch):
    """Object storage that does not exist is told by the check."""
    absent = s3_store.uri.replace("/some/", "-absent/some/")
    with pytest.raises(UserError, match="cannot write minima-probe-"):
        check_writable(Store.open(absent))


def test_attempts_sort_by_time_and_never_collide():
    """Names of attempts made at one moment differ; later ones sort later."""
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    assert new_attempt_id(early) < new_attempt_id(late)
    assert len({new_attempt_id(early) for _ in range(100)}) == 100
    assert "." not in new_attempt_id(early)


def test_only_a_local_store_has_local_paths(local_store, s3_store):
    """Code that needs a folder asks, and gets None on object storage."""
    assert local_store.local_path("models/m") == local_store.root.local / "models" / "m"
    assert s3_store.local_path("models/m") is None


def test_a_place_below_a_folder_that_may_not_be_entered_is_a_fault(tmp_path, monkeypatch):
    """The system refuses even to say what is there."""
    exists = Path.exists

    def refuse(path: Path) -> bool:
        if tmp_path in path.parents:
            raise PermissionError
        return exists(path)

    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (fault,) = place_faults(Store.open(str(tmp_path / "closed" / "store")))
    place = tmp_path / "closed" / "store"
    assert fault.what == f"the store cannot be at {place}: {tmp_path} cannot be written"
    assert (fault.where, fault.mend) == ("--store", "choose a place that can be written")
