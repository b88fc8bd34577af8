from __future__ import annotations

import re

from analysis.report.side_by_side import side_by_side, write_side_by_side
from analysis.report.web.first_screen import FirstScreen
from analysis.report.web.page import Bullets, Heading, Page, Paragraph, Section
from workers.contract.store import Store


def page(name, *sections):
    answer = FirstScreen(
        [], [], None, "1 of 1 cells are complete.", is_complete=True, cost="1 core-hour"
    )
    return Page(name, {name: answer}, [Section(title, parts) for title, parts in sections])


def test_a_section_holds_the_parts_of_all_and_what_is_the_same_once():
    """Each sweep's below its name; a section without parts in both is not there."""
    methods = ("How it was measured", [Bullets(["So."])])
    merged = side_by_side(
        [
            page("a", ("Table 1", [Paragraph("of a")]), methods, ("Failures", [])),
            page("b", ("Table 1", [Paragraph("of b")]), ("Layers", [Paragraph("b's")]), methods),
        ]
    )
    assert merged.title == "a and b"
    assert list(merged.answers) == ["a", "b"]
    assert [(section.title, list(section.parts)) for section in merged.sections] == [
        ("Table 1", [Heading("a"), Paragraph("of a"), Heading("b"), Paragraph("of b")]),
        ("How it was measured", [Bullets(["So."])]),
        ("Layers", [Heading("b"), Paragraph("b's")]),
    ]


def test_two_sweeps_stand_on_one_page_with_files_of_each(tmp_path, report_of, sweep_in):
    """Both answers, ids that are distinct, links to figures that are there."""
    store = Store.open(str(tmp_path / "store"))
    for name in ("first", "second"):
        sweep = sweep_in(store, name=name, pairs=[(100, 0.1), (200, 0.1)], seeds=[0, 1])
        sweep.plan()
        for trial in sweep.trials():
            sweep.train(trial)
            sweep.measure(trial)
    reports = {name: report_of(store, name) for name in ("first", "second")}
    written = write_side_by_side(reports, tmp_path / "out")
    text = written[0].read_text(encoding="utf-8")
    assert all(path.stat().st_size > 0 for path in written)
    assert {f"{name}/table1.csv" for name in ("first", "second")} <= {
        str(path.relative_to(tmp_path / "out")) for path in written
    }
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {"completeness", "completeness-2", "figure-first-traces", "figure-second-traces"} <= set(
        ids
    )
    links = re.findall(r'href="((?:first|second)/[^"]+)"', text)
    assert links
    assert all((tmp_path / "out" / link).exists() for link in links)
    assert text.count("<h1>") == 1
    assert "first and second" in text
