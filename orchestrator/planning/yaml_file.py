"""Read YAML as version 1.2 does (its core schema), strictly and within bounds.

PyYAML parses; what a scalar is, and what is made of it, is decided here, since PyYAML's own answers are those of
version 1.1: there 016 is 14, 1:30 is 90, `no` is false and 2024-01-01 a date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable

import yaml

from workers.contract.errors import shortened, user_error

_MOST_VALUES = 50_000
_DEEPEST = 40
_LONGEST_NUMBER = 100
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_TEMPLATE = re.compile(r"\{\{|\{%")
_FILL_IN = "a template was left in: fill in its values first; text with braces stands in quotes"

Scalar = str | int | float | bool | None


class _Refused(Exception):
    """What is wrong at a place of the text, and how to mend it."""

    def __init__(self, what: str, mend: str, mark: yaml.Mark | None) -> None:
        super().__init__(what)
        self.what, self.mend, self.mark = what, mend, mark


def parse_yaml(text: str, where: str) -> object:
    """Parse one YAML document into plain values; every alias becomes a copy of its own.

    Raises:
        UserError: It is not YAML, holds a key twice, or is larger than any sweep; the message holds
            line and column.
    """
    try:
        node = _CoreLoader(text).get_single_node()
        return None if node is None else _Builder().value(node)
    except _Refused as error:
        raise user_error(error.what, where=_place(where, error.mark), mend=error.mend) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        mend = _FILL_IN if _TEMPLATE.search(_line(text, mark)) else "mend the line"
        what = f"not YAML: {shortened(_problem(error), 200)}"
        raise user_error(what, where=_place(where, mark), mend=mend) from error


def _problem(error: yaml.YAMLError) -> str:
    told = [getattr(error, part, None) for part in ("context", "problem")]
    return ", ".join(part for part in told if part) or str(error).splitlines()[0]


def _place(where: str, mark: yaml.Mark | None) -> str:
    return where if mark is None else f"{where}, line {mark.line + 1}, column {mark.column + 1}"


def _line(text: str, mark: yaml.Mark | None) -> str:
    lines = text.splitlines()
    return lines[mark.line] if mark is not None and mark.line < len(lines) else ""


def _core_int(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text if base == 10 else text[2:], base)


def _core_float(text: str) -> float:
    if text.lower().endswith((".inf", ".nan")):
        return float(text.replace(".", ""))
    value, mantissa = float(text), re.split("[eE]", text)[0]
    if math.isinf(value) or (value == 0 and re.search("[1-9]", mantissa)):
        raise OverflowError
    return value


_CORE: dict[str, tuple[re.Pattern[str], Callable[[str], Scalar]]] = {
    "null": (re.compile(r"(~|null|Null|NULL|)\Z"), lambda _: None),
    "bool": (re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), lambda text: text[0] in "tT"),
    "int": (re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), _core_int),
    "float": (
        re.compile(
            r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
            r"|\.(nan|NaN|NAN))\Z"
        ),
        _core_float,
    ),
    "str": (re.compile(r""), str),
}
"""The scalars of YAML 1.2's core schema (§10.3.2), in the order in which they are tried."""


class _CoreLoader(
    yaml.reader.Reader,
    yaml.scanner.Scanner,
    yaml.parser.Parser,
    yaml.composer.Composer,
    yaml.resolver.BaseResolver,
):
    """PyYAML up to the tree of nodes, with the core schema's tags, no deeper and no larger than a sweep."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        yaml.composer.Composer.__init__(self)
        yaml.resolver.BaseResolver.__init__(self)
        self._bounds = _Bounds()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[no-untyped-call]  # of types-PyYAML
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)  # in 1.2 a later anchor replaces an earlier one
        if isinstance(event, yaml.ScalarEvent) and event.tag == "!":
            event.tag = (
                f"{_TAG}str"  # the non-specific tag makes a scalar text, whatever it looks like
            )
        mark = event.start_mark
        self._bounds.enter(mark if isinstance(mark, yaml.Mark) else None)
        node = super().compose_node(parent, index)
        self._bounds.leave()
        return node


for _name, (_pattern, _) in _CORE.items():
    if _name != "str":
        _CoreLoader.add_implicit_resolver(f"{_TAG}{_name}", _pattern, None)
_CoreLoader.add_implicit_resolver(_MERGE, re.compile(r"<<\Z"), ["<"])

_HALF = re.compile("[\ud800-\udfff]")


class _Bounds:
    """Counts values and depth, so that neither text nor aliases make more work than a sweep can be."""

    def __init__(self) -> None:
        self._num_values = self._depth = 0

    def enter(self, mark: yaml.Mark | None) -> None:
        self._num_values += 1
        self._depth += 1
        if self._depth > _DEEPEST:
            what = f"values nested more than {_DEEPEST} deep, or an anchor that holds itself"
            raise _Refused(what, "a sweep needs no more than 10", mark)
        if self._num_values > _MOST_VALUES:
            what = f"more than {_MOST_VALUES:,} values, what aliases stand for counted each time"
            raise _Refused(what, "write a smaller sweep", mark)

    def leave(self) -> None:
        self._depth -= 1


class _Builder:
    """Makes plain values of nodes."""

    def __init__(self) -> None:
        self._bounds = _Bounds()

    def value(self, node: yaml.Node) -> object:
        self._bounds.enter(node.start_mark)
        made: object
        if isinstance(node, yaml.MappingNode):
            _refuse_other_tag(node, "map")
            made = self._mapping(node)
        elif isinstance(node, yaml.SequenceNode):
            _refuse_other_tag(node, "seq")
            made = [self.value(item) for item in node.value]
        else:
            made = _scalar(node)
        self._bounds.leave()
        return made

    def _mapping(self, node: yaml.MappingNode) -> dict[Hashable, object]:
        """Build a mapping; a key written here wins over one that `<<` merges, an earlier merged one over a later."""
        written: dict[Hashable, object] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE and not merged:
                is_list = isinstance(value_node, yaml.SequenceNode)
                merged = value_node.value if is_list else [value_node]
                continue
            key = _key(key_node)
            if key in written or key_node.tag == _MERGE:
                what = f"not YAML: the key {shortened(key_node.value)!r} stands here twice"
                raise _Refused(what, "keep one of them", key_node.start_mark)
            written[key] = self.value(value_node)
        for mapping in merged:
            written = self._merged(mapping) | written
        return written

    def _merged(self, node: yaml.Node) -> dict[Hashable, object]:
        made = self.value(node)
        if not isinstance(made, dict):
            what = "<< merges mappings, and this is none"
            raise _Refused(what, "write <<: *anchor, or <<: [*one, *two]", node.start_mark)
        return made


def _key(node: yaml.Node) -> Hashable:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    kind = "mapping" if isinstance(node, yaml.MappingNode) else "list"
    mend = _FILL_IN if kind == "mapping" else "write the key as text"
    raise _Refused(f"a {kind} stands where a key should", mend, node.start_mark)


def _refuse_other_tag(node: yaml.Node, kind: str) -> None:
    if node.tag != f"{_TAG}{kind}":
        name = shortened(node.tag.replace(_TAG, "!!"))
        raise _Refused(f"the tag {name} is not read here", "remove the tag", node.start_mark)


def _scalar(node: yaml.Node) -> Scalar:
    kind, text = node.tag.removeprefix(_TAG), node.value
    if node.tag == _MERGE:  # as a value, not as a key
        return str(text)
    if _HALF.search(text):
        what = f"half a character, an escape of UTF-16, in {ascii(text)[:60]}"
        raise _Refused(what, "write the character itself", node.start_mark)
    if kind not in _CORE:
        _refuse_other_tag(node, "str")
    pattern, make = _CORE[kind]
    if not pattern.match(text):
        raise _Refused(f"{shortened(text)!r} is no !!{kind}", "remove the tag", node.start_mark)
    if kind in {"int", "float"} and len(text) > _LONGEST_NUMBER:
        what = f"a number of {len(text):,} characters: {shortened(text)}"
        raise _Refused(what, "write it shorter, such as 1e-3", node.start_mark)
    try:
        return make(text)
    except OverflowError as error:
        what = f"{shortened(text)} is beyond what a number can hold, about 1e-323 to 1.8e308"
        raise _Refused(what, "write a number between", node.start_mark) from error
