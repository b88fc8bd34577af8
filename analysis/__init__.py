"""Conclude from records: load, aggregate, predict, query, report. No TensorFlow, no Ray."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.notebook.door import NotebookStore

__all__ = ["open_store"]


def open_store(uri: str | os.PathLike[str]) -> NotebookStore:
    """Open a store for reading by local path, s3:// or gs:// URI.

    Raises:
        UserError: There is no store.
        StoreError: The place cannot be read.
    """
    # every module of the package imports this file, and most of them need no pandas
    from analysis.notebook.door import opened

    return opened(os.fspath(uri) if isinstance(uri, os.PathLike) else uri)
