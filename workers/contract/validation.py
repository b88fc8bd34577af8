"""From pydantic's errors to faults a user can act on: what was seen, where, and how to mend it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workers.contract.annotations import (
    Place,
    expected,
    first_type,
    follow,
    has_pattern,
    written,
)
from workers.contract.catalog import CATALOG, unknown_name_fault
from workers.contract.errors import Fault, did_you_mean, shortened
from workers.contract.frozen import Frozen, Misfit

_OTHER_BOOLS = {
    "yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false",
}  # fmt: skip
"""What YAML 1.1 reads as truth values, and 1.2 as text."""
_LONGEST_PATH = 200
_QUOTED_NUMBER = re.compile(r"[-+]?[0-9][0-9_]{0,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?")
_ANY_VALUE = "text, a finite number, true or false, null, or a list or mapping of these"


@dataclass(frozen=True)
class _Finding:
    """One error of pydantic with the place it is about."""

    error: ErrorDetails
    place: Place


def faults_of(error: ValidationError, source: str) -> list[Fault]:
    """Turn the errors of validating a spec into faults, one for each place.

    A value that fits none of several types is one fault, not one for each type. Our own validators
    raise `Misfit("what is wrong", "how to mend it")`.

    Args:
        error: From validating a subclass of `Frozen`.
        source: The file, option or store the document came from.
    """
    root = _spec_titled(error.title)
    findings = [_finding(root, detail) for detail in error.errors(include_url=False)]
    kept = {finding.place.keys: finding for finding in _deepest(findings)}
    return [_fault(finding, source) for finding in kept.values()]


def _spec_titled(title: str) -> type[BaseModel] | None:
    """Find the validated spec by its name, which is all that pydantic keeps of it."""
    known: list[type[Frozen]] = [Frozen]
    for spec in known:
        known.extend(spec.__subclasses__())
    return next((spec for spec in known if spec.__name__ == title), None)


def _finding(root: type[BaseModel] | None, error: ErrorDetails) -> _Finding:
    location = error["loc"]
    if error["type"] == "missing" and location and isinstance(location[-1], int):
        location = location[:-1]  # it is the list that is too short
    return _Finding(error, follow(root, location))


def _deepest(findings: Sequence[_Finding]) -> list[_Finding]:
    """Of a value that may be of several types, keep what the type it came nearest to says."""
    depth: dict[object, int] = {}
    for finding in findings:
        choice, length = finding.place.choice, len(finding.place.keys)
        depth[choice] = max(depth.get(choice, 0), length)
    return [
        finding
        for finding in findings
        if finding.place.choice is None or len(finding.place.keys) == depth[finding.place.choice]
    ]


def _fault(finding: _Finding, source: str) -> Fault:
    kind, place = finding.error["type"], finding.place
    if kind == "invalid_key" or place.keys[-1:] == ("[key]",):
        return _key_of_another_type(place, source)
    if kind == "extra_forbidden":
        return _unknown_key(place, source)
    if kind == "missing" and isinstance(place.keys[-1], str):
        return _missing_key(place, source)
    if kind == "union_tag_invalid":
        return _unknown_name(finding, source)
    if kind == "value_error":
        cause = finding.error["ctx"]["error"]
        is_ours = isinstance(cause, Misfit)
        what, mend = (cause.what, cause.mend) if is_ours else (str(cause), "mend the value")
        return Fault(what, _where(source, place.path()), mend)
    wanted, value = expected(place.annotation) or _ANY_VALUE, finding.error["input"]
    what = f"{_label(place)} is {seen(value)}, not {wanted}"
    mend = _likely_meant(value, place) or f"give {wanted}"
    return Fault(what, _where(source, place.path()), mend)


def _likely_meant(value: object, place: Place) -> str | None:
    """Return what to write in place of a value of another type, where one slip explains it."""
    wanted = first_type(place.annotation)
    if isinstance(value, str):
        return _likely_unquoted(value, wanted)
    name = value.get("name") if isinstance(value, dict) else None
    if wanted is str and isinstance(name, str):
        return f"write {_label(place)}: {shortened(name)}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if wanted is list:
        return f"write [{seen(value)}]"
    if wanted is str and has_pattern(place.annotation):
        return f"write '{seen(value)}'"
    is_whole = isinstance(value, float) and value.is_integer() and 0 < value < 1e15
    return f"write {value:.0f}" if is_whole and wanted is int else None


def _likely_unquoted(text: str, wanted: object) -> str | None:
    """Return the number or truth value that a text was meant to be."""
    if wanted is bool and text.lower() in _OTHER_BOOLS:
        return f"write {_OTHER_BOOLS[text.lower()]}"
    if wanted in (int, float) and _QUOTED_NUMBER.fullmatch(text):
        return f"write {text.replace('_', '')}, without quotes or underscores"
    return None


def _key_of_another_type(place: Place, source: str) -> Fault:
    *parents, key = place.keys if place.keys[-1] != "[key]" else place.keys[:-1]
    what = f"the key {shortened(repr(key))} is not text"
    return Fault(what, _where(source, written(parents)), f"write '{shortened(str(key))}'")


def _unknown_key(place: Place, source: str) -> Fault:
    key = str(place.keys[-1])
    mend = did_you_mean(key, place.owner.model_fields) if place.owner else "remove it"
    return Fault(f"unknown key {shortened(key)!r}", _where(source, place.path()), mend)


def _missing_key(place: Place, source: str) -> Fault:
    key = str(place.keys[-1])
    wanted = expected(place.annotation)
    mend = f"add {key}{f': {wanted}' if wanted else ''}"
    return Fault(f"the key {key!r} is missing", _where(source, place.path()), mend)


def _unknown_name(finding: _Finding, source: str) -> Fault:
    value, path = finding.error["input"], finding.place.path()
    tags = {tag.strip("' ") for tag in finding.error["ctx"]["expected_tags"].split(",")}
    kind = next(kind for kind, names in CATALOG.items() if tags & names.keys())
    if isinstance(value, dict) and value.get("name") is not None:
        return unknown_name_fault(kind, str(value["name"]), _where(source, f"{path}.name"))
    known = f"Known: {', '.join(sorted(CATALOG[kind]))}."
    if isinstance(value, dict):
        return Fault(f"the {kind} has no name", _where(source, path), f"add name: … {known}")
    what = f"{_label(finding.place)} is {seen(value)}, not a mapping with a name"
    return Fault(what, _where(source, path), f"write {{name: …}}. {known}")


def _where(source: str, path: str) -> str:
    return f"{source}, {shortened(path, _LONGEST_PATH)}" if path else source


def _label(place: Place) -> str:
    return place.path().rpartition(".")[2] or "the document"


def seen(value: object) -> str:
    """Show a value as it would stand in YAML; long ones by their kind."""
    if isinstance(value, dict | list | tuple):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind} of {len(value)}" if value else f"an empty {kind}"
    return shortened(repr(value) if isinstance(value, str) else json.dumps(value, default=str))
