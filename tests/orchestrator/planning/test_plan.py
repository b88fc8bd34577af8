"""A plan gives every trial its identity, and lies in the store once for each change of what is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.planning.plan import (
    as_in_store,
    is_superseded,
    keep_published,
    make_plan,
    publish_plan,
)
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.identity import TRAINING_NUMERICS_VERSION, digest
from workers.contract.plans import newest_plan
from workers.contract.specs import TrialSpec
from workers.contract.store import Store
from workers.contract.sweep_spec import SweepSpec

FACTS = DatasetFacts(
    digest="d1", num_train=1437, num_test=360, num_outputs=10, is_classification=True,
    input_shape=(8, 8, 1),
)  # fmt: skip
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOY = {
    "name": "toy",
    "model": {"name": "mlp"},
    "dataset": {"name": "digits"},
    "loss": "kld",
    "grid": {"batch_size": [32, 64], "learning_rate": [0.1, 0.2]},
    "seeds": 3,
    "training": {"epochs": 1},
    "measure": ["losses"],
}


def plan_of(now=NOW, facts=FACTS, **changes):
    return make_plan(SweepSpec.model_validate(TOY | changes), facts, now)


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "store"))


def test_every_cell_and_seed_is_a_trial_of_its_own():
    """2 × 2 cells of 3 seeds are 12 identities."""
    plan = plan_of()
    keys = {(t.trial.batch_size, t.trial.learning_rate, t.trial.seed) for t in plan.trials}
    assert len(plan.trials) == len(keys) == len({t.trial_id for t in plan.trials}) == 12


def test_identities_do_not_depend_on_when_or_in_which_sweep():
    """Nor on resources, on the seeds beside, or on defaults written out."""
    first = [item.trial_id for item in plan_of().trials]
    training = {"epochs": 1, "momentum": 0.0, "convergence": {"patience_epochs": 5}}
    again = plan_of(
        now=NOW + timedelta(days=1), name="other", resources={"gpus": 1, "cpus": 4},
        measure=["traces"], training=training,
    )  # fmt: skip
    assert [item.trial_id for item in again.trials] == first
    more = plan_of(seeds=[2, 1, 0, 7])
    assert set(first) < {item.trial_id for item in more.trials}


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"epochs": 2}},
        {"loss": "squared_error"},
        {"model": {"name": "mlp", "hidden_units": [3]}},
        {"facts": FACTS.model_copy(update={"digest": "d2"})},
        {"seeds": [7, 8, 9]},
    ],
)
def test_what_decides_the_weights_is_in_the_identity(changes):
    """No trial is taken for another."""
    first = {item.trial_id for item in plan_of().trials}
    assert first.isdisjoint(item.trial_id for item in plan_of(**changes).trials)


def test_a_plugins_source_is_in_the_identity(tmp_path, monkeypatch):
    """Its text, not its name: another implementation is another trial."""
    monkeypatch.syspath_prepend(str(tmp_path))
    source = tmp_path / "plugin_of_a_plan.py"
    ids = []
    for text in ("A = 1\n", "A = 2\n", "A = 1\n"):
        source.write_text(text)
        plan = plan_of(loss="plugin_of_a_plan:A")
        assert set(plan.trials[0].trial.plugin_digests) == {"plugin_of_a_plan:A"}
        ids.append(plan.trials[0].trial_id)
    assert ids[0] == ids[2] != ids[1]


def test_the_same_again_publishes_nothing(store):
    """The newest revision stands, and is what the plan becomes."""
    first = publish_plan(store, plan_of())
    again = plan_of(now=NOW + timedelta(hours=1))
    assert as_in_store(store, again) == first
    assert publish_plan(store, again) == first
    assert len(store.names("sweeps/toy")) == len(store.names("sweep_trials")) == 1
    assert newest_plan(store, "toy") == first


def test_there_and_back_are_three_revisions(store):
    """A → B → A within a second: three revisions in order, the last one current."""
    plans = [
        publish_plan(store, plan_of(now=NOW + timedelta(microseconds=number), seeds=seeds))
        for number, seeds in enumerate((3, 2, 3))
    ]
    revisions = [plan.revision for plan in plans]
    assert len(set(revisions)) == 3
    assert sorted(revisions) == revisions
    assert newest_plan(store, "toy") == plans[2]
    assert plans[2].trials == plans[0].trials


def test_a_published_plan_is_not_put_over_a_newer_one(store):
    """Nor written again while it stands, though its own revision is damaged."""
    first = publish_plan(store, plan_of())
    assert keep_published(store, first) == first
    newer = publish_plan(store, plan_of(now=NOW + timedelta(seconds=1), seeds=1))
    assert keep_published(store, first) == first
    store.write_bytes(Store.plan_path("toy", first.revision), b"{")
    assert keep_published(store, first) == first
    assert newest_plan(store, "toy") == newer
    assert [is_superseded(store, plan) for plan in (first, newer)] == [True, False]


@pytest.mark.filterwarnings("ignore:ignored a damaged file")
@pytest.mark.parametrize("damage", [b"{", None])
def test_a_published_plan_that_is_lost_is_published_anew(store, damage):
    """Where none before it, or an older one, would take its place."""
    older = publish_plan(store, plan_of(seeds=1))
    plan = publish_plan(store, plan_of(now=NOW + timedelta(seconds=1)))
    path = Store.plan_path("toy", plan.revision)
    if damage is None:
        store.remove(path)
    else:
        store.write_bytes(path, damage)
    assert newest_plan(store, "toy") == older
    again = keep_published(store, plan)
    assert newest_plan(store, "toy") == again
    assert (again.trials, again.revision >= plan.revision) == (plan.trials, True)


def test_changed_data_are_another_revision(store):
    """Though the sweep's text is the same."""
    publish_plan(store, plan_of())
    changed = plan_of(facts=FACTS.model_copy(update={"digest": "d2"}))
    assert as_in_store(store, changed) is changed
    publish_plan(store, changed)
    assert len(store.names("sweeps/toy")) == 2


def test_sweep_trials_hold_a_row_a_trial(store):
    """Of each revision; a trial of two revisions stands in both."""
    first = publish_plan(store, plan_of())
    second = publish_plan(store, plan_of(now=NOW + timedelta(seconds=1), seeds=1))
    rows = store.read("sweep_trials").to_pylist()
    assert len(rows) == 12 + 4
    planned = second.trials[0]
    row = {
        "sweep": "toy", "trial_id": planned.trial_id, "batch_size": planned.trial.batch_size,
        "learning_rate": planned.trial.learning_rate, "seed": 0,
    }  # fmt: skip
    assert [r["revision"] for r in rows if r | {"revision": ""} == row | {"revision": ""}] == [
        first.revision,
        second.revision,
    ]


def test_a_sweep_never_run_has_no_plan(store):
    """And a plan that was only half written is passed over."""
    assert newest_plan(store, "toy") is None
    kept = publish_plan(store, plan_of())
    store.write_bytes("sweeps/toy/99990101T000000-0.json", b'{"sweep": ')
    with pytest.warns(
        UserWarning, match=r"damaged .*, sweeps/toy/99990101T000000-0\.json: it is not"
    ):
        assert newest_plan(store, "toy") == kept


@pytest.mark.parametrize("damage", [b"", b"{", b'{"sweep": "toy"', b"\xff\xfe", b"[]", b"null"])
def test_a_damaged_plan_is_passed_over(store, damage):
    """Truncated, no text, or another document: the one before counts, and the next sorts after it."""
    kept = publish_plan(store, plan_of())
    broken = publish_plan(store, plan_of(now=NOW + timedelta(seconds=1), seeds=1))
    store.write_bytes(Store.plan_path("toy", broken.revision), damage)
    with pytest.warns(
        UserWarning, match=f"ignored a damaged file .*{broken.revision}.json: it is n"
    ):
        assert newest_plan(store, "toy") == kept
    with pytest.warns(UserWarning, match="ignored a damaged file"):
        third = publish_plan(store, plan_of(now=NOW, seeds=2))
    assert third.revision > broken.revision
    assert newest_plan(store, "toy") == third


def test_a_revision_sorts_after_those_there_whatever_the_clock(store):
    """A machine an hour behind publishes what becomes current, many times over."""
    first = publish_plan(store, plan_of())
    plans = [first]
    for number, seeds in enumerate((2, 1, 2, 3)):
        late = plan_of(now=NOW - timedelta(hours=1 + number), seeds=seeds)
        plans.append(publish_plan(store, late))
        assert newest_plan(store, "toy") == plans[-1]
        assert publish_plan(store, late) == plans[-1]
    revisions = [plan.revision for plan in plans]
    assert sorted(set(revisions)) == revisions
    rows = store.read("sweep_trials").column("revision").unique().to_pylist()
    assert sorted(rows) == revisions
    assert plans[-1].planned_at == late.planned_at
    ahead = publish_plan(store, plan_of(now=NOW + timedelta(days=1), seeds=5))
    assert ahead.revision.startswith("20260103T")


@pytest.mark.parametrize(
    "name",
    [
        "99991231T235959999999-0a0b0c0d",  # the last microsecond there is
        "99990101T000000-0",  # of another length
        "99999999T999999999999-0",  # no time
        "zebra",
        "zebra_0.json",
    ],
)
@pytest.mark.filterwarnings("ignore:ignored a damaged file")
def test_a_revision_sorts_after_any_name(store, name):
    """Also after one that is no time or has no later one; again and again."""
    store.write_bytes(f"sweeps/toy/{name}.json", b"{")
    before = name
    for seeds in (1, 2, 3):
        plan = publish_plan(store, plan_of(seeds=seeds))
        assert f"{plan.revision}.json" > f"{before}.json"
        assert plan.revision > before  # readers sort with and without the ending
        assert newest_plan(store, "toy") == plan
        before = plan.revision


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dataset": {"name": "cifar10"}, "model": {"name": "resnet", "depth": 8}},
        {"dataset": {"name": "synthetic", "task": "linear"}, "loss": "squared_error"},
        {"loss": "plugin_of_ids:A", "training": {"epochs": 2, "momentum": 0.5}},
    ],
)
def test_identities_are_the_digest_of_each_whole_trial(changes, tmp_path, monkeypatch):
    """Though what trials have in common is dumped once for all of them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "plugin_of_ids.py").write_text("A = 1\n")
    for planned in plan_of(**changes).trials:
        trial = TrialSpec.model_validate(planned.trial.model_dump())
        named = {"model": trial.model.name, "dataset": trial.dataset.name}
        whole = {"numerics": TRAINING_NUMERICS_VERSION, "named": named}
        assert planned.trial_id == digest(whole | {"trial": trial.non_default()})


def test_a_plan_as_earlier_versions_wrote_it_is_recognised(store):
    """Every trial with its whole spec: it stands for the plan, and nothing is written."""
    plan = plan_of()
    whole = [item.model_dump(mode="json") for item in plan.trials]
    path = Store.plan_path("toy", plan.revision)
    store.write_json(path, plan.model_dump(mode="json") | {"trials": whole})
    before = store.read_bytes(path)
    again = publish_plan(store, plan_of(now=NOW + timedelta(hours=1)))
    assert again == newest_plan(store, "toy") == plan
    assert store.names("sweeps/toy") == [path]
    assert store.read_bytes(path) == before


def test_a_published_plan_takes_few_bytes_a_trial(store):
    """An identity and three numbers, each on its line: below 100 bytes, where whole specs took 800."""
    plan = publish_plan(store, plan_of(seeds=250))
    content = store.read_bytes(Store.plan_path("toy", plan.revision))
    assert len(content) < 100 * len(plan.trials) == 100_000


def test_a_plan_that_lacks_later_kinds_of_resources_asks_for_the_same(store):
    """It was written before they were there, and is not written again."""
    plan = plan_of(resources={"gpus": 1, "cpus": 2})
    earlier = plan.model_copy(update={"spec": plan.spec | {"resources": {"gpus": 1.0, "cpus": 2}}})
    written = publish_plan(store, earlier)
    assert as_in_store(store, plan) == written
    asking = plan_of(resources={"gpus": 1, "cpus": 2, "memory": "4GiB"})
    assert as_in_store(store, asking) is asking
