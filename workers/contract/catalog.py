"""From a public name to the code behind it: name → "module:attribute", imported only when used."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
from pathlib import Path
from typing import Literal

from workers.contract.errors import Fault, UserError, did_you_mean, shortened, user_error
from workers.contract.plugin_source import gives_name
from workers.contract.registry import DATASETS, LOSSES, MODELS, STATISTICS

Kind = Literal["model", "dataset", "loss", "statistic"]

CATALOG: dict[Kind, dict[str, str]] = {
    "model": {name: f"workers.models.{name}:build" for name in MODELS},
    "dataset": {name: f"workers.datasets.{name}:load" for name in DATASETS},
    "loss": {name: f"workers.losses.{name}:ITEM" for name in LOSSES},
    "statistic": {name: f"workers.statistics.{name}:measure" for name in STATISTICS},
}

_PLUGIN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_plugin(name: str) -> bool:
    """Return whether the name is a user's own "package.module:function"."""
    return _PLUGIN.fullmatch(name) is not None


def unknown_name_fault(kind: Kind, name: str, where: str) -> Fault:
    """Build the fault for a name that is neither in the catalog nor a plugin."""
    mend = f'{did_you_mean(name, CATALOG[kind])} Your own: "package.module:function"'
    return Fault(f"no {kind} named {shortened(name)!r}", where, mend)


def resolve(kind: Kind, name: str, where: str = "") -> object:
    """Import the object behind a name.

    Raises:
        UserError: The name is unknown, or the plugin cannot be imported.
    """
    path = CATALOG[kind].get(name, name)
    if not is_plugin(path):
        raise UserError([unknown_name_fault(kind, name, where or kind)])
    module_name, attribute = path.split(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # a user's module may raise anything while it loads
        raise user_error(
            f"the {kind} {name!r} cannot be imported: {type(error).__name__}: {error}",
            where=where or kind,
            mend="install the package where every worker can import it, or mend the name",
        ) from error


def plugin_digest(name: str, where: str) -> str | None:
    """Digest the source of a plugin's module, without running it; None for built-in names.

    The packages above the module are imported, as Python needs them to find it.

    Raises:
        UserError: The module cannot be found, has no file, or its source does not give the name.
    """
    if not is_plugin(name):
        return None
    module_name, attribute = name.split(":")
    try:
        found = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):  # ValueError: a module that was not imported from a file
        found = None
    if found is None or found.origin is None or not found.has_location:
        raise user_error(
            f"no module with a file named {module_name!r}",
            where=where,
            mend=f"install the package that holds {name!r} in this environment",
        )
    content = Path(found.origin).read_bytes()
    if found.origin.endswith(".py"):
        _check_gives_name(content, attribute, found.origin, where)
    return hashlib.sha256(content).hexdigest()[:20]


def _check_gives_name(content: bytes, attribute: str, path: str, where: str) -> None:
    try:
        is_given = gives_name(content, attribute)
    except (SyntaxError, ValueError) as error:
        raise user_error(
            f"{path} is not Python: {type(error).__name__}: {error}",
            where=where,
            mend="mend the file",
        ) from error
    if not is_given:
        raise user_error(
            f"{path} defines no {attribute!r}",
            where=where,
            mend="mend the name after the colon, or define it at the top level of the module",
        )
