"""Plans looked at again: as a fresh reader sees them, for the price of what has changed."""

from __future__ import annotations

import pytest

from orchestrator.commands import store_commands
from orchestrator.machine.console import Output
from orchestrator.monitor.plan_memory import PlanMemory
from orchestrator.planning.plan import publish_plan
from workers.contract.plan_document import PlanDocument
from workers.contract.plans import newest_plan
from workers.contract.store import Store


@pytest.fixture
def publish(store, make_trial):
    """Publish a revision of a sweep, of so many trials."""

    def write(sweep: str, num_trials: int) -> PlanDocument:
        plan = PlanDocument(
            sweep=sweep, revision=f"r{num_trials}", planned_at="", spec={}, statistics=[],
            seeds=list(range(num_trials)), trials=[make_trial(seed) for seed in range(num_trials)],
        )  # fmt: skip
        return publish_plan(store, plan)

    return write


def plans_read(paths: list[str]) -> list[str]:
    return [path for path in paths if path.startswith("sweeps/")]


def test_a_plan_is_read_once_until_it_changes(store, publish, files_read):
    """A new revision, one damaged, mended and removed; another sweep's are no matter."""
    first = publish("toy", 1)
    plans = PlanMemory(store)
    assert plans.newest("toy") == first
    publish("other", 1)
    files_read.clear()
    assert plans.newest("toy") is plans.newest("toy")
    assert plans_read(files_read) == []
    second = publish("toy", 2)
    path = Store.plan_path("toy", second.revision)
    whole = store.read_bytes(path)
    assert plans.newest("toy") == second == newest_plan(store, "toy")
    store.write_bytes(path, whole[:50])
    with pytest.warns(UserWarning, match="ignored a damaged file of the store, sweeps/toy/r2.json"):
        assert plans.newest("toy") == first
    store.write_bytes(path, whole)
    assert plans.newest("toy") == second
    for each in store.names("sweeps/toy"):
        store.remove(each)
    assert plans.newest("toy") is None


@pytest.fixture
def waits(store, publish, make_trial, finish_trial, monkeypatch):
    """While a watcher waits first nothing happens, then the plan grows to two trials, which end."""
    publish("toy", 1)
    steps = iter(
        [
            lambda: None,
            lambda: publish("toy", 2),
            lambda: finish_trial(store, make_trial(0), [], attempt_id="a0"),
            lambda: finish_trial(store, make_trial(1), [], attempt_id="a1"),
        ]
    )
    monkeypatch.setattr(store_commands.watch, "__defaults__", (lambda _: next(steps)(),))


@pytest.mark.usefixtures("waits")
def test_watching_reads_a_plan_once(store, files_read, capsys):
    """However often it looks; a trial that ends is seen, and so is a plan that grows."""
    files_read.clear()
    assert store_commands.status("toy", store.uri, Output(), is_watching=True) == 0
    told = capsys.readouterr().out
    assert "2 of 2 trials done, 0 running" in told
    # once each; `publish_plan` itself looks for the newest one
    assert plans_read(files_read) == [
        "sweeps/toy/r1.json",
        "sweeps/toy/r1.json",
        "sweeps/toy/r2.json",
    ]
