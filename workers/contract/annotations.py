"""What a spec's fields take, in plain words, and which parts of an error's place the user wrote."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

_WORDS: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
}
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


@dataclass(frozen=True)
class Place:
    """A place in a document, with what the spec says of it.

    Attributes:
        keys: Keys and list positions, as the user wrote them.
        annotation: The type there; None when the spec knows no such place.
        owner: The mapping that holds the last key, when it is one of a spec's.
        choice: The keys of the innermost value that may be of several types, else None.
    """

    keys: tuple[str | int, ...] = ()
    annotation: object = None
    owner: type[BaseModel] | None = None
    choice: tuple[str | int, ...] | None = None

    def path(self) -> str:
        """Write the place as `training.milestones[1]`."""
        return written(self.keys)


@dataclass(frozen=True)
class _Member:
    """One of the types a value may have: its tag in a tagged union, the bare type, its limits."""

    tag: str | None
    kind: object
    limits: tuple[object, ...]


def written(keys: Iterable[str | int]) -> str:
    """Write keys and positions as `training.milestones[1]`."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return "".join(parts).removeprefix(".")


def follow(root: type[BaseModel] | None, location: tuple[str | int, ...]) -> Place:
    """Follow pydantic's location of an error, leaving out the names it gives to union members."""
    place = Place(annotation=root)
    for part in location:
        place = _step(place, part)
    return place


def _step(place: Place, part: str | int) -> Place:
    members = [member for member in _members(place.annotation) if member.kind is not type(None)]
    keys = (*place.keys, part)
    if isinstance(part, int):
        items = [item for member in members for item in _items(member.kind, part)]
        return Place(keys, items[0] if items else None, None, place.choice)
    for member in members:
        if member.tag == part:
            return Place(place.keys, member.kind, place.owner, place.choice)
    if len(members) == 1 and is_spec(model := members[0].kind):
        field = model.model_fields.get(part)
        return Place(keys, None if field is None else _annotation(field), model, place.choice)
    if len(members) > 1:  # a name such as "constrained-int"
        return Place(place.keys, place.annotation, place.owner, place.keys)
    return Place(keys, None, None, place.choice)


def expected(annotation: object) -> str | None:
    """Describe what a type takes: "a whole number ≥ 1 or a list"; None where it is unknown."""
    words = [_words(member) for member in _members(annotation)]
    known = list(dict.fromkeys(word for word in words if word))
    return " or ".join(known) if known and None not in words else None


def first_type(annotation: object) -> object:
    """Return the bare type of what a place takes, the first of several; `list` for lists of any kind."""
    kind = next(iter(_members(annotation))).kind
    return list if get_origin(kind) in (list, tuple) else kind


def has_pattern(annotation: object) -> bool:
    """Whether a place takes text of a pattern alone."""
    return any(_limit(member.limits, "pattern") for member in _members(annotation))


def is_spec(kind: object) -> TypeGuard[type[BaseModel]]:
    """Return whether a type is a mapping with known keys."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _words(member: _Member) -> str | None:
    kind = member.kind
    if get_origin(kind) is Literal:
        return " or ".join(repr(value) for value in get_args(kind))
    if get_origin(kind) is list:
        each = expected(get_args(kind)[0])
        return f"a list{_length(member.limits)}{f', each {each}' if each else ''}"
    if get_origin(kind) is tuple:
        entries = [expected(item) or "a value" for item in get_args(kind)]
        return f"a list of {len(entries)}, {' and '.join(entries)}"
    if member.tag is not None:
        return "a mapping with a name"
    if is_spec(kind):
        return f"a mapping with the keys {', '.join(kind.model_fields)}"
    return f"{_WORDS[kind]}{_bounds(member.limits)}" if kind in _WORDS else None


def _length(limits: tuple[object, ...]) -> str:
    least, most = _limit(limits, "min_length"), _limit(limits, "max_length")
    if most:
        return f" of {least or 0} to {most}"
    return f" of at least {least}" if least else ""


def _bounds(limits: tuple[object, ...]) -> str:
    found = [f"{sign} {_limit(limits, name)}" for name, sign in _BOUNDS.items()]
    bounds = " and ".join(bound for bound in found if not bound.endswith("None"))
    pattern = _limit(limits, "pattern")
    return f" {bounds}" if bounds else f" of the pattern {pattern}" if pattern else ""


def _limit(limits: tuple[object, ...], name: str) -> object:
    found = [getattr(limit, name, None) for limit in limits]
    return next((value for value in found if value is not None), None)


def _members(annotation: object) -> list[_Member]:
    is_annotated = get_origin(annotation) is Annotated
    bare, *metadata = get_args(annotation) if is_annotated else (annotation,)
    if get_origin(bare) in (Union, types.UnionType):
        return [member for part in get_args(bare) for member in _members(part)]
    tags = [str(item.tag) for item in metadata if isinstance(item, Tag)]
    limits = [part for item in metadata for part in getattr(item, "metadata", [item])]
    return [_Member(tags[0] if tags else None, bare, tuple(limits))]


def _items(kind: object, position: int) -> list[object]:
    """Return the type of one entry, when the type is that of a list."""
    items = get_args(kind)
    if get_origin(kind) is list:
        return [items[0]]
    return [items[position]] if get_origin(kind) is tuple and position < len(items) else []


def _annotation(field: FieldInfo) -> object:
    """Return a field's type together with the limits that pydantic took off it."""
    return Annotated[field.annotation, field] if field.metadata else field.annotation
