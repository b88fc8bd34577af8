"""Matplotlib imported as if nobody had set it up: a backend or file of the user's may not even be readable."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def import_matplotlib() -> None:
    """Import Matplotlib with its own defaults, once, for this process alone.

    It reads MPLBACKEND and the first `matplotlibrc` of the working folder, MATPLOTLIBRC and its folder
    of settings as it is imported, and refuses to be where one of them is damaged or names what is not here.
    """
    found = importlib.util.find_spec("matplotlib")
    home = Path(found.origin).parent if found and found.origin else Path()
    os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": str(home / "mpl-data" / "matplotlibrc")}
    with _away_from_a_file_of_settings():
        importlib.import_module("matplotlib")


@contextlib.contextmanager
def _away_from_a_file_of_settings() -> Iterator[None]:
    """Leave the working folder where it holds a file that comes before all others."""
    if not Path("matplotlibrc").is_file():
        yield
        return
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
        yield
