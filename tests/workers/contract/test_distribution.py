"""The version of what is installed, which is told in one way."""

from __future__ import annotations

import numpy as np
import pytest

from workers.contract import distribution
from workers.contract.distribution import installed_version


def test_the_version_is_that_of_the_metadata():
    """As the package itself says it."""
    assert installed_version("numpy") == np.__version__


def test_what_is_not_there_has_none():
    """A name that no index has."""
    assert installed_version("no-such-distribution-of-ours") is None


def test_without_a_name_it_is_ours(monkeypatch: pytest.MonkeyPatch):
    """Called `sgd-minima`: a package of the command's name on the public index is another one."""
    monkeypatch.setattr(distribution, "version", {"sgd-minima": "1.2", "minima": "0"}.__getitem__)
    assert installed_version() == "1.2"
