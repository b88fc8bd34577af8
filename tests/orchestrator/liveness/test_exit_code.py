"""What a command decided to leave with is known to who ends its process."""

from __future__ import annotations

import sys

import pytest

from orchestrator.liveness import exit_code
from orchestrator.liveness.exit_code import code_noted, decided_code


@pytest.fixture(autouse=True)
def _nothing_decided(monkeypatch):
    monkeypatch.setattr(exit_code, "_decided", [])


def test_the_code_of_a_block_is_noted():
    """And goes on; before, there is none."""
    assert decided_code(otherwise=3) == 3
    with pytest.raises(SystemExit), code_noted():
        sys.exit(0)
    assert decided_code(otherwise=3) == 0


def test_no_code_is_none():
    """Of a block that ends, fails, or leaves with words."""
    with code_noted():
        pass
    with pytest.raises(OSError, match="full"), code_noted():
        raise OSError("full")
    with pytest.raises(SystemExit), code_noted():
        sys.exit("words")
    assert decided_code(otherwise=3) == 3
