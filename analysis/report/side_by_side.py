"""The report of several sweeps on one page: their answers first, then each section with all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.report.report import Report, report_page, write_beside, write_texts
from analysis.report.web.page import Heading, Page, Part, Section
from analysis.report.web.render import render_page


def write_side_by_side(reports: Mapping[str, Report], out: Path) -> list[Path]:
    """Write `report.html` of several sweeps by name, and in a folder of each what its own report has beside.

    Returns:
        The files written, the page first.

    Raises:
        UserError: The folder cannot be written.
    """
    pages = {sweep: report_page(report, folder=f"{sweep}/") for sweep, report in reports.items()}
    page = side_by_side(list(pages.values()))
    written = write_texts({out / "report.html": render_page(page)})
    for sweep, report in reports.items():
        written += write_beside(report, pages[sweep], out / sweep)
    return written


def side_by_side(pages: Sequence[Page]) -> Page:
    """Put the pages of one sweep each on one: each section once, with the parts of all that have it.

    A section that is the same for all, such as how it was measured, has its parts once.
    """
    titles = list(dict.fromkeys(section.title for page in pages for section in page.shown))
    return Page(
        " and ".join(page.title for page in pages),
        {sweep: answer for page in pages for sweep, answer in page.answers.items()},
        [Section(title, _parts(title, pages)) for title in titles],
    )


def _parts(title: str, pages: Sequence[Page]) -> list[Part]:
    found = {
        page.title: list(section.parts)
        for page in pages
        for section in page.shown
        if section.title == title
    }
    first, *others = found.values()
    if len(found) == len(pages) and all(parts == first for parts in others):
        return first
    return [part for sweep, parts in found.items() for part in (Heading(sweep), *parts)]
