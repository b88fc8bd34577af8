"""A law as its file declares it: what it predicts, where it speaks, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS, MeasuredExcursion
from analysis.laws.prediction import Prediction
from analysis.laws.trace_law import TraceFormula
from workers.contract.settings import Sampler


@dataclass(frozen=True)
class Citation:
    """Where a law comes from.

    Attributes:
        citation: As the report lists it, with the equation.
        url: Where it can be read.
    """

    citation: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Law:
    """A law of SGD. Its file in `predictions/` declares it as `LAW`, and nothing else names it.

    Attributes:
        name: As in records, tables and figures.
        place: Laws are shown in ascending order of it.
        predict: Makes one prediction a target from the conditions of an excursion, none where the law
            has nothing to say of it.
        targets: What it predicts, of `TARGETS`.
        windows: Of a fork it speaks of `every` window, or of the `longest` alone, as laws of the
            stationary state do.
        sampler: How batches are drawn that it is for.
        color: Of all that is drawn of it. Laws of one target differ in it, all others at least in
            their marker.
        marker: Of its points, for Matplotlib.
        dashes: Of the horizontal line where it says the loss of a fork settles; None draws none.
        formula: What it makes of a single trace; None when it needs more.
        source: The paper it is from; None where it is derived in its own file.
        title: As a sentence calls it, by author, year and equation; None: by its name.
    """

    name: str
    place: int
    predict: Callable[[CellConditions], list[Prediction]]
    targets: tuple[str, ...]
    windows: Literal["every", "longest"]
    sampler: Sampler
    color: str
    marker: str
    dashes: str | None = None
    formula: TraceFormula | None = None
    source: Citation | None = None
    title: str | None = None

    @property
    def human_name(self) -> str:
        """The law as a sentence calls it."""
        return self.title or self.name

    def __call__(self, conditions: CellConditions) -> list[Prediction]:
        """Predict; nothing of an excursion that the law does not speak of."""
        return self.predict(conditions) if self.speaks_of(conditions.excursion) else []

    def speaks_of(self, excursion: MeasuredExcursion) -> bool:
        """Whether the law says anything of such an excursion."""
        return self.windows == "every" or excursion.is_longest


def in_order(laws: Iterable[Law]) -> dict[str, Law]:
    """Return laws by name, in the order in which they are shown.

    Their files are faulty where two have one name or cannot be told apart in a figure, or where one
    predicts what is no target.
    """
    found = sorted(laws, key=lambda law: (law.place, law.name))
    for law in found:
        unknown = set(law.targets) - set(TARGETS)
        assert not unknown, f"law {law.name!r} predicts {unknown}, no target"  # noqa: S101 - our own bug
    for one, other in combinations(found, 2):
        assert one.name != other.name, f"two laws are called {one.name!r}"  # noqa: S101 - our own bug
        assert not _look_alike(one, other), (  # noqa: S101 - our own bug
            f"laws {one.name!r} and {other.name!r} are drawn alike"
        )
    return {law.name: law for law in found}


def _look_alike(one: Law, other: Law) -> bool:
    """Whether a reader would take one for the other: in a panel by colour, in a legend by the mark too."""
    share_a_panel = bool(set(one.targets) & set(other.targets))
    return one.color == other.color and (share_a_panel or one.marker == other.marker)
