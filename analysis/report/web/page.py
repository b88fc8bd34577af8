"""A page as plain values: its answer, then sections of parts; what it looks like is for the templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from analysis.report.web.first_screen import FirstScreen
from analysis.text.text_table import TextTable


@dataclass(frozen=True)
class Paragraph:
    """A text; `kind` is empty or `note`."""

    template: ClassVar[str] = "paragraph"
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list of texts."""

    template: ClassVar[str] = "bullets"
    texts: Sequence[str]


@dataclass(frozen=True)
class Code:
    """A text as it is, preformatted."""

    template: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Links:
    """Texts with their addresses; nothing is loaded from them."""

    template: ClassVar[str] = "links"
    pages: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Switch:
    """Radio buttons that choose which columns of a table are shown.

    Attributes:
        legend: What is chosen.
        choices: Of each its word in `Table.shown_with`, and its label; the first is chosen at first.
    """

    legend: str
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """A table that sorts, filters and can be copied.

    Attributes:
        content: Its texts.
        num_keys: So many columns say what a row is about; a row with nothing in the others is dropped.
            None drops no row.
        switches: What chooses among its columns.
        shown_with: For each column the words of the choices it is shown with; empty: with all.
    """

    template: ClassVar[str] = "table"
    content: TextTable
    num_keys: int | None = None
    switches: tuple[Switch, ...] = ()
    shown_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class FigurePart:
    """A figure of Matplotlib, in the page and as files beside it.

    Attributes:
        name: Of its files in `figures/`, without a suffix.
        title: One line.
        caption: What is shown and how.
        svg: The whole SVG document.
        query: The SQL that gives its numbers.
        folder: Where `figures/` is, beside the page, with a slash at its end; empty in a page of one sweep.
    """

    template: ClassVar[str] = "figure"
    name: str
    title: str
    caption: str
    svg: str
    query: str
    folder: str = ""

    @property
    def anchor(self) -> str:
        """Its id in the page, on which those of its marks are built."""
        return re.sub(r"[^A-Za-z0-9_]", "-", f"figure-{self.folder}{self.name}")


@dataclass(frozen=True)
class Heading:
    """The name of the sweep that the parts below it are of, in a page of several."""

    template: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Folded:
    """Parts that are hidden until their summary is opened."""

    template: ClassVar[str] = "folded"
    summary: str
    parts: Sequence[Part]


Part: TypeAlias = Heading | Paragraph | Bullets | Code | Links | Table | FigurePart | Folded


def tables(found: Iterable[TextTable | None]) -> list[Part]:
    """Return the tables that there are as parts."""
    return [Table(each) for each in found if each is not None]


@dataclass(frozen=True)
class Section:
    """A titled part of a page; one without parts is left out of it."""

    title: str
    parts: Sequence[Part]

    @property
    def anchor(self) -> str:
        """The id of its heading."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: The sweep's name, or those of all.
        answers: The first screen, by the sweep's name.
        sections: In order, under their headings.
    """

    title: str
    answers: Mapping[str, FirstScreen]
    sections: Sequence[Section] = field(default_factory=list)

    @property
    def tables(self) -> list[Table]:
        """All tables, folded ones too."""
        parts = [part for section in self.sections for part in section.parts]
        inner = [part for each in parts if isinstance(each, Folded) for part in each.parts]
        return [part for part in (*parts, *inner) if isinstance(part, Table)]

    @property
    def shown(self) -> list[Section]:
        """The sections that hold anything."""
        return [section for section in self.sections if section.parts]
