"""What code of the user's own raises is told as its fault; what the machine lacks is not."""

from __future__ import annotations

import pytest

from workers.attempts.plugin_call import calling
from workers.contract.errors import Drained, UserError, user_error

PLACES = {"model": "model.name", "dataset": "dataset.name", "loss": "loss", "statistic": "measure"}


@pytest.mark.parametrize(("kind", "where"), PLACES.items())
def test_an_exception_of_a_plugin_is_a_user_error(kind, where):
    """With its type and message, where its name stands, and what it is called with."""
    with pytest.raises(UserError) as caught, calling(kind, "own.code:make", "(settings, seed)"):
        raise LookupError("no such key")
    [fault] = caught.value.faults
    assert fault.what == f"the {kind} 'own.code:make' raised LookupError: no such key"
    assert fault.where == where
    assert fault.mend == (
        "mend the code, which is called with (settings, seed); the log shows the line"
    )
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize(
    "error",
    [
        Drained("stopped"),
        MemoryError(),
        OSError(28, "No space left"),
        user_error("w", where="h", mend="m"),
    ],
    ids=repr,
)
def test_what_is_not_the_codes_fault_goes_on_as_it_is(error):
    """A stop, a full memory or disk, and faults that are told already."""
    with pytest.raises(type(error)) as caught, calling("loss", "own.code:make", "nothing"):
        raise error
    assert caught.value is error


def test_built_in_code_keeps_its_exceptions():
    """They are bugs of ours."""
    with pytest.raises(LookupError), calling("loss", "kld", "nothing"):
        raise LookupError
