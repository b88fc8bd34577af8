"""What a statistic of the user's own must return."""

import pytest

from workers import trial_measuring
from workers.contract.errors import UserError


@pytest.mark.parametrize(
    ("returned", "fault"),
    [
        ([], "no measurements"),
        (None, "NoneType"),
        ((1, 2), "tuple"),
        ([1], "something other than Measurements"),
    ],
)
def test_a_statistic_that_returns_something_else_is_a_fault(returned, fault):
    """An empty list too: its measurement would count as done without a value."""
    with pytest.raises(UserError) as caught:
        trial_measuring._checked(returned, "own.sharpness:measure")
    assert str(caught.value) == (
        f"the statistic 'own.sharpness:measure' returned {fault}\n"
        "  where: measure\n"
        "  mend:  return a non-empty list of workers.contract.records.Measurement"
    )
