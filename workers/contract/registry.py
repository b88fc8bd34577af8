"""Every item of the project, found by its folder: a file that declares `ITEM` is the item of its name.

Other files of these folders are not imported. The imports are by name, as no import may run up from here.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import TypeVar

from workers.contract.items import DatasetItem, LossItem, ModelItem, StatisticItem

_DECLARES = re.compile(rb"^ITEM = ", re.MULTILINE)

_MEND = "at module level an item imports of workers.contract only what items.py names"

Item = TypeVar("Item")


def items_of(package: str, kind: type[Item]) -> dict[str, type[Item]]:
    """Import the items of a package, by name in alphabetical order.

    Raises:
        ImportError: A file cannot be imported, as when it needs what is made of the items.
        TypeError: An `ITEM` is of another kind, or of another name than its file.
    """
    found = importlib.util.find_spec(package)
    folders = [] if found is None else found.submodule_search_locations or []
    files = sorted(path for folder in folders for path in Path(folder).glob("*.py"))
    names = [path.stem for path in files if _DECLARES.search(path.read_bytes())]
    return {name: _item(package, name, kind) for name in names}


def _item(package: str, name: str, kind: type[Item]) -> type[Item]:
    try:
        item = importlib.import_module(f"{package}.{name}").ITEM
    except ImportError as error:
        raise ImportError(f"{package}.{name} cannot be read: {error}; {_MEND}") from error
    if not (isinstance(item, type) and issubclass(item, kind)):
        raise TypeError(f"ITEM of {package}.{name} is no {kind.__name__}")
    fields = getattr(item, "model_fields", {})
    declared = fields["name"].default if "name" in fields else getattr(item, "name", None)
    if declared != name:
        raise TypeError(
            f"ITEM of {package}.{name} is called {declared!r}, not {name!r} as its file"
        )
    return item


STATISTICS = items_of("workers.statistics", StatisticItem)
MODELS = items_of("workers.models", ModelItem)
DATASETS = items_of("workers.datasets", DatasetItem)
LOSSES = items_of("workers.losses", LossItem)
