"""What a run tells at its end: averaged once, told again while it is true, and never once it is not."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter

import analysis.aggregation.aggregate as aggregation
from analysis.aggregation import conclusion
from analysis.findings.table1 import Table1
from analysis.records.load import load_records
from orchestrator.commands import store_commands, sweep_commands
from orchestrator.machine.console import Output
from orchestrator.planning.plan import publish_plan
from orchestrator.planning.prepare import Options, prepare
from orchestrator.planning.store_state import StoreReader, standing_records
from orchestrator.running.foreground import TrialChoice
from workers.contract.commits import DERIVED_VIEWS
from workers.contract.compaction import compact
from workers.contract.parquet_file import encode
from workers.contract.plan_document import PlanDocument
from workers.contract.plans import newest_plan
from workers.contract.records import (
    FailureRecord,
    Measurement,
    SpectrumNode,
    measurement_table,
    spectrum_table,
    table,
)
from workers.contract.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def measured(planned, item, value):
    """Return the rows of both traces of a trial."""
    rows = [
        Measurement(
            quantity=quantity, value=value * scale, stderr=0.0, num_samples=1, method="m",
            bn_mode="frozen", split="train", objective="data", wall_seconds=1.0,
        )
        for quantity, scale in (("gradient_noise_trace", 1.0), ("hessian_trace", 7.0))
    ]  # fmt: skip
    return measurement_table(planned.trial_id, item.statistic, item.statistic_id, rows)


class Sweep:
    """Two cells of two seeds, of which all but the last trial is done, and what happens to their store."""

    def __init__(self, store: Store, make_trial, statistics, finish_trial) -> None:
        self.store, self.statistics = store, statistics
        self._make_trial, self._finish_trial = make_trial, finish_trial
        self.trials = [make_trial(seed, size) for size in (32, 64) for seed in range(2)]
        self.plan = publish_plan(store, self.planned("r1"))
        for number, planned in enumerate(self.trials[:3]):
            self.finish(planned, number + 1.5)

    def planned(self, revision: str, num_statistics: int = 2) -> PlanDocument:
        return PlanDocument(
            sweep="toy", revision=revision, planned_at="", spec={}, seeds=[0, 1],
            trials=self.trials, statistics=self.statistics[:num_statistics],
        )  # fmt: skip

    def finish(self, planned, value: float, attempt_id: str = "a1") -> None:
        self._finish_trial(self.store, planned, [], attempt_id=attempt_id)
        for item in self.statistics:
            self.measure(planned, item, value, attempt_id)

    def measure(self, planned, item, value: float, attempt_id: str = "a1") -> None:
        key = (planned.trial_id, item.statistic_id)
        self.store.commit("measurements", key, attempt_id, measured(planned, item, value))

    # What changes what is to be told ----------------------------------------------------------

    def new_trial(self) -> None:
        self.finish(self.trials[3], 9.0)

    def new_statistic(self) -> None:
        """A trial trained, measured later for one statistic."""
        self._finish_trial(self.store, self.trials[3], [])
        sweep_commands.conclude(self.store, self.plan, Output(), 0)
        self.measure(self.trials[3], self.statistics[1], 9.0)

    def new_spectrum(self) -> None:
        item = self.statistics[1]
        node = SpectrumNode(kind="noise", draw=0, node=1.0, weight=2.0)
        rows = spectrum_table(self.trials[0].trial_id, item.statistic_id, [node])
        self.store.commit("spectra", (self.trials[0].trial_id, item.statistic_id), "a1", rows)

    def new_failure(self) -> None:
        row = FailureRecord(
            trial_id=self.trials[3].trial_id, statistic_id=None, attempt_id="f1", host="h",
            failure_class="bug", signature="s", message="m", log_path="l", failed_at=NOW,
        )  # fmt: skip
        key = (self.trials[3].trial_id, "f1")
        self.store.commit("failures", key, "f1", table("failures", [row]))

    def new_plan(self) -> None:
        self.plan = publish_plan(self.store, self.planned("r2", num_statistics=1))

    def damage(self) -> None:
        path = self.store.names("measurements")[0]
        content = self.store.read_bytes(path)
        self._whole = path, content
        self.store.write_bytes(path, content[:-9])

    def damage_unseen(self) -> None:
        """Damage a file, its size and time as before."""
        (path, *_) = self.store.names("trials")
        place = self.store.local_path(path)
        times = place.stat()
        content = place.read_bytes()
        place.write_bytes(bytes([*content[:50], content[50] ^ 1, *content[51:]]))
        os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))

    def mend(self) -> None:
        """Put back a file that was damaged when all was averaged."""
        self.damage()
        sweep_commands.conclude(self.store, self.plan, Output(), 0)
        self.store.write_bytes(*self._whole)

    def prune(self) -> None:
        self.store.remove(self.store.names("measurements")[0])

    def prune_a_model(self) -> None:
        """Whose trial lacks a statistic, so that it is to be trained again."""
        self.prune()
        sweep_commands.conclude(self.store, self.plan, Output(), 0)
        for path in self.store.names("models"):
            self.store.remove(path)

    def merge(self) -> None:
        """Put in the files of a store that measured the same earlier, which therefore count."""
        rows = measured(self.trials[0], self.statistics[0], 5.0)
        key = (self.trials[0].trial_id, self.statistics[0].statistic_id)
        earlier = "2020-01-01T00:00:00+00:00"
        content = encode("measurements", rows, committed_at=earlier, attempt_id="a0")
        self.store.write_bytes(Store.rows_path("measurements", key, "a0"), content)

    # What is kept, spoilt ---------------------------------------------------------------------

    def lose_a_view(self) -> None:
        self.store.remove(self.store.derived_path("cells", "toy"))

    def damage_a_view(self) -> None:
        path = self.store.derived_path("predictions", "toy")
        self.store.write_bytes(path, self.store.read_bytes(path)[:-9])

    def replace_a_view(self) -> None:
        """As an older version does, which marks nothing."""
        rows = self.store.read("cell_measurements")
        self.store.replace_derived("cell_measurements", "toy", rows.slice(1))

    def lose_what_is_kept(self) -> None:
        """A store of an earlier version has none."""
        self.store.remove(Store.conclusion_path("toy"))

    def damage_what_is_kept(self) -> None:
        path = Store.conclusion_path("toy")
        self.store.write_bytes(path, self.store.read_bytes(path)[:-9])

    # What changes nothing ---------------------------------------------------------------------

    def nothing(self) -> None:
        pass

    def compact(self) -> None:
        compact(self.store, now=NOW + timedelta(days=1))

    def other_trial(self) -> None:
        self.finish(self._make_trial(0, 128), 3.0)

    def repeat(self) -> None:
        """A second attempt at what is done; the first counts."""
        self.finish(self.trials[0], 100.0, attempt_id="a2")


ANEW = (
    "new_trial", "new_statistic", "new_spectrum", "new_failure", "new_plan", "damage", "damage_unseen",
    "mend", "prune", "prune_a_model", "merge", "lose_a_view", "damage_a_view", "replace_a_view",
    "lose_what_is_kept", "damage_what_is_kept",
)  # fmt: skip
AGAIN = ("nothing", "compact", "other_trial", "repeat")


@pytest.fixture
def sweep(tmp_path, make_trial, statistics, finish_trial):
    """Make the sweep in a store of its own."""
    store = Store.open(str(tmp_path / "store"))
    return Sweep(store, make_trial, statistics, finish_trial)


@pytest.fixture
def averaged(monkeypatch):
    """Whose records were averaged, each time that any were."""
    found = []
    former = aggregation.aggregate_records
    monkeypatch.setattr(
        aggregation, "aggregate_records", lambda data: found.append(data) or former(data)
    )
    return found


@pytest.fixture
def told(capsys):
    """End a run: what it prints."""

    def call(sweep: Sweep) -> str:
        capsys.readouterr()
        sweep_commands.conclude(sweep.store, sweep.plan, Output(), 0)
        return capsys.readouterr().out

    return call


def views_of(store: Store) -> dict[str, list[dict[str, object]]]:
    """Read all derived rows."""
    return {view: store.read(view).to_pylist() for view in DERIVED_VIEWS}


@pytest.mark.filterwarnings("ignore:ignored .* damaged file")
@pytest.mark.parametrize("event", [*ANEW, *AGAIN])
def test_what_is_told_is_what_averaging_anew_tells(sweep, averaged, told, event):
    """Averaged anew where it may be another, in whatever way; told again where it is the same."""
    told(sweep)
    getattr(sweep, event)()
    averaged.clear()
    found, views = told(sweep), views_of(sweep.store)
    assert len(averaged) == (event in ANEW)
    assert told(sweep) == found
    assert len(averaged) == (event in ANEW)
    sweep.store.remove(Store.conclusion_path("toy"))
    assert told(sweep) == found
    assert len(averaged) == (event in ANEW) + 1
    assert views_of(sweep.store) == views


@pytest.mark.parametrize("event", ["new_trial", "new_statistic", "merge"])
def test_what_is_new_is_told(sweep, told, event):
    """These events change numbers of Table 1, so that what is old would be seen."""
    first = told(sweep)
    getattr(sweep, event)()
    assert told(sweep) != first


def test_other_code_averages_anew(sweep, averaged, told, monkeypatch):
    """Another version of this package, whatever differs in it."""
    first = told(sweep)
    monkeypatch.setattr(conclusion, "averaging_code", lambda: "other code")
    assert told(sweep) == first
    assert len(averaged) == 2


def test_aggregating_by_itself_always_averages(sweep, averaged, told):
    """Who asks for it by name gets it; a run after it has nothing to average."""
    store_commands.aggregate("toy", sweep.store.uri, Output())
    store_commands.aggregate("toy", sweep.store.uri, Output())
    assert len(averaged) == 2
    told(sweep)
    assert len(averaged) == 2


def test_a_plan_that_a_newer_one_follows_is_told_and_not_kept(sweep, capsys):
    """The derived views are those of the sweep's current plan; what a run tells is of its own."""
    first = sweep.plan
    sweep.new_plan()
    sweep_commands.conclude(sweep.store, sweep.plan, Output(), 0)
    views, kept = views_of(sweep.store), sweep.store.read_bytes(Store.conclusion_path("toy"))
    sweep.new_trial()
    capsys.readouterr()
    sweep_commands.conclude(sweep.store, first, Output(is_json=True), 0)
    said = capsys.readouterr()
    assert json.loads(said.out)["cells"][1]["done"] == 2
    assert " ".join(said.err.split()) == (
        "toy was planned anew meanwhile: what follows is of this run's plan; the newer one stays the "
        "sweep's, and `minima aggregate` averages by it"
    )
    assert views_of(sweep.store) == views
    assert sweep.store.read_bytes(Store.conclusion_path("toy")) == kept


@pytest.mark.parametrize("is_trial", [False, True])
def test_a_run_that_ends_leaves_a_newer_plan_in_its_place(toy_sweep, monkeypatch, is_trial):
    """Though it began, and published its own, before."""
    toy_sweep(seeds=2)
    prepared, older = (
        prepare("toy.yaml", Options("store", overrides=o)) for o in ((), ("seeds=1",))
    )
    newer = []

    def plan_meanwhile(*_):
        plan = publish_plan(older.store, older.plan)
        newer.append(publish_plan(prepared.store, prepared.plan))
        result = SimpleNamespace(exit_code=3, plan=plan, cluster_lost="", status="drained")
        return SimpleNamespace(result=result, plan=plan) if is_trial else result

    monkeypatch.setattr(sweep_commands, "prepare", lambda *_: older)
    monkeypatch.setattr(sweep_commands, "run_missing", plan_meanwhile)
    monkeypatch.setattr(sweep_commands, "run_here", plan_meanwhile)
    monkeypatch.setattr(sweep_commands, "refuse_network", lambda *_: None)
    if is_trial:
        sweep_commands.trial("toy", TrialChoice(index=0), Options("store"), Output())
    else:
        sweep_commands.run("toy", Options("store"), Output())
    assert newest_plan(older.store, "toy") == newer[0]


def test_what_is_no_number_is_kept(sweep, told):
    """A cell with one seed has an error that is not known: NaN, which JSON proper has not."""
    told(sweep)
    assert b"NaN" in sweep.store.read_bytes(Store.conclusion_path("toy"))
    data = load_records(sweep.store, sweep.plan)
    kept = conclusion.kept_conclusion(sweep.store, sweep.plan, data.records)
    assert kept is not None
    in_text = TypeAdapter(Table1).dump_json
    assert in_text(kept.table) == in_text(aggregation.build_table1(data))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore:ignored .* damaged file")
def test_both_routes_make_the_same_digest(sweep, seed):
    """A reader that looks again and again, and the records as they are loaded to be averaged."""
    choice = random.Random(seed)  # noqa: S311  # no secret
    records = StoreReader(sweep.store)
    events = ["new_spectrum", "new_failure", "new_trial", "repeat", "merge", "compact", "prune"]
    seen = set()
    for event in choice.sample(events, len(events)):
        getattr(sweep, event)()
        found = load_records(sweep.store, sweep.plan).records
        assert standing_records(sweep.store, records, sweep.plan) == found
        assert standing_records(sweep.store, StoreReader(sweep.store), sweep.plan) == found
        seen.add(found)
    assert len(seen) > 2  # some change nothing, as a merge once all is compacted


def test_a_trial_of_two_sets_of_weights_is_told(sweep, trial_record, capsys):
    """When averages are made anew: its measurements may be of either."""
    planned = sweep.trials[0]
    record = trial_record(planned, "a2", weights_sha256="of other weights")
    sweep.store.commit("trials", (planned.trial_id,), "a2", table("trials", [record]))
    assert store_commands.aggregate(None, sweep.store.uri, Output()) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert (
        f"trial {planned.trial_id} was trained to different weights: the record of attempt a1 counts"
        in said
    )
