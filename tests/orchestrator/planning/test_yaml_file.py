"""YAML is read strictly."""

from __future__ import annotations

import math
import time

import pytest

from orchestrator.planning.yaml_file import parse_yaml
from workers.contract.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1.0e-3", 1e-3),
        ("5E4", 5e4),
        (".5", 0.5),
        ("12", 12),
        ("-3", -3),
        ("1e3", 1000.0),
        ("+7", 7),
        ("1.", 1.0),
        ("016", 16),
        ("0o17", 15),
        ("0x1F", 31),
        ("-.INF", -math.inf),
        ("TRUE", True),
        ("~", None),
        ("!!str 016", "016"),
        ("! 5", "5"),  # the non-specific tag makes a scalar text
        ("! true", "true"),
        ("! [! 5, 5]", ["5", 5]),
        ("!!float 1", 1.0),
        *(
            (text, text)
            for text in (
                "on",
                "yes",
                "no",
                "1:30",
                "1_000",
                "2024-01-01",
                "0b1",
                "0.1e",
                "1 2",
                "<<",
            )
        ),
    ],
)
def test_scalars_are_what_the_core_schema_of_yaml_1_2_says(text, value):
    """PyYAML alone reads version 1.1: 016 as 14, 1:30 as 90, `on` as true, 1e-3 as text."""
    found = parse_yaml(f"x: {text}", "a.yaml")
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


def test_a_written_key_wins_over_a_merged_one_and_an_earlier_merged_one_over_a_later():
    """As the merge type defines; `<<` of a mapping that merges itself is followed."""
    text = "- &a {x: 1, y: 2}\n- &b {<<: *a, y: 3, z: 4}\n- {z: 5, <<: [*a, *b]}\n"
    assert parse_yaml(text, "a.yaml")[1:] == [{"x": 1, "y": 3, "z": 4}, {"x": 1, "y": 2, "z": 5}]


def test_what_an_alias_stands_for_is_a_copy():
    """So that an override below one of them leaves the other."""
    first, second = parse_yaml("[&a {x: 1}, *a]", "a.yaml")
    first["x"] = 2
    assert second == {"x": 1}


NINES = "a0: &a0 [1]\n" + "".join(
    f"a{each}: &a{each} [{', '.join([f'*a{each - 1}'] * 9)}]\n" for each in range(1, 12)
)
TOO_MANY = "more than 50,000 values, what aliases stand for counted each time"
TOO_DEEP = "values nested more than 40 deep, or an anchor that holds itself"
A_TEMPLATE = "a mapping stands where a key should"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param(NINES, TOO_MANY, id="9¹¹ values in 600 bytes"),
        pytest.param("[" + "1," * 100_000 + "]", TOO_MANY, id="many"),
        pytest.param("[" * 100_000, TOO_DEEP, id="lists"),
        pytest.param("{a: " * 10_000, TOO_DEEP, id="mappings"),
        pytest.param("&a [*a]", TOO_DEEP, id="itself"),
        pytest.param("x: " + "1" * 10**5, "a number of 100,000 characters: 1111", id="integer"),
        pytest.param("x: 0x" + "f" * 10**5, "a number of 100,002 characters: 0xff", id="hex"),
        (r'x: "\ud800"', r"half a character, an escape of UTF-16, in '\ud800'"),
        (r'"a\uDC00": 1', r"half a character, an escape of UTF-16, in 'a\udc00'"),
        ("x: 1e400", "1e400 is beyond what a number can hold, about 1e-323 to 1.8e308"),
        ("x: 1e-400", "1e-400 is beyond what a number can hold, about 1e-323 to 1.8e308"),
        ("x: {{ lr }}", A_TEMPLATE),
        ("x: [{{ lr }}]", A_TEMPLATE),
        ("x: {% if a %}", "not YAML: while scanning for the next token, found character '%'"),
        ("x: !!timestamp y", "the tag !!timestamp is not read here"),
        ("x: !!set {a}", "the tag !!set is not read here"),
        ("x: !mine y", "the tag !mine is not read here"),
        ("x: !!int y", "'y' is no !!int"),
        ("x: !!bool ''", "'' is no !!bool"),
        ("x: {<<: 3}", "<< merges mappings, and this is none"),
        ("a: &a {}\nx: {<<: *a, <<: *a}", "not YAML: the key '<<' stands here twice"),
        (
            "a: 1\n---\nb: 2",
            "not YAML: expected a single document in the stream, but found another",
        ),
        ("x: *a", "not YAML: found undefined alias 'a'"),
        ("[a]: 1", "a list stands where a key should"),
    ],
)
def test_what_is_beyond_a_sweep_is_told_in_little_time(text, what):
    """Each with its line and column; the longest takes less than a second on an idle machine."""
    started = time.process_time()
    with pytest.raises(UserError) as error:
        parse_yaml(text, "a.yaml")
    (fault,) = error.value.faults
    assert fault.what.startswith(what)
    assert fault.where.startswith("a.yaml, line ")
    if "{{" in text or "{%" in text:
        assert fault.mend.startswith("a template was left in: fill in its values first")
    assert time.process_time() - started < 5


def test_a_key_twice_is_a_fault_with_its_line():
    """The second value would silently win otherwise."""
    with pytest.raises(UserError) as error:
        parse_yaml("loss: kld\nseeds: 3\nloss: squared_error\n", "a.yaml")
    fault = error.value.faults[0]
    assert fault.what == "not YAML: the key 'loss' stands here twice"
    assert fault.where == "a.yaml, line 3, column 1"


def test_broken_yaml_names_line_and_column():
    """Where to look is part of the message."""
    with pytest.raises(UserError) as error:
        parse_yaml("grid: {batch_size: [1, 2}\n", "a.yaml")
    assert error.value.faults[0].where.startswith("a.yaml, line 1, column")


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['true']", "? [a, b]\n: 1", "\x00"]
)
def test_nothing_but_plain_values_is_read(text):
    """No Python object is ever made of a sweep file."""
    with pytest.raises(UserError):
        parse_yaml(text, "a.yaml")
