"""Two runs at one trial: whoever runs is left alone, of two that claim at once exactly one goes on."""

from __future__ import annotations

import threading

import pytest

from orchestrator.liveness.claims import is_ours, rivals, rivals_at_all
from orchestrator.liveness.heartbeats import heartbeats_of
from workers.contract.errors import StoreError
from workers.contract.orders import Heartbeat, Progress
from workers.contract.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store.open(str(tmp_path / "store"))
    for run_id in ("a", "b"):
        made.write_json(Store.run_path("toy", run_id), {})
    return made


def publish(store: Store, run_id: str, state: str = "claiming", number: int = 1) -> Heartbeat:
    beat = Heartbeat(
        trial_id="t", attempt_id=f"{run_id}{number}", statistic=None, sweep="toy", run_id=run_id,
        state=state, host="h", pid=1, devices="-1", device_share=0.0, started_at="", beat_at="",
        progress=Progress(phase="starting"),
    )  # fmt: skip
    path = Store.heartbeat_path("t", beat.attempt_id)
    store.write_json(path, beat.model_dump(mode="json"))
    return beat


def never(_seconds: float) -> None:
    raise AssertionError("waited")


def test_a_lone_claim_stands(store):
    """At once."""
    assert is_ours(store, publish(store, "b"), wait=never)


@pytest.mark.parametrize("state", ["claiming", "running"])
def test_the_first_to_be_there_goes_on(store, state):
    """A run of a later name gives way to one that claims, and to one that runs."""
    publish(store, "a", state)
    assert not is_ours(store, publish(store, "b"), wait=never)


def test_who_runs_is_left_alone_whatever_its_name(store):
    """A name decides between claims only."""
    publish(store, "b", "running")
    assert not is_ours(store, publish(store, "a"), wait=never)


@pytest.mark.parametrize(("then", "stands"), [("ended", True), ("running", False)])
def test_the_first_name_waits_until_the_other_claim_is_decided(store, then, stands):
    """The other may have seen nobody, and goes on; or it gives way."""
    publish(store, "b")
    claim = publish(store, "a")
    assert is_ours(store, claim, wait=lambda _: publish(store, "b", then)) == stands


def test_a_claim_that_nobody_decides_is_not_waited_for_for_ever(store):
    """Its attempt has died over it."""
    publish(store, "b")
    waits: list[float] = []
    assert is_ours(store, publish(store, "a"), wait=waits.append)
    assert 5 <= sum(waits) <= 20


@pytest.mark.parametrize("round_", range(20))
def test_of_many_claims_at_once_at_most_one_stands(tmp_path, round_):
    """Real threads on a real folder; none of them ever sees two go on."""
    store = Store.open(str(tmp_path / "store"))
    names = ("c", "a", "b")
    for run_id in names:
        store.write_json(Store.run_path("toy", run_id), {})
    standing: list[str] = []
    start = threading.Barrier(len(names))

    def claim(run_id: str) -> None:
        start.wait()
        if is_ours(store, publish(store, run_id)):
            publish(store, run_id, "running")
            standing.append(run_id)
        else:
            publish(store, run_id, "ended")

    threads = [threading.Thread(target=claim, args=(run_id,)) for run_id in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(standing) == 1


def test_what_counts_as_a_rival(store):
    """Not our own run, not what has ended, not the presumed dead, not what is of no registered run."""
    publish(store, "a", "running", 1)
    publish(store, "a", "ended", 2)
    publish(store, "b", "running")
    publish(store, "unregistered", "running")
    assert [beat.attempt_id for beat in rivals(store, "t", "b")] == ["a1"]
    assert rivals(store, "t", "b", {"a1"}) == []
    assert rivals(store, "other", "b") == []


def test_rivals_at_many_trials_cost_one_look(store, monkeypatch):
    """However many there are: a look that took longer than the silence allowed would find nobody silent."""
    publish(store, "a", "running")
    looks: list[str] = []
    names = Store.names
    monkeypatch.setattr(
        Store, "names", lambda self, at, **which: (looks.append(at), names(self, at, **which))[1]
    )
    found = rivals_at_all(store, {"t", *map(str, range(100))}, "b")
    assert [beat.attempt_id for beat in found] == ["a1"]
    assert looks == ["attempts", "control"]


def test_a_store_that_is_away_has_no_rivals(store, monkeypatch):
    """The attempt itself will find out."""

    def fail(*_: object, **__: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(Store, "names", fail)
    assert rivals(store, "t", "b") == []


def test_what_is_not_whole_is_passed_over(store):
    """A heartbeat cut off, or of another version."""
    publish(store, "a")
    store.write_bytes("attempts/t.cut.json", b'{"trial_id": "t"')
    store.write_json("attempts/t.other.json", {"trial_id": "t"})
    with pytest.warns(UserWarning, match="ignored 2 damaged files of the store: attempts/t.cut.js"):
        assert [beat.attempt_id for beat in heartbeats_of(store, "t")] == ["a1"]


def test_a_claim_does_not_read_itself_nor_the_dead(store, monkeypatch):
    """Of object storage each reading takes two requests, before every attempt."""
    claim = publish(store, "b")
    publish(store, "a", number=1)
    publish(store, "a", "ended", number=2)
    read, paths = store.read_bytes, []
    monkeypatch.setattr(store, "read_bytes", lambda path: (paths.append(path), read(path))[1])
    assert is_ours(store, claim, {"a1"}, wait=never)
    assert paths == [Store.heartbeat_path("t", "a2")]
