"""What code of the user's own raises is told as its fault; what the machine lacks is not."""

from __future__ import annotations

import importlib
import sys

import pytest

from workers.attempts.plugin_call import as_fault_of_plugin, calling
from workers.contract.errors import Drained, UserError, user_error
from workers.contract.plugin_call import PluginLeft

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


OWN = """
def raise_error(error):
    raise error
"""


@pytest.fixture
def own_loss(tmp_path, monkeypatch, make_trial):
    """A trial with a loss of the user's own, and that loss."""
    (tmp_path / "own_raising.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("own_raising")
    yield make_trial(loss="own_raising:raise_error"), module.raise_error
    del sys.modules["own_raising"]


def raise_here(error: BaseException) -> None:
    raise error


def raised(error: BaseException, function=raise_here) -> BaseException:
    """Raise an error, here or in another file, and return it with its traceback."""
    with pytest.raises(type(error)) as caught:
        function(error)
    return caught.value


@pytest.mark.parametrize(
    ("error", "told"),
    [(LookupError("no such key"), "LookupError: no such key"), (SystemExit(0), "SystemExit: 0")],
    ids=repr,
)
def test_what_training_meets_in_a_plugins_file_is_its_fault(error, told, own_loss):
    """Wherever it is called from; the same error of another file is not."""
    trial, function = own_loss
    found = as_fault_of_plugin(raised(error, function), trial)
    assert isinstance(found, UserError)
    [fault] = found.faults
    assert fault.what == f"'own_raising:raise_error' raised {told}"
    assert (fault.where, fault.mend) == ("loss", "mend the code; the log shows the line")
    assert found.__traceback__ is not None
    elsewhere = as_fault_of_plugin(raised(type(error)(*error.args)), trial)
    assert not isinstance(elsewhere, UserError)
    assert isinstance(elsewhere, PluginLeft if isinstance(error, SystemExit) else type(error))


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left")], ids=repr)
def test_what_the_machine_lacks_in_a_plugins_file_is_not_its_fault(error, own_loss):
    """It is tried again elsewhere, as for code of ours."""
    trial, function = own_loss
    assert as_fault_of_plugin(raised(error, function), trial) is error


def test_a_trial_without_plugins_has_none_at_fault(own_loss, make_trial):
    """A file of the user's that no key names."""
    _, function = own_loss
    error = raised(LookupError("x"), function)
    assert as_fault_of_plugin(error, make_trial()) is error
