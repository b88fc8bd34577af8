from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from analysis.findings.table1 import table1
from analysis.tables.table1_files import to_csv, to_latex
from analysis.tables.table1_text import render_text, text_tables
from workers.statistics.hessian import HessianSpec
from workers.statistics.spectrum import SpectrumSpec


def test_the_text_shows_both_conventions_beside_the_paper(paper_table):
    """Per example and × N, with the printed numbers in the columns called paper."""
    text = render_text(paper_table)
    assert "traces per example (mean loss)" in text
    assert re.search(r"500 +100 +0\.2 +5/5 +202\.00 ± 0\.71 +27\.00 ± 0\.35 +7\.48", text)
    assert re.search(
        r"500 +100 +0\.2 +5/5 +10,100,000 ± 35,000 +44,428,697 +1,350,000 ± 18,000 +5,501,901"
        r" +7\.481 ± 0\.072 +8\.1",
        text,
    )
    assert "Luo, Wang and Fung (2020)" in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_wide_errors_still_fit(store, paper_sweep):
    """Numbers as large as the paper's, with errors of several per cent, stay within 120 columns."""
    paper_sweep.plan()
    for trial in paper_sweep.trials():
        paper_sweep.train(trial)
        noise, hessian = 1266.9 + 60 * trial.seed, 206.1 + 15 * trial.seed
        values = {"gradient_noise_trace": noise, "hessian_trace": hessian}
        paper_sweep.measure(trial, changes=values)
    text = render_text(table1(store, "paper-kld"))
    assert max(len(line) for line in text.splitlines()) <= 120


@pytest.mark.parametrize(
    ("step", "text"), [(0.0, "11 ± 0"), (4e-10, r"11(\.0000000)? ± 2\.3×10⁻¹⁰")]
)
def test_an_error_of_nothing_is_none_and_no_other_one(store, synthetic_sweep, step, text):
    """Three seeds 0 or 4·10⁻¹⁰ apart, a standard error of step/√3; tr H = 5 in all."""
    sweep = synthetic_sweep(pairs=[(100, 0.2)], seeds=[0, 1, 2])
    sweep.plan()
    for trial in sweep.trials():
        sweep.train(trial)
        noise = 11 + step * trial.seed
        sweep.measure(trial, changes={"gradient_noise_trace": noise, "hessian_trace": 5.0})
    printed = render_text(table1(store, "toy"))
    assert re.search(rf"3/3 +{text} +5 ± 0 ", printed)


def test_other_settings_have_empty_paper_columns(store, synthetic_sweep):
    """A dash, and no citation of numbers that do not belong here."""
    synthetic_sweep(depth=20, pairs=[(100, 0.2)]).fill()
    part = text_tables(table1(store, "toy"))[1]
    assert [part.rows[0][place] for place in (5, 7, 9)] == ["–", "–", "–"]
    assert part.notes == ()


def test_incomplete_cells_are_marked(store, synthetic_sweep):
    """A star at the seeds and a sentence below."""
    sweep = synthetic_sweep(pairs=[(100, 0.2)], seeds=[0, 1])
    sweep.plan()
    first, second = sweep.trials()
    sweep.train(first)
    sweep.measure(first)
    sweep.fail(second)
    text = render_text(table1(store, "toy"))
    assert "1/2*" in text
    assert "200 ± ?" in text
    assert (
        "* BS 100, LR 0.2 is incomplete: 1 of 2 seeds failed (seed 1: training, losses, traces)."
        in text
    )


def test_a_seed_with_both_traces_counts_here_and_the_note_says_what_it_lacks(
    store, synthetic_sweep
):
    """The head counts traces, the state whole seeds: the sentence names the seed and its lack."""
    sweep = synthetic_sweep(pairs=[(100, 0.2)], seeds=[0, 1])
    sweep.fill()
    sweep.statistics += [SpectrumSpec(), HessianSpec()]
    sweep.revision += "b"
    sweep.plan()
    text = render_text(table1(store, "toy"))
    assert "2/2*" in text
    assert "2 of 2 seeds missing (seeds 0, 1: training, spectrum, hessian)." in text
    assert "seeds: those with both traces, of all planned." in text


def test_of_very_many_cells_a_hundred_are_printed(paper_table):
    """First and last included, in their order; a note says how many there are, and where."""
    rows = [
        replace(row, cell=replace(row.cell, batch_size=size))
        for size in range(1, 251)
        for row in paper_table.rows[:1]
    ]
    text = render_text(replace(paper_table, rows=tuple(rows)))
    first = text.split("\n\n")[0]
    sizes = [int(line.split()[1]) for line in first.splitlines() if "±" in line and "5/5" in line]
    assert (len(sizes), sizes[0], sizes[-1], sizes) == (100, 1, 250, sorted(sizes))
    assert "100 of 250 cells, evenly chosen; view `cells` has all." in first
    assert "evenly chosen" not in render_text(replace(paper_table, rows=tuple(rows[:100])))


def test_the_csv_has_every_number_in_full(paper_table):
    """Means and errors in columns of their own, both conventions, the paper's where it has them."""
    table = paper_table
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == 9
    row = rows[1]
    assert float(row["gradient_noise_trace_mean"]) == table.rows[1].gradient_noise_trace.value
    assert float(row["hessian_trace_sum_mean"]) == pytest.approx(27 * 50_000)
    assert float(row["jastrzebski_9_final_mean"]) == pytest.approx(0.02 / 400 * 27)
    assert (row["num_seeds"], row["num_measured"], row["complete"]) == ("5", "5", "True")
    assert row["paper_hessian_trace_sum"] == "5501901"


def test_unknown_numbers_are_empty_in_the_csv(store, synthetic_sweep):
    """No NaN in files for other programs."""
    synthetic_sweep(seeds=[0]).plan()
    text = to_csv(table1(store, "toy"))
    assert "nan" not in text.lower()
    assert next(csv.DictReader(io.StringIO(text)))["hessian_trace_mean"] == ""


def test_the_latex_is_escaped_and_balanced(store, synthetic_sweep):
    """Special characters of names do not break it; every row has the columns it declares."""
    synthetic_sweep(name="a_b").fill()
    text = to_latex(table1(store, "a_b"))
    assert r"a\_b" in text
    assert not re.search(r"[^\x00-\x7f]", text)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 4
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 4
    for declared, body in re.findall(
        r"\\begin\{tabular\}\{(r+)\}(.*?)\\end\{tabular\}", text, re.S
    ):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert {row.count("&") + 1 for row in rows} == {len(declared)}
