"""Pages as HTML: the templates of `templates/`, with every text escaped and every name defined."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.report.web.inline_svg import inline_svg
from analysis.report.web.page import Page, Part, Section
from analysis.report.web.shown_table import shown_table
from analysis.report.web.tied import tied


def render_page(page: Page) -> str:
    """Return a whole document that loads nothing from elsewhere; its one script is allowed by its hash."""
    script = _source("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            page=page,
            style=Markup(_source("page.css")),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            script_hash=f"sha256-{digest}",
            numbers=count(1).__next__,
        )
    )


def render_section(section: Section) -> str:
    """Return one section as HTML, as it stands in a page."""
    return str(_macros().section(section, count(1).__next__))


def render_still(part: Part) -> str:
    """Return one part as HTML for where no script runs: tables without anything to press."""
    return str(_macros().part(part, count(1).__next__, is_live=False))


def _macros() -> Any:  # noqa: ANN401 - jinja2 makes the macros attributes
    return _environment().get_template("parts.html.jinja").module


def _source(name: str) -> str:
    loader = _environment().loader
    assert loader is not None  # noqa: S101 - given below
    return loader.get_source(_environment(), name)[0]


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("analysis.report.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["shown"] = shown_table
    found.filters["tied"] = tied
    found.filters["inline_svg"] = lambda figure: Markup(  # noqa: S704 - drawn by Matplotlib, which escapes
        inline_svg(figure.svg, figure.anchor, figure.title)
    )
    return found
