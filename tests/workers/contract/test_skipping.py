"""The kind in a skipped statistic's reason is read as it was written."""

from __future__ import annotations

from typing import get_args

import pytest

from workers.contract.records import Outcome
from workers.contract.skipping import skipped_kind, skipped_reason


@pytest.mark.parametrize("kind", [*get_args(Outcome), "unstable"])
def test_the_kind_is_read_from_the_reason(kind):
    """Whatever the sentence holds; the text is the one of earlier stores."""
    reason = skipped_reason(kind, "λ₁ = 3: too large")
    assert reason == f"{kind}: λ₁ = 3: too large"
    assert skipped_kind(reason) == kind


def test_what_was_not_skipped_has_no_kind():
    """Null in the column."""
    assert skipped_kind(None) is None
