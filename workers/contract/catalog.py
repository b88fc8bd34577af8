"""From a public name to the code behind it: name → "module:attribute", imported only when used."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Literal

from workers.contract.errors import Fault, UserError, did_you_mean, shortened, user_error
from workers.contract.plugin_call import PluginCall, having_the_word, message_of
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
    call = PluginCall(kind=kind, name=name, where=where or kind, is_import=True)
    try:
        with having_the_word(call) if is_plugin(name) else contextlib.nullcontext():
            return getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # a user's module may raise anything while it loads
        raise user_error(
            f"the {kind} {name!r} cannot be imported: {message_of(error)}",
            where=where or kind,
            mend="install the package where every worker can import it, or mend the name",
        ) from error


def plugin_digest(name: str, where: str) -> str | None:
    """Digest the source of a plugin's module, without running it; None for built-in names.

    Nor are the packages above it run, though one that changes its `__path__` hides what it adds.

    Raises:
        UserError: The module cannot be found, has no file, or its source does not give the name.
    """
    if not is_plugin(name):
        return None
    module_name, attribute = name.split(":")
    found = _spec_of(module_name)
    if found is None or found.origin is None or not found.has_location:
        raise user_error(
            f"no module with a file named {module_name!r}",
            where=where,
            mend=f"install the package that holds {name!r} in this environment",
        )
    try:
        content = Path(found.origin).read_bytes()
    except OSError as error:
        raise user_error(
            f"{found.origin} cannot be read: {error.strerror}", where=where, mend="mend the file"
        ) from error
    if found.origin.endswith(".py"):
        _check_gives_name(content, attribute, found.origin, where)
    return hashlib.sha256(content).hexdigest()[:20]


def _spec_of(module_name: str) -> ModuleSpec | None:
    """Find a module as `import` would, by what is imported already or through `sys.meta_path`."""
    if module_name in sys.modules:
        found: ModuleSpec | None = getattr(sys.modules[module_name], "__spec__", None)
        return found
    above, _, _ = module_name.rpartition(".")
    places = _places_in(above) if above else None
    if above and places is None:
        return None
    finders = (finder.find_spec(module_name, places) for finder in sys.meta_path)
    return next((found for found in finders if found is not None), None)


def _places_in(package: str) -> Sequence[str] | None:
    """Return the folders of a package; None where there is no such package."""
    if package in sys.modules:
        places: Sequence[str] | None = getattr(sys.modules[package], "__path__", None)
        return places
    found = _spec_of(package)
    return None if found is None else found.submodule_search_locations


def _check_gives_name(content: bytes, attribute: str, path: str, where: str) -> None:
    try:
        is_given = gives_name(content, attribute)
    except (SyntaxError, RecursionError, MemoryError) as error:  # the last: nested too deep
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
