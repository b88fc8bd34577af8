from __future__ import annotations

from analysis.aggregation.aggregate import aggregate_records
from analysis.figures.sweep_figures import draw_all
from analysis.findings.table1 import build_table1
from analysis.records.load import load_sweep
from analysis.report.conclusions import conclude
from analysis.report.law_section import LAW_FIGURES, law_section, paper_section
from analysis.report.web.page import FigurePart
from analysis.report.web.render import render_section


def _conclude(data):
    derived = aggregate_records(data)
    return conclude(
        data,
        build_table1(data),
        predictions=derived.predictions,
        validity=derived.validity,
        cell_measurements=derived.cell_measurements,
    )


def test_a_sweep_of_quadratic_bowls_is_concluded_rightly(store, forked_sweep):
    """Forks in closed form: finite_time holds in every window, tr H has nothing to do with it."""
    pairs = [(size, rate) for size in (50, 100, 200) for rate in (0.05, 0.1, 0.2)]
    forked_sweep(pairs=pairs, power=1.5, strength=0.01, scatter=0.03).fill()
    found = _conclude(load_sweep(store, "toy"))
    verdicts = {(item.prediction, item.target): item.verdict for item in found.standings}
    assert verdicts["finite_time", "excess_loss"] == "holds"
    assert verdicts["jastrzebski_9", "excess_loss"] == "fails"
    assert found.standings[0].prediction in {"finite_time", "finite_learning_rate"}
    assert len(found.covariances) == 9
    assert all(cell.wang.verdict == "holds" for cell in found.covariances)
    assert [figure.name for figure in draw_all(LAW_FIGURES, found)] == [
        "fork_curve", "parity", "covariance"
    ]  # fmt: skip


def test_the_section_shows_what_there_is(store, forked_sweep):
    """League, verdicts, covariance, assumptions, with the figures given."""
    forked_sweep(pairs=[(50, 0.1), (100, 0.1)], seeds=[0, 1]).fill()
    found = _conclude(load_sweep(store, "toy"))
    figures = {
        each.name: FigurePart(each.name, each.title, each.caption, each.svg, "")
        for each in draw_all(LAW_FIGURES, found)
    }
    section = render_section(law_section(found, figures))
    for part in (
        "Which law holds",
        "league of the laws",
        "measured by fork 256",
        "Covariance along the top eigenvectors of H",
        "Assumptions · fork, batch norm frozen, sampler replacement",
        "Share of tr σ² in directions that T steps do not equilibrate (ηλT &lt; 1): ",
    ):
        assert part.replace("&lt;", "<") in section.replace("&lt;", "<"), part
    assert "Nothing of this is measured yet." not in section
    paper = render_section(paper_section(found))
    assert "How many factors" in paper
    assert "Which convention gives traces of the paper" not in paper  # no cell is the paper's


def test_before_anything_is_measured_the_sections_say_so(store, synthetic_sweep):
    """A plan alone has neither laws nor claims."""
    synthetic_sweep().plan()
    found = _conclude(load_sweep(store, "toy"))
    assert draw_all(LAW_FIGURES, found) == []
    assert not found.has_measured_laws
    assert (found.claims, found.curve_claims, found.curve_pairs) == ([], [], [])
    assert "Nothing of this is measured yet." in render_section(law_section(found, {}))
    assert paper_section(found).parts == []


def test_traces_alone_are_held_against_the_papers_words(store, synthetic_sweep):
    """Without any excursion the claims, factors and conventions are there, the verdicts not."""
    synthetic_sweep(weight_decay=5e-4).fill()
    found = _conclude(load_sweep(store, "toy"))
    section = render_section(law_section(found, {}))
    assert "Nothing of this is measured yet." in section
    assert "Assumptions · before any excursion" in section
    paper = render_section(paper_section(found))
    for part in (
        "The paper&#39;s claims</p>",
        "At fixed LR tr H is constant as BS grows (within a factor 1.25).",
        "LR moves tr σ²/tr H much more strongly than BS",
        "The paper&#39;s claims about learning curves",
        "equal BS/LR “very closely match”",
        "no spread between seeds to compare a distance with",
        "Learning curves, pair by pair",
    ):
        assert part in paper, part
