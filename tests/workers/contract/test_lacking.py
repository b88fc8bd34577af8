"""Resume is plan minus store."""

from __future__ import annotations

import pytest

from workers.contract.identity import statistic_id, trial_id
from workers.contract.lacking import Facts, is_trained, lacking
from workers.contract.plan_document import PlanDocument, PlannedStatistic, PlannedTrial
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec


@pytest.fixture
def statistics():
    """Two of the built-in ones."""
    return [
        PlannedStatistic(statistic_id=statistic_id(item), statistic=item)
        for item in (LossesSpec(), TracesSpec())
    ]


def plan_of(trials, statistics):
    return PlanDocument(
        sweep="toy",
        revision="r",
        planned_at="",
        spec={},
        seeds=[],
        trials=trials,
        statistics=statistics,
    )


def compare(make_trial, statistics, **state):
    spec = make_trial()
    trial = PlannedTrial(trial_id=trial_id(spec), trial=spec)
    names = {"t": trial.trial_id, "l": statistics[0].statistic_id, "s": statistics[1].statistic_id}
    found = Facts(**{key: build(names) for key, build in state.items()})
    return lacking(plan_of([trial], statistics), found)[0]


def test_nothing_done_means_train_and_measure_all(make_trial, statistics):
    """An empty store misses everything."""
    item = compare(make_trial, statistics)
    assert (item.state, item.is_trained, len(item.statistics)) == ("to_train", False, 2)


def test_a_trained_trial_is_only_measured(make_trial, statistics):
    """A new statistic never retrains while the model is kept."""
    item = compare(
        make_trial,
        statistics,
        outcomes=lambda n: {n["t"]: "converged"},
        with_model=lambda n: frozenset({n["t"]}),
        measured=lambda n: frozenset({(n["t"], n["l"])}),
    )
    assert (item.state, [s.statistic.name for s in item.statistics]) == ("to_measure", ["traces"])


def test_a_lost_model_is_trained_again_only_when_needed(make_trial, statistics):
    """Done stays done without its model; a missing statistic needs it back."""
    outcomes = {"outcomes": lambda n: {n["t"]: "converged"}}
    everything = lambda n: frozenset({(n["t"], n["l"]), (n["t"], n["s"])})  # noqa: E731
    assert compare(make_trial, statistics, **outcomes, measured=everything).state == "done"
    assert not compare(make_trial, statistics, **outcomes).is_trained


def test_a_diverged_trial_needs_no_model(make_trial, statistics):
    """Its statistics are skipped records."""
    item = compare(make_trial, statistics, outcomes=lambda n: {n["t"]: "diverged"})
    assert item.is_trained


def test_a_failure_counts_while_its_work_is_missing(make_trial, statistics):
    """Work given up that was made good later is no failure."""
    failed = {"given_up": lambda n: frozenset({(n["t"], None)})}
    assert compare(make_trial, statistics, **failed).state == "failed"
    good = compare(
        make_trial,
        statistics,
        **failed,
        outcomes=lambda n: {n["t"]: "converged"},
        with_model=lambda n: frozenset({n["t"]}),
    )
    assert good.state == "to_measure"


def test_what_an_earlier_numerics_version_measured_counts_until_it_is_asked_for_anew(
    make_trial, statistics
):
    """It is named; without accepted earlier identities it is to measure."""
    accepting = [
        item.model_copy(update={"earlier_ids": [f"earlier-{item.statistic.name}", "first"]})
        for item in statistics
    ]
    found = {
        "outcomes": lambda n: {n["t"]: "converged"},
        "with_model": lambda n: frozenset({n["t"]}),
        "measured": lambda n: frozenset({(n["t"], n["l"]), (n["t"], "first")}),
    }
    item = compare(make_trial, accepting, **found)
    assert (item.state, item.earlier) == ("done", ("traces",))
    anew = compare(make_trial, statistics, **found)
    assert ([each.statistic.name for each in anew.statistics], anew.earlier) == (["traces"], ())


@pytest.mark.parametrize(
    ("outcome", "has_model", "is_needed", "expected"),
    [
        (None, True, False, False),
        ("converged", False, False, True),
        ("converged", False, True, False),
        ("converged", True, True, True),
        ("budget_spent", False, True, False),
        ("diverged", False, True, True),
        ("nonfinite", False, True, True),
    ],
)
def test_a_trial_is_trained_again_only_for_a_lost_model_that_is_needed(
    outcome, has_model, is_needed, expected
):
    """Never where training ended at no minimum."""
    assert is_trained(outcome, has_model=has_model, is_needed=is_needed) is expected


def test_a_statistic_may_be_of_the_first_seeds_alone(make_trial, statistics):
    """In the order of the plan; a trial of another seed is done without it."""
    of_two = statistics[1].model_copy(update={"statistic": TracesSpec(seeds=2)})
    specs = [make_trial(seed=seed) for seed in (7, 3, 5)]
    trials = [PlannedTrial(trial_id=trial_id(spec), trial=spec) for spec in specs]
    plan = plan_of(trials, [statistics[0], of_two]).model_copy(update={"seeds": [7, 3, 5]})
    facts = Facts(
        outcomes={item.trial_id: "converged" for item in trials},
        with_model={item.trial_id for item in trials},
        measured={(item.trial_id, statistics[0].statistic_id) for item in trials},
    )
    assert [item.lacks for item in lacking(plan, facts)] == [("traces",), ("traces",), ()]
    assert [len(plan.statistics_of(seed)) for seed in plan.seeds] == [2, 2, 1]
