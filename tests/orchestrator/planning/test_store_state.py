"""What is done, read again and again: always as a fresh reader sees it, for the price of what is new."""

from __future__ import annotations

import json
import random
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.planning.store_state import (
    RecordedTrial,
    StoreReader,
    StoreState,
    model_text,
    read_state,
)
from workers.contract import file_rows
from workers.contract.compaction import compact
from workers.contract.lacking import lacking
from workers.contract.plan_document import PlanDocument
from workers.contract.records import FailureRecord, Measurement, measurement_table, table
from workers.contract.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ACTIONS = ("trial", "statistic", "failure", "model", "compact", "damage", "mend", "look")


UNLISTED = {"committed_at": "", "attempt_id": ""}
"""Of a trial's record, what its commit says and no column."""


def columns_of(row: dict[str, object]) -> dict[str, object]:
    """Give what is remembered of a row of view `trials`, the model as the whole spec has it."""
    model = json.dumps(json.loads(row["spec"] or "{}").get("model"), sort_keys=True)
    listed = {name: row[name] for name in RecordedTrial._fields if name in row}
    return listed | {"model": "" if model == "null" else model} | UNLISTED


def from_views(store: Store) -> dict[str, object]:
    """Read the state from whole views: the second, independent route."""
    trials = store.read("trials").to_pylist()
    measurements = store.read("measurements").to_pylist()
    failures = store.read("failures").to_pylist()
    return {
        "outcomes": {row["trial_id"]: row["outcome"] for row in trials},
        "wall_seconds": {row["trial_id"]: row["wall_seconds"] for row in trials},
        "columns": {row["trial_id"]: columns_of(row) for row in trials},
        "measured": {(row["trial_id"], row["statistic_id"]) for row in measurements},
        "failures": [(row["attempt_id"], row["signature"], row["message"]) for row in failures],
        "models": {name.split("/")[1].split(".")[0] for name in store.names("models")},
    }


def as_views(state: StoreState) -> dict[str, object]:
    """Give a state in the same form."""
    return {
        "outcomes": state.outcomes,
        "wall_seconds": state.wall_seconds,
        "columns": {name: trial._asdict() | UNLISTED for name, trial in state.trials.items()},
        "measured": set(state.measured),
        "failures": [(item.attempt_id, item.signature, item.message) for item in state.failures],
        "models": set(state.with_model),
    }


class Shaken:
    """A store that things are done to, in an order drawn at random."""

    def __init__(self, place: Path, make_trial, trial_record, statistics) -> None:
        self.store = Store.open(str(place))
        self._make_trial, self._trial_record = make_trial, trial_record
        self._statistics, self._number = statistics, 0
        self._whole: dict[str, bytes] = {}

    def do(self, action: str, choice: random.Random) -> None:
        self._number += 1
        planned = self._make_trial(choice.randrange(3))
        name, attempt_id = planned.trial_id, f"a{self._number}"
        if action == "trial":
            record = self._trial_record(
                planned, attempt_id, wall_seconds=float(self._number), host=attempt_id
            )
            self.store.commit("trials", (name,), attempt_id, table("trials", [record]))
        elif action == "statistic":
            item = choice.choice(self._statistics)
            row = measurement_of(float(self._number))
            rows = measurement_table(name, item.statistic, item.statistic_id, [row])
            self.store.commit("measurements", (name, item.statistic_id), attempt_id, rows)
        elif action == "failure":
            self.store.commit("failures", (name, attempt_id), attempt_id, failure(name, attempt_id))
        elif action == "model":
            self.store.write_bytes(Store.model_path(name, attempt_id), b"model")
        elif action == "compact":
            compact(self.store, now=NOW + timedelta(days=self._number))
        elif action == "damage":
            self._damage(choice)
        elif action == "mend":
            for path, content in self._whole.items():
                self.store.write_bytes(path, content)
            self._whole.clear()

    def _damage(self, choice: random.Random) -> None:
        paths = [
            p for view in ("trials", "measurements", "failures") for p in self.store.names(view)
        ]
        if paths:
            path = choice.choice(paths)
            content = self.store.read_bytes(path) or b""
            self._whole.setdefault(path, content)
            self.store.write_bytes(path, content[: choice.randrange(len(content))])


def measurement_of(seconds: float, split: str = "train") -> Measurement:
    return Measurement(
        quantity="mean_loss", value=1.0, stderr=0.0, num_samples=1, method="m", bn_mode="frozen",
        split=split, objective="data", wall_seconds=seconds,
    )  # fmt: skip


def failure(trial_id: str, attempt_id: str):
    row = FailureRecord(
        trial_id=trial_id, statistic_id=None, attempt_id=attempt_id, failure_class="bug",
        signature=f"s{attempt_id}", message="m", log_path="l", host="h", failed_at=NOW,
    )  # fmt: skip
    return table("failures", [row])


@pytest.fixture
def make_shaken(tmp_path_factory, make_trial, trial_record, statistics):
    """Make an empty store, each in a place of its own."""
    return lambda: Shaken(tmp_path_factory.mktemp("s"), make_trial, trial_record, statistics)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=25), seed=st.integers(0, 2**32))
@example(actions=["trial", "trial", "failure", "failure", "compact"], seed=0)
def test_any_order_of_events_looks_as_to_a_fresh_reader(make_shaken, actions, seed):
    """Commits, conflicts, compactions, damage and mending; to whole views read anew, too."""
    choice = random.Random(seed)  # noqa: S311  # no secret
    shaken = make_shaken()
    reader = StoreReader(shaken.store)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="ignored .* damaged file")
        for action in [*actions, "look"]:
            shaken.do(action, choice)
            if action == "look" or choice.random() < 0.3:
                state = reader.look()
                assert state == read_state(shaken.store)
                assert as_views(state) == from_views(shaken.store)


def test_a_look_reads_what_is_new(store, make_trial, statistics, finish_trial, files_read):
    """Nothing when nothing changed; of a new trial its record and its statistics."""
    reader = StoreReader(store)
    finish_trial(store, make_trial(0), statistics)
    assert len(reader.look().trials) == 1
    files_read.clear()
    reader.look()
    assert files_read == []
    finish_trial(store, make_trial(1), statistics)
    files_read.clear()  # a commit reads nothing back, the fixture of a trial may
    assert len(reader.look().measured) == 4
    assert len(files_read) == 3
    compact(store)
    files_read.clear()
    assert len(reader.look().measured) == 4
    assert len(files_read) == 2  # the merged files


def test_a_damaged_file_is_read_until_it_is_whole(store, make_trial, finish_trial):
    """Each look warns of it; the trial is open meanwhile, also when it was whole before."""
    planned = make_trial(0)
    finish_trial(store, planned, [])
    (path,) = store.names("trials")
    whole = store.read_bytes(path)
    reader = StoreReader(store)
    assert planned.trial_id in reader.look().outcomes
    for content in (whole[:50], bytes([whole[0] ^ 1]) + whole[1:]):
        store.write_bytes(path, content)
        for _ in range(2):
            with pytest.warns(UserWarning, match="ignored a damaged file"):
                assert reader.look().outcomes == {}
    store.write_bytes(path, whole)
    assert planned.trial_id in reader.look().outcomes


def test_the_first_commit_of_an_id_stays(store, make_trial, finish_trial):
    """Whatever is committed for it later, as for every reader of the store."""
    planned = make_trial(0)
    reader = StoreReader(store)
    finish_trial(store, planned, [], wall_seconds=1.0, attempt_id="z")
    assert reader.look().wall_seconds == {planned.trial_id: 1.0}
    finish_trial(store, planned, [], wall_seconds=2.0, attempt_id="a")
    assert reader.look().wall_seconds == {planned.trial_id: 1.0}


def test_what_is_kept_of_a_record(store, make_trial, statistics, trial_record):
    """The model's spec as text, the time of a statistic over its splits, and nothing for a skipped one."""
    planned = make_trial(0)
    record = trial_record(planned, spec=planned.trial.model_dump_json(), device_share=0.5)
    store.commit("trials", (planned.trial_id,), "a1", table("trials", [record]))
    rows = [measurement_of(2.0), measurement_of(2.0), measurement_of(0.5, "test")]
    taken, skipped = statistics
    for item, values in (
        (taken, rows),
        (skipped, [rows[0].model_copy(update={"wall_seconds": None, "value": None})]),
    ):
        key = (planned.trial_id, item.statistic_id)
        found = measurement_table(*key[:1], item.statistic, item.statistic_id, values)
        store.commit("measurements", key, "a1", found)
    state = read_state(store)
    trial = state.trials[planned.trial_id]
    assert (trial.model, trial.device_share) == (model_text(planned.trial), 0.5)
    assert trial.num_train == 100
    seconds = {key[1]: (one.name, one.wall_seconds) for key, one in state.statistics.items()}
    assert seconds == {
        taken.statistic_id: ("losses", 2.5),
        skipped.statistic_id: ("traces", None),
    }


@pytest.mark.parametrize("few_rows", [0, 10**6], ids=["in pieces", "whole"])
def test_the_time_of_merged_statistics(store, make_trial, statistics, monkeypatch, few_rows):
    """The longest of each split, summed; by rows in any order, decoded in pieces or at once."""
    monkeypatch.setattr(file_rows, "_FEW_ROWS", few_rows)
    choice, item = random.Random(5), statistics[0]  # noqa: S311  # no secret
    known = {}
    for seed in range(12):
        taken = [
            (choice.choice(["train", "test", "validation"]), choice.choice([None, 0.25, 1.5, 4.0]))
            for _ in range(seed)
        ]
        splits = {
            split: max(seconds for name, seconds in taken if name == split and seconds)
            for split, seconds in taken
            if seconds
        }
        name = make_trial(seed).trial_id
        known[name] = sum(splits.values()) if splits else None
        rows = [
            measurement_of(1.0, split).model_copy(update={"wall_seconds": seconds})
            for split, seconds in taken
        ]
        found = measurement_table(name, item.statistic, item.statistic_id, rows)
        store.commit("measurements", (name, item.statistic_id), "a1", found)
    compact(store)
    recorded = read_state(store).statistics
    del known[make_trial(0).trial_id]  # of no rows, which are no record
    assert {key[0]: each.wall_seconds for key, each in recorded.items()} == known


def test_a_failure_keeps_what_a_person_is_told(store, make_trial):
    """Signature, log and host; of a message the first 300 characters."""
    name = make_trial(0).trial_id
    rows = failure(name, "f1").to_pylist()
    long = table("failures", [FailureRecord(**rows[0] | {"message": "x" * 1000})])
    store.commit("failures", (name, "f1"), "f1", long)
    (found,) = read_state(store).failures
    assert (found.signature, found.log_path, found.host) == ("sf1", "l", "h")
    assert found.message == "x" * 300


def test_an_empty_store_has_nothing(store, make_trial, statistics):
    """And everything is to train."""
    plan = PlanDocument(
        sweep="toy", revision="r", planned_at="", spec={}, seeds=[0], trials=[make_trial(0)],
        statistics=statistics,
    )  # fmt: skip
    state = StoreReader(store).look()
    assert state == StoreState()
    assert [item.state for item in lacking(plan, state)] == ["to_train"]


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ('{"model":{"name":"mlp","depth":2},"seed":1}', '{"depth": 2, "name": "mlp"}'),
        ('{"seed": 1, "model": {"name": "mlp", "depth": 2}}', '{"depth": 2, "name": "mlp"}'),
        ('{"model":"my_package.nets:build"}', '"my_package.nets:build"'),
        ('{"model":', ""),
        ("{}", ""),
        ("no JSON", ""),
    ],
)
def test_the_model_of_any_spec_is_known_or_empty(store, make_trial, trial_record, spec, model):
    """First, as trials are written, or elsewhere; a spec that tells nothing is of no known model."""
    planned = make_trial(0)
    record = table("trials", [trial_record(planned, spec=spec)])
    store.commit("trials", (planned.trial_id,), "a1", record)
    assert read_state(store).trials[planned.trial_id].model == model
