"""A run goes on in waves until nothing is left that it could do; Ray Tune is replaced by a script."""

from __future__ import annotations

import contextlib
import io
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace

import pytest
from rich.console import Console

from orchestrator.liveness import claims
from orchestrator.liveness.run_control import RunControl
from orchestrator.monitor import progress
from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Options, prepare
from orchestrator.running import watch, waves
from orchestrator.running.driver import ClusterLost, DriveResult, Hooks, Refusal
from orchestrator.running.watch import Run
from orchestrator.running.waves import run_waves
from orchestrator.slots.failures import NUM_EQUAL_FAILURES, Failure
from orchestrator.slots.lost_slots import record_loss
from orchestrator.slots.task import SlotResult, SlotTask
from workers.contract import filesystem
from workers.contract.errors import StoreError
from workers.contract.failure_classes import MAX_ATTEMPTS
from workers.contract.orders import Heartbeat, Progress
from workers.contract.store import Store

LOST = Failure("worker_lost", "slot lost", "it died")


class HeldSlots:
    """Slots that hold some trials; those of them that were ended."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.ended: list[str] = []

    def busy(self) -> set[str]:
        return self.held

    def end(self, trial_id: str) -> None:
        self.ended.append(trial_id)


class Script:
    """Stands in for the driver: each trial ends in the next of its statuses, "done" when there is none."""

    def __init__(self, finish: Callable[..., None]) -> None:
        self.endings: dict[int, list[str]] = {}
        self.waves: list[list[SlotTask]] = []
        self.shunned: list[set[str]] = []
        self.hooks: Hooks | None = None
        self.during: Callable[[], None] = lambda: None
        self.refuse_silence: Callable[[], None] = lambda: None
        self._finish = finish

    @contextlib.contextmanager
    def watch_head(self, _seconds: float) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(refuse_silence=self.refuse_silence)

    def drive(self, tasks: Sequence[SlotTask], _nodes: object, hooks: Hooks) -> DriveResult:
        self.waves.append(list(tasks))
        self.hooks = hooks
        self.shunned.append(set(hooks.shunned))
        results, lost, unstarted, refused = [], set(), set(), {}
        for task in tasks:
            endings = self.endings.get(task.planned.trial.seed, [])
            status = endings.pop(0) if endings else "done"
            if status == "done":
                self._finish(Store.open(task.store), task.planned, task.statistics)
            if status == "lost":
                hooks.on_loss(task, LOST)
                lost.add(task.trial_id)
            elif status.startswith("refused by "):
                node = status.removeprefix("refused by ")
                refused[task.trial_id] = Refusal(node, f"node {node} holds other code")
            elif status == "unstarted":
                unstarted.add(task.trial_id)
            else:
                results.append(
                    SlotResult(
                        trial_id=task.trial_id, status=status, num_attempts=1, num_failures=0
                    )
                )
        self.during()
        hooks.watch(HeldSlots())
        return DriveResult(results, lost, unstarted, refused)

    def seeds(self) -> list[list[int]]:
        return [sorted(task.planned.trial.seed for task in wave) for wave in self.waves]


@pytest.fixture
def script(monkeypatch, finish_trial):
    made = Script(finish_trial)
    monkeypatch.setattr(waves, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(waves, "_UNSEEN_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_REFRESH_SECONDS", 0.0)
    return made


@pytest.fixture
def go(tmp_path, script, toy_sweep):
    """Run the sweep on the script; the statuses by seed, and what was said."""
    toy_sweep(seeds=8, measure=["losses"], resources={"gpus": "1/4"})

    def run(aside: frozenset[str] = frozenset(), **options: object) -> tuple[dict[int, str], str]:
        prepared = prepare("toy.yaml", Options("store", **options))
        stream, statuses = io.StringIO(), {}
        control = RunControl(prepared.store, "toy")
        with control.listening():
            console = Console(file=stream, width=200)
            run_waves(
                Run(
                    prepared,
                    Options("store", **options),
                    control,
                    console,
                    tmp_path,
                    script,
                ),
                [Node("n", cpus=2, gpus=1, node_id="n's id")],
                statuses,
                aside,
            )
        seeds = {item.trial_id: item.trial.seed for item in prepared.plan.trials}
        return {seeds[name]: status for name, status in statuses.items()}, stream.getvalue()

    return run


ALL = list(range(8))


def test_one_wave_where_all_is_well(go, script):
    """Every trial once."""
    assert set(go()[0].values()) == {"done"}
    assert script.seeds() == [ALL]


def test_a_wave_has_a_bound(go, script, monkeypatch):
    """So has what Tune keeps; what another run was at comes after everything else, and does not hold it up."""
    monkeypatch.setattr(waves, "_MOST_TRIALS", 3)
    script.endings = {0: ["elsewhere"] * 2, 1: ["elsewhere"]}
    assert set(go()[0].values()) == {"done"}
    assert [len(wave) for wave in script.waves] == [3, 3, 3, 2]
    first, *others = script.seeds()
    assert first == [0, 1, 2]
    assert [seed for wave in others for seed in wave] == [3, 4, 5, 0, 6, 7, 0, 1]


def test_a_run_leaves_once_its_time_budget_is_used_up(go, script):
    """Slots are asked to stop, what they had not started is left for the next run, and no wave follows."""
    script.endings = {seed: ["unstarted"] for seed in ALL[2:]}
    statuses, said = go(time_budget_seconds=1e-9)
    assert statuses == {0: "done", 1: "done"} | dict.fromkeys(ALL[2:], "drained")
    assert script.seeds() == [ALL]
    assert script.hooks.is_stopping()
    assert "stopping: the time budget is used up; the same command resumes" in said


def test_a_run_within_its_time_budget_is_left_alone(go, script):
    """It goes on as without one; how many may be at work is told to the driver."""
    statuses, said = go(time_budget_seconds=3600.0, max_concurrent=3)
    assert set(statuses.values()) == {"done"}
    assert "stopping" not in said
    assert script.hooks.max_concurrent == 3


def test_each_record_is_read_once_and_at_the_end_once_more(go, script, monkeypatch):
    """What plans a run, its waves and its view remember together; at the end damage is looked for."""
    script.endings = {3: ["failed"]}
    go()
    read, paths = filesystem.read, []
    monkeypatch.setattr(
        filesystem, "read", lambda root, path: (paths.append(path), read(root, path))[1]
    )
    assert go()[0] == {3: "done"}
    counts = Counter(path for path in paths if path.startswith(("trials/", "measurements/")))
    assert len(counts) == 16
    assert set(counts.values()) == {2}


def test_what_failed_is_not_tried_again_in_this_run(go, script):
    """The slot has tried it as often as its class allows."""
    script.endings = {3: ["failed"]}
    assert go()[0][3] == "failed"
    assert script.seeds() == [ALL]


def test_a_trial_without_room_on_its_gpu_gets_twice_the_share(go, script):
    """1/4, then 1/2, then a whole device."""
    script.endings = {3: ["larger_share", "larger_share"]}
    assert go()[0][3] == "done"
    assert script.seeds() == [ALL, [3], [3]]
    assert [wave[0].device_share for wave in script.waves] == [0.25, 0.5, 1.0]


def test_a_trial_whose_slots_never_start_is_given_up(go, script):
    """As often as its class allows, each recorded; the others are not held up."""
    script.endings = {3: ["lost"] * 99}
    statuses, _ = go()
    assert (statuses[3], statuses[4]) == ("failed", "done")
    assert script.seeds() == [ALL, [3], [3], [3]]
    rows = Store.open("store").read("failures").to_pylist()
    assert [row["signature"] for row in rows] == ["slot lost"] * 4


def test_a_node_that_is_set_aside_gets_no_trial(go, script):
    """Nor where every other has refused: then what is left is refused too."""
    answered = []
    script.during = lambda: answered.append(script.hooks.on_refusal(Refusal("n's id", "other")))
    go(frozenset({"odd"}))
    assert script.shunned == [{"odd"}]
    assert answered == [frozenset({"odd"})]


def test_what_a_node_of_other_code_refuses_is_done_elsewhere(go, script):
    """The node is named once and gets nothing more; the trial has not failed, and the row says whose it was."""
    script.endings = {3: ["refused by late"], 5: ["refused by late"]}
    statuses, said = go()
    assert set(statuses.values()) == {"done"}
    assert script.seeds() == [ALL, [3, 5]]
    assert script.shunned == [set(), {"late"}]
    assert said.count("node late holds other code: it gets no trial") == 1
    rows = Store.open("store").read("failures").to_pylist()
    assert [row["failure_class"] for row in rows] == ["other_code"] * 2
    assert {row["message"] for row in rows} == {"node late holds other code"}


def test_a_node_of_other_code_is_named_and_set_aside_within_the_wave(go, script):
    """At its first refusal, whenever the wave may end; were it the only one, it would go on to refuse."""
    answered: list[frozenset[str]] = []

    def refuse() -> None:
        refusals = [
            Refusal(name, f"node {name} holds other code") for name in ("late", "late", "n's id")
        ]
        answered.extend(map(script.hooks.on_refusal, refusals))

    script.during = refuse
    _, said = go()
    assert answered == [frozenset({"late"}), frozenset({"late"}), frozenset()]
    assert said.count("node late holds other code: it gets no trial") == 1


def test_where_every_node_has_other_code_the_run_ends(go, script):
    """It would wait for a node for ever."""
    script.endings = {3: ["refused by n's id"]}
    assert go()[0] == dict.fromkeys(ALL, "done") | {3: "failed"}
    assert script.seeds() == [ALL]


def test_a_trial_that_got_no_slot_before_a_drain_has_not_failed(go, script):
    """It waited for slots that another run held; an earlier wave's word about it is over."""
    script.endings = {2: ["larger_share", "unstarted"]}
    script.during = lambda: len(script.waves) < 2 or signal.raise_signal(signal.SIGTERM)
    assert go()[0] == dict.fromkeys(ALL, "done") | {2: "drained"}
    assert script.seeds() == [ALL, [2]]


def test_a_trial_given_up_before_a_drain_is_not_called_drained(go, script):
    """It had lost as many slots as it may, and waited for another when the run was asked to stop."""
    script.endings = {2: ["unstarted"]}

    def lose_and_stop() -> None:
        task = next(task for task in script.waves[0] if task.planned.trial.seed == 2)
        for _ in range(MAX_ATTEMPTS["worker_lost"]):
            script.hooks.on_loss(task, LOST)
        signal.raise_signal(signal.SIGTERM)

    script.during = lose_and_stop
    assert go()[0] == dict.fromkeys(ALL, "done") | {2: "failed"}


def test_a_trial_of_another_run_is_waited_for(go, script, finish_trial):
    """Until it is done there: then nothing is left to do here."""
    script.endings = {3: ["elsewhere"]}
    store = Store.open("store")
    looks: list[int] = []

    def theirs() -> None:
        task = next(task for task in script.waves[0] if task.planned.trial.seed == 3)
        store.write_json(Store.run_path("toy", "other"), {})
        beat(store, task)
        view = waves.ProgressView.update

        def look(self: object) -> None:
            looks.append(1)
            if len(looks) == 4:
                finish_trial(store, task.planned, task.statistics)
            view(self)

        script.during = lambda: None
        script.monkeypatch.setattr(waves.ProgressView, "update", look)

    script.during = theirs
    with pytest.MonkeyPatch.context() as script.monkeypatch:
        assert go()[0][3] == "done"
    assert script.seeds() == [ALL]
    assert len(looks) >= 4


def test_a_head_that_dies_while_another_run_is_waited_for_is_missed(go, script):
    """Ray itself would end the command after a minute, with another code."""
    script.endings = {3: ["elsewhere"]}

    def theirs() -> None:
        store = Store.open("store")
        store.write_json(Store.run_path("toy", "other"), {"host": "another", "pid": 1})
        beat(store, next(task for task in script.waves[0] if task.planned.trial.seed == 3))
        script.refuse_silence = lose

    def lose() -> None:
        raise ClusterLost("no answer")

    script.during = theirs
    with pytest.raises(ClusterLost):
        go()
    assert script.seeds() == [ALL]


def test_a_trial_of_a_run_that_is_over_is_taken_up(go, script):
    """Its registration is gone, whatever its heartbeat says."""
    script.endings = {3: ["elsewhere"]}
    store = Store.open("store")
    script.during = lambda: beat(store, script.waves[0][3])
    assert go()[0][3] == "done"
    assert script.seeds() == [ALL, [3]]


def test_a_trial_of_a_run_that_is_silent_is_taken_up(go, script, monkeypatch):
    """Nobody can say that its driver is dead, as it is on another machine."""
    monkeypatch.setattr(claims, "RIVAL_SILENCE_SECONDS", 0.2)
    script.endings = {3: ["elsewhere"]}
    store = Store.open("store")

    def theirs() -> None:
        task = next(task for task in script.waves[0] if task.planned.trial.seed == 3)
        store.write_json(Store.run_path("toy", "other"), {"host": "another", "pid": 1})
        beat(store, task)
        script.during = lambda: None

    script.during = theirs
    assert go()[0][3] == "done"
    assert script.seeds() == [ALL, [3]]
    assert script.waves[1][0].presumed_dead == ["theirs"]


def beat(store: Store, task: SlotTask) -> None:
    found = Heartbeat(
        trial_id=task.trial_id, attempt_id="theirs", statistic=None, sweep="toy", run_id="other",
        state="running", host="another", pid=1, devices="-1", device_share=0.0,
        started_at="2026-01-01T00:00:00+00:00", beat_at="2026-01-01T00:00:00+00:00",
        progress=Progress(phase="training"),
    )  # fmt: skip
    path = Store.heartbeat_path(task.trial_id, "theirs")
    store.write_json(path, found.model_dump(mode="json"))


def fail_alike(script: Script, kind: str, number: int) -> Callable[[], None]:
    def during() -> None:
        for task in script.waves[0][:number]:
            store = Store.open(task.store)
            record_loss(store, task, Failure(kind, "ValueError in nets.py", "no"))

    return during


def test_a_common_cause_stops_the_run(go, script):
    """It says so, and what is left drains: the same command resumes once the cause is mended."""
    script.endings = {seed: ["failed"] for seed in range(NUM_EQUAL_FAILURES)} | {7: ["lost"]}
    script.during = fail_alike(script, "user_error", NUM_EQUAL_FAILURES)
    statuses, said = go()
    assert f"stopping: {NUM_EQUAL_FAILURES} trials failed alike (user_error: ValueError" in said
    assert statuses[7] == "drained"
    assert len(script.waves) == 1
    assert script.hooks.is_stopping()


def test_fewer_equal_failures_stop_nothing(go, script):
    """The other trials may well be sound."""
    script.during = fail_alike(script, "user_error", NUM_EQUAL_FAILURES - 1)
    _, said = go()
    assert "stopping" not in said
    assert not script.hooks.is_stopping()


def test_fail_fast_stops_at_the_first_trial_given_up(go, script):
    """Not at a failure that is tried again."""
    script.during = fail_alike(script, "hang", 1)
    assert "stopping" not in go(is_fail_fast=True)[1]
    script.during = fail_alike(script, "conflict", 1)
    script.waves.clear()
    Store.open("store").remove(Store.open("store").names("trials")[0])
    said = go(is_fail_fast=True)[1]
    assert "stopping: --fail-fast, and a trial failed (conflict: ValueError in nets.py)" in said


def test_a_silent_slot_is_ended(go, script, monkeypatch):
    """Its heartbeat has not changed for too long by the driver's own clock; rivals' slots are theirs.

    Once: the slot that takes the trial up must not be ended for the one before.
    """
    slots = HeldSlots()
    clock = SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda _: None, now=0.0)
    monkeypatch.setattr(watch, "time", clock)

    def during() -> None:
        store, tasks = Store.open("store"), script.waves[0][:2]
        for task, run_id in zip(tasks, (tasks[0].run_id, "other"), strict=True):
            store.remove(next(n for n in store.names("trials") if task.trial_id in n))
            now = "2999-01-01T00:00:00+00:00"
            found = Heartbeat(
                trial_id=task.trial_id, attempt_id="a", statistic=None, sweep="toy",
                run_id=run_id, state="running", host="h", pid=1, devices="-1",
                device_share=0.0, started_at=now, beat_at=now, progress=Progress(phase="training"),
            )  # fmt: skip
            path = Store.heartbeat_path(task.trial_id, "a")
            store.write_json(path, found.model_dump(mode="json"))
        slots.held = {task.trial_id for task in tasks}
        for clock.now in range(0, 121, 20):
            script.hooks.watch(slots)
            assert slots.ended == []
        for clock.now in (130, 135, 140):
            script.hooks.watch(slots)
        script.during = lambda: None

    script.during = during
    go()
    assert slots.ended == [script.waves[0][0].trial_id]


def test_no_slot_is_ended_while_the_store_takes_nothing(go, script, monkeypatch):
    """It can be read and not written, as on a full disk: a slot at work cannot say so."""
    slots = HeldSlots()
    clock = SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda _: None, now=0.0)
    monkeypatch.setattr(watch, "time", clock)
    publish = filesystem.publish

    def refuse(_root: object, path: str, _content: bytes) -> None:
        raise StoreError(f"cannot write {path}")

    def during() -> None:
        slots.held = {script.waves[0][0].trial_id}
        monkeypatch.setattr(filesystem, "publish", refuse)
        for clock.now in range(0, 2000, 20):
            script.hooks.watch(slots)
        assert slots.ended == []
        monkeypatch.setattr(filesystem, "publish", publish)
        for clock.now in range(2000, 4000, 20):
            script.hooks.watch(slots)
        script.during = lambda: None

    script.during = during
    go()
    assert set(slots.ended) == slots.held


def test_what_is_called_done_and_is_not_in_the_store_is_not_done(go, script):
    """As by a late node with a store of its own, or damaged since: the same command resumes."""
    finish = script._finish
    script._finish = lambda store, planned, statistics: (
        None if planned.trial.seed == 3 else finish(store, planned, statistics)
    )
    statuses, said = go()
    assert {seed for seed, status in statuses.items() if status != "done"} == {3}
    assert statuses[3] == "drained"
    assert "1 trials were done and are not in the store" in said


def test_a_loss_during_an_outage_is_recorded_afterwards(go, script, monkeypatch):
    """The failures view misses no row."""
    script.endings = {3: ["lost"]}
    commit = Store.commit

    def refuse(self: Store, view: str, *rest: object) -> str:
        if view == "failures":
            raise StoreError("away")
        return commit(self, view, *rest)

    monkeypatch.setattr(Store, "commit", refuse)
    script.during = lambda: monkeypatch.setattr(Store, "commit", commit)
    assert go()[0][3] == "done"
    assert len(Store.open("store").read("failures")) == 1


def test_a_slot_that_is_lost_does_not_enlarge_a_share(go, script):
    """Only the trial's own wish does."""
    script.endings = {3: ["larger_share", "lost"]}
    assert go()[0][3] == "done"
    assert [wave[0].device_share for wave in script.waves[1:]] == [0.5, 0.5]
    assert [wave[0].num_smaller_shares for wave in script.waves[1:]] == [1, 1]
