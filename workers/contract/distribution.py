"""Under which name we are installed, and in which version that or another distribution is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "sgd-minima"
"""The name under which we are installed; the command is `minima`."""

NOT_INSTALLED = "not installed"
"""Told in place of a version."""


def installed_version(distribution: str = DISTRIBUTION) -> str | None:
    """Return the version a distribution is installed with; None where it is not, as with a source tree in use."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
