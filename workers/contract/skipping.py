"""Why a statistic has no values: the text in column `skipped_reason`, made and parsed here alone."""

from __future__ import annotations

from typing import Literal

from workers.contract.records import Outcome

Skipping = Outcome | Literal["unstable"]
"""`unstable`: SGD would run away from the minimum at the rate asked for. Else how training ended."""


def skipped_reason(kind: Skipping, why: str) -> str:
    """Return the text of a kind of skipping with its reason, a sentence."""
    return f"{kind}: {why}"


def skipped_kind(reason: str | None) -> str | None:
    """Return the kind that a text of `skipped_reason` begins with; None where nothing was skipped."""
    return reason.partition(":")[0] if reason else None
