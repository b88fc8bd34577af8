"""YAML is read strictly."""

from __future__ import annotations

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
        ("on", True),
    ],
)
def test_numbers_with_exponents_are_numbers(text, value):
    """PyYAML alone reads 1e-3 as text."""
    found = parse_yaml(f"x: {text}", "a.yaml")
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


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
