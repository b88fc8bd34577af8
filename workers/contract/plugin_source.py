"""Whether a module's source gives a name, read without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ANY_NAME = {"*", "__getattr__"}
"""With `from … import *` or a module's own `__getattr__`, only running it would tell."""


def gives_name(source: bytes, name: str) -> bool:
    """Return whether the source defines, assigns or imports a name at its top level.

    Raises:
        SyntaxError: It is not Python.
    """
    try:
        tree = ast.parse(source)
    except ValueError as error:  # for null bytes, before Python 3.11.4
        raise SyntaxError(str(error)) from error
    names = set(_names(tree.body))
    return name in names or not names.isdisjoint(_ANY_NAME)


def _names(statements: Sequence[ast.AST]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, _DEFINITIONS):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from (each.asname or each.name.partition(".")[0] for each in statement.names)
        elif isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
            yield statement.id
        else:  # targets of an assignment, and what stands under if, try, with or for
            yield from _names(list(ast.iter_child_nodes(statement)))
