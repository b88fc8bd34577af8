"""The tools in PyTorch that measurements are held against: imported, or the tests skipped with the cure."""

from __future__ import annotations

from types import ModuleType

import pytest

CURE = (
    "the oracles are not installed; python -m pip install --no-deps --require-hashes "
    "--extra-index-url https://download.pytorch.org/whl/cpu -r deploy/requirements-oracles.lock"
)


def peer(name: str) -> ModuleType:
    """Import a peer; skip all tests of the calling module where it is absent."""
    module: ModuleType = pytest.importorskip(name, reason=CURE)
    return module
