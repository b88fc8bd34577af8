from __future__ import annotations

import pytest

from analysis.evidence.assumptions import EQUILIBRATION
from analysis.findings.league import league
from analysis.findings.table1 import build_table1
from analysis.laws.reasons import INDEPENDENT
from analysis.records.load import load_sweep
from analysis.report.answer import answer, chief_standings
from analysis.report.report import report_page
from analysis.tables.report_tables import run_facts
from workers.contract.identity import statistic_id, trial_id
from workers.contract.records import measurement_table
from workers.contract.statistics import PluginStatisticSpec
from workers.statistics.traces import TracesSpec

_SMALL = [
    "not so in 3 of 3 seeds: steps are small: ηλ₁/(2(1+μ)) is below 0.1, here 0.447",
    "0.0 % of tr σ² is not equilibrated after 256 steps",
]
_EQUAL = "not so in 2 of 3 seeds: σ² = H: tr σ² / tr H is 1 ± 0.1, here 0.05"


@pytest.fixture
def answer_to(prediction, predictions_table, store, synthetic_sweep):
    """FirstScreen from rows of view `predictions` about a small sweep."""

    def make(rows):
        data = load_sweep(synthetic_sweep().fill().store, "toy")
        standings = league(predictions_table(rows).to_pandas())
        return answer(data, build_table1(data), standings)

    return make


def test_each_law_has_one_sentence_with_its_number_and_one_verdict(answer_to, prediction):
    """A law that fails in the one cell that meets its assumptions fails, though all cells leave it open."""
    found = answer_to(
        [
            prediction(0.27, half=0.1),
            prediction(1.0, half=0.3, batch_size=200, valid=False),
            prediction(1.02, half=0.01, prediction="finite_time"),
            prediction(2.0, prediction="jastrzebski_9", valid=False, reasons=_SMALL),
            prediction(40.0, prediction="wang_4_46", target="expected_gradient_norm_squared"),
        ]
    )
    by_name = {item.name: item for item in found.findings}
    assert len(by_name) == len(found.findings) == 4
    wang = by_name["wang_4_45"]
    assert (
        wang.text == "Wang 2019, Eq 4.45 predicts 3.7 times what is measured: 0.270 [0.244, 0.298]"
    )
    assert (wang.verdict, by_name["finite_time"].verdict) == ("fails", "holds")
    assert "1 of 2 cells, where its assumptions are met" in wang.support
    assert "2 % less than what is measured" in by_name["finite_time"].text
    assert "predicts 1/2 of what is measured: 2.00" in by_name["jastrzebski_9"].text
    assert by_name["jastrzebski_9"].support.startswith("1 cell, ")
    assert by_name["jastrzebski_9"].limit == "no cell meets its assumption that steps are small"
    assert not wang.limit
    assert "predicts 1/40 of the E‖∇L‖² measured" in by_name["wang_4_46"].text
    assert [mark.label for mark in found.forest.marks][:2] == [
        "Finite time, from one point", "Wang 2019, Eq 4.45"
    ]  # fmt: skip
    assert found.asides[0].startswith("Not measured: Liu 2021, Theorem 1; ")
    assert found.summary == (
        "Finite time, from one point holds; 2 fail, 1 fails where its assumptions are not met."
    )


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (1.00001, "predicts just what"), (1.006, "predicts 0.6 % less than"), (0.79, "predicts 27 % more than"),
        (1.03, "predicts 2.9 % less than"), (0.5, "predicts 2 times what"), (1.6, "predicts 1/1.6 of what"),
    ],
)  # fmt: skip
def test_a_miss_is_said_with_two_digits(answer_to, prediction, ratio, said):
    """Of the prediction over what is measured, where the number beside it is the reverse."""
    (found,) = answer_to([prediction(ratio, half=0.01)]).findings
    assert said in found.text


def test_the_noise_that_is_not_forgotten_is_said_in_plain_words(answer_to, prediction):
    """Of a state that is not stationary."""
    broken = f"not so in 1 of 1 seeds: {EQUILIBRATION.meaning}, here 0.4"
    (found,) = answer_to([prediction(3.0, valid=False, reasons=[broken])]).findings
    assert found.limit == "no cell meets its assumption that SGD has become stationary"


def test_the_answer_begins_with_what_became_of_all_laws(answer_to, prediction):
    """None holds, one does, two do, three do: at most two are named; one outside its assumptions only agrees."""
    names = ["finite_time", "finite_learning_rate", "shuffled"]
    others = [
        prediction(0.27, half=0.1),
        prediction(1.0, half=0.9, prediction="state_dependent"),
    ]
    holding = [prediction(1.0, half=0.01, prediction=name) for name in names]
    told = [answer_to([*others, *holding[:count]]).summary for count in range(4)]
    assert told[0] == "No law is shown to hold: 1 fails, 1 is undecided."
    assert told[1] == "Finite time, from one point holds; 1 fails, 1 is undecided."
    assert told[2].endswith(" hold; 1 fails, 1 is undecided.")
    assert {"Finite time, from one point", "Liu 2021, Theorem 1"} == set(
        told[2].partition(" hold; ")[0].split(" and ")
    )
    assert told[3] == "3 of 5 laws hold; 1 fails, 1 is undecided."
    agreeing = prediction(1.0, half=0.01, prediction="shuffled", valid=False, reasons=_SMALL)
    assert answer_to([agreeing]).summary == (
        "No law is shown to hold: 1 agrees where its assumptions are not met."
    )


def test_the_question_names_what_else_laws_predict(answer_to, prediction):
    """A law of the squared gradient norm is no law of the excess loss."""
    loss = prediction(1.0)
    norm = prediction(1.0, prediction="wang_4_46", target="expected_gradient_norm_squared")
    assert answer_to([loss]).question == "Which law predicts the excess loss of SGD?"
    assert answer_to([loss, norm]).question == (
        "Which law predicts the excess loss of SGD, and which its E‖∇L‖²?"
    )


def test_a_law_that_holds_outside_its_assumptions_is_an_agreement(answer_to, prediction):
    """Named are the assumptions that no cell meets; where cells differ in them, that none meets all."""
    shared = {"half": 0.01, "valid": False}
    found = answer_to(
        [
            prediction(1.0, prediction="shuffled", reasons=[INDEPENDENT], sampler="shuffle", **shared),
            prediction(1.0, reasons=[*_SMALL, _EQUAL], **shared),
            prediction(1.0, reasons=[_EQUAL, *_SMALL], batch_size=200, **shared),
            prediction(9.0, prediction="jastrzebski_9", reasons=[*_SMALL], **shared),
            prediction(9.0, prediction="jastrzebski_9", reasons=[_EQUAL], batch_size=200, **shared),
        ]
    )  # fmt: skip
    limits = {item.name: (item.verdict, item.limit) for item in found.findings}
    agreement = "an agreement, not a confirmation: no cell meets its"
    assert limits == {
        "shuffled": ("agrees", f"{agreement} assumption that batches are shuffled"),
        "wang_4_45": ("agrees", f"{agreement} assumptions that steps are small and σ² = H"),
        "jastrzebski_9": ("fails", "no cell meets its assumptions together"),
    }


def test_a_law_measured_in_several_ways_is_judged_by_its_own(prediction, predictions_table):
    """By forks with the sampler it is for, not by the standing that flatters it."""
    rows = [
        prediction(1.0, half=0.01, sampler="shuffle"),
        prediction(3.0, half=0.01),
        prediction(1.0, half=0.01, measured_by="tail", num_steps=None),
    ]
    (found,) = chief_standings(league(predictions_table(rows).to_pandas()))
    assert (found.measured_by, found.sampler, found.verdict) == ("fork", "replacement", "fails")


def test_the_answer_and_the_league_agree(store, report_of, forked_sweep):
    """Every verdict of the first screen is that of the law's row in the league."""
    pairs = [(50, 0.1), (100, 0.1), (200, 0.2)]
    forked_sweep(pairs=pairs, power=1.5, strength=0.01, scatter=0.03).fill()
    report = report_of(store, "toy")
    page = report_page(report)
    (first_screen,) = page.answers.values()
    (section,) = [item for item in page.sections if item.title == "Which law holds"]
    tables = [part.content for part in section.parts if hasattr(part, "content")]
    (rows,) = [table.rows for table in tables if "league" in table.title]
    in_league = {row[0]: row[-2] for row in rows}
    said = {item.name: item.verdict for item in first_screen.findings}
    assert said == {name: in_league[name] for name in said}
    assert said["finite_time"] == "holds"
    assert first_screen.is_complete


def test_traces_alone_say_by_what_factor_two_laws_differ(answer_to):
    """(η/4m)·tr H over (η/4m)·tr σ² is tr H/tr σ²; the statistic and the command that decide it are named."""
    found = answer_to([])
    texts = [item.text for item in found.findings]
    assert found.findings[0].verdict == "not measured"
    # means over seeds 0, 1, 2: tr σ² 101 and 401, tr H 51.5 and 27.5
    ratio = ((101 / 51.5) * (401 / 27.5)) ** 0.5
    assert texts[1].startswith(
        f"Jastrzębski 2018, Eq 9 predicts 1/{ratio:.2g} of what Wang 2019, Eq 4.45 predicts: "
    )
    assert texts[2].startswith(f"tr σ²/tr H is {ratio:.3g} [")
    assert found.findings[2].support == "2 cells, 3 seeds each"
    assert "minima run toy --set 'measure=[losses, traces, fork]'" in found.asides[0]
    assert [mark.label for mark in found.forest.marks] == [
        "all cells", "BS 100, LR 0.1", "BS 200, LR 0.2"
    ]  # fmt: skip


def test_by_what_factor_laws_differ_is_said_of_the_objective_with_l2(store, synthetic_sweep):
    """Laws speak of the total objective: the L2 term adds 7 to tr H here; the traces' ratio stays that of Table 1."""
    data = load_sweep(synthetic_sweep(weight_decay=5e-4).fill().store, "toy")
    found = answer(data, build_table1(data), [])
    _, laws_differ, traces_differ = (item.text for item in found.findings)
    of_laws = ((101 / 58.5) * (401 / 34.5)) ** 0.5
    of_traces = ((101 / 51.5) * (401 / 27.5)) ** 0.5
    assert f" predicts 1/{of_laws:.2g} of what " in laws_differ
    assert traces_differ.startswith(f"tr σ²/tr H is {of_traces:.3g} [")
    assert found.forest.title.startswith("tr σ²/tr H with its L2 term, ")
    assert found.forest.marks[0].value == pytest.approx(of_laws)


def test_the_command_that_decides_keeps_what_is_planned(store, synthetic_sweep):
    """With its settings and seeds; of one seed."""
    sweep = synthetic_sweep(pairs=[(100, 0.2)], seeds=[0, 1])
    sweep.statistics = [TracesSpec(seeds=1, columns=2), PluginStatisticSpec(name="json:dumps")]
    sweep.plan()
    first = sweep.trials()[0]
    for trial in sweep.trials():
        sweep.train(trial)
    sweep.statistics = sweep.statistics[:1]
    sweep.measure(first)
    data = load_sweep(store, "toy")
    found = answer(data, build_table1(data), [])
    told = "--set 'measure=[{name: traces, seeds: 1, columns: 2}, \"json:dumps\", fork]'"
    assert told in found.asides[0]
    assert found.findings[-1].support == "1 cell, 1 seed each"
    asked = next(text for text in run_facts(data, "s") if text.startswith("Statistics"))
    assert asked == "Statistics: traces (asked for the first seed), json:dumps."


def test_forks_without_traces_ask_for_traces(store, forked_sweep):
    """The excess loss is there; no law says anything of it."""
    sweep = forked_sweep(pairs=[(50, 0.1)], seeds=[0])
    sweep.statistics = [sweep.fork]
    sweep.plan()
    (trial,) = sweep.trials()
    sweep.train(trial)
    key = (trial_id(trial), statistic_id(sweep.fork))
    rows = measurement_table(key[0], sweep.fork, key[1], sweep._fork_rows(trial))
    store.commit("measurements", key, "measuring", rows)
    data = load_sweep(store, "toy")
    found = answer(data, build_table1(data), [])
    [question] = [item.text for item in found.findings]
    assert question == "Which law holds, as tr σ² and tr H are not measured"
    assert found.asides == [
        "The statistic traces measures tr σ² and tr H. minima run toy --set "
        "'measure=[{name: fork, num_steps: 256, num_windows: 4}, traces]'"
    ]


def test_what_no_run_would_decide_has_no_command(store, forked_sweep):
    """Both sides are measured, and no seed has a sound number on both: the same command again does nothing."""
    forked_sweep(pairs=[(50, 0.1)], seeds=[0]).fill()
    data = load_sweep(store, "toy")
    found = answer(data, build_table1(data), [])
    assert found.findings[0].text == (
        "Which law holds, as no seed has a sound number on both sides of one"
    )
    assert found.asides == []


def test_the_cost_tells_training_and_measuring_apart(store, synthetic_sweep):
    """Six trials of 12 s, and the seconds of each piece of measuring once, not once a row."""
    data = load_sweep(synthetic_sweep().fill().store, "toy")
    pieces = data.measurements.drop_duplicates(["trial_id", "statistic_id", "split"])
    measuring = pieces["wall_seconds"].sum() / 3600
    found = answer(data, build_table1(data), [])
    training = 6 * 12.0 / 3600
    assert found.cost == (
        f"{training + measuring:.3g} core-hours ({training:.3g} of training, {measuring:.3g} of measuring)."
    )


def test_a_plan_alone_names_what_to_run(store, synthetic_sweep):
    """Nothing is plotted."""
    synthetic_sweep().plan()
    data = load_sweep(store, "toy")
    found = answer(data, build_table1(data), [])
    assert [item.text for item in found.findings] == ["Nothing is measured yet"]
    assert found.asides == [
        "The statistic traces measures tr σ² and tr H. The statistic fork measures the excess loss. "
        "minima run toy --set 'measure=[losses, traces, fork]'"
    ]
    assert found.forest is None
    assert not found.is_complete
    assert found.completeness.endswith(" missing. Go on: minima run toy")
