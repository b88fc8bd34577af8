"""Groups are those that rows are in, whatever pandas takes for granted of categories."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import analysis

FOLDER = Path(analysis.__file__).parent
GROUPING = {"groupby", "pivot_table"}


def calls_of(path):
    tree = ast.parse(path.read_text())
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in GROUPING
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_every_grouping_says_so(path):
    """Before pandas 3 a group of no rows is made of every word that a text might be."""
    for call in calls_of(path):
        said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert said.get("observed") == "True", f"{path}, line {call.lineno}"


def test_there_are_groupings():
    """The calls are found."""
    assert sum(len(calls_of(path)) for path in FOLDER.rglob("*.py")) > 20
