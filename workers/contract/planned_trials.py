"""The trials of a plan, and how its document holds them: what is alike once, the rest as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    JsonValue,
    PlainSerializer,
    Tag,
    model_validator,
)

from workers.contract.file_names import PART
from workers.contract.frozen import Count, Frozen, Misfit, Positive, Seed
from workers.contract.specs import TrialSpec

FileName = Annotated[str, Field(pattern=f"^{PART}$")]
"""What may stand as part of a file's name in the store."""

_COLUMNS = ("batch_size", "learning_rate", "seed")
_COMMON = tuple(name for name in TrialSpec.model_fields if name not in _COLUMNS)


class PlannedTrial(Frozen):
    """A trial of the plan with its identity."""

    trial_id: FileName
    trial: TrialSpec


class TrialBlock(Frozen):
    """Consecutive trials of a plan that differ in batch size, learning rate and seed alone.

    Attributes:
        first: The spec of the first one.
        trial_id: Identities, in the plan's order; the other columns are in that order too.
    """

    first: TrialSpec
    trial_id: list[FileName] = Field(min_length=1)
    batch_size: list[Count]
    learning_rate: list[Positive]
    seed: list[Seed]

    @model_validator(mode="after")
    def _columns_agree(self) -> TrialBlock:
        numbers = [len(getattr(self, name)) for name in ("trial_id", *_COLUMNS)]
        if len(set(numbers)) > 1:
            raise Misfit(f"its columns hold {numbers} values", "give each column as many")
        if any(getattr(self, name)[0] != getattr(self.first, name) for name in _COLUMNS):
            raise Misfit("its first trial is not that of its columns", "give the same twice")
        return self

    @property
    def trials(self) -> list[PlannedTrial]:
        """Its trials one by one; what is alike is shared, and was validated once."""
        rows = zip(self.batch_size, self.learning_rate, self.seed, strict=True)
        return with_ids(self.trial_id, trials_like(self.first, rows))


def trials_like(first: TrialSpec, rows: Iterable[tuple[int, float, int]]) -> Iterable[TrialSpec]:
    """Yield a trial with each batch size, learning rate and seed, which are validated already."""
    fields, common = first.model_fields_set, {name: getattr(first, name) for name in _COMMON}
    for batch_size, learning_rate, seed in rows:
        yield TrialSpec.model_construct(
            fields, **common, batch_size=batch_size, learning_rate=learning_rate, seed=seed
        )


def with_ids(trial_ids: Iterable[str], trials: Iterable[TrialSpec]) -> list[PlannedTrial]:
    """Name trials that are validated already."""
    fields = {"trial_id", "trial"}
    return [
        PlannedTrial.model_construct(fields, trial_id=name, trial=trial)
        for name, trial in zip(trial_ids, trials, strict=True)
    ]


def in_blocks(trials: Sequence[PlannedTrial]) -> list[TrialBlock]:
    """Gather consecutive trials that are alike; `TrialBlock.trials` undoes it."""
    blocks, members = list[list[PlannedTrial]](), list[PlannedTrial]()
    for item in trials:
        if not members or not _are_alike(members[0].trial, item.trial):
            members = []
            blocks.append(members)
        members.append(item)
    return [_block(members) for members in blocks]


def _block(members: Sequence[PlannedTrial]) -> TrialBlock:
    trials = [item.trial for item in members]
    return TrialBlock.model_construct(
        first=trials[0],
        trial_id=[item.trial_id for item in members],
        batch_size=[trial.batch_size for trial in trials],
        learning_rate=[trial.learning_rate for trial in trials],
        seed=[trial.seed for trial in trials],
    )


_common = attrgetter(*_COMMON)


def _are_alike(one: TrialSpec, other: TrialSpec) -> bool:
    """Return whether all is equal but batch size, learning rate and seed; 1, 1.0 and true are not."""
    both = _common(one), _common(other)
    return all(map(is_, *both)) or repr(both[0]) == repr(both[1])


def _one_by_one(stored: Sequence[PlannedTrial | TrialBlock]) -> list[PlannedTrial]:
    parts = (item.trials if isinstance(item, TrialBlock) else [item] for item in stored)
    return list(chain.from_iterable(parts))


def _dumped(trials: Sequence[PlannedTrial]) -> list[dict[str, JsonValue]]:
    return [block.model_dump(mode="json") for block in in_blocks(trials)]


def _kind(stored: object) -> str:
    if isinstance(stored, dict):
        return "block" if isinstance(stored.get("trial_id"), list) else "planned"
    return "block" if isinstance(stored, TrialBlock) else "planned"


if TYPE_CHECKING:
    StoredTrials: TypeAlias = list[PlannedTrial]
else:
    _Stored = Annotated[
        Annotated[PlannedTrial, Tag("planned")] | Annotated[TrialBlock, Tag("block")],
        Discriminator(_kind),
    ]
    StoredTrials = Annotated[
        list[_Stored], AfterValidator(_one_by_one), PlainSerializer(_dumped, when_used="json")
    ]
