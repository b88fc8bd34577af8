"""A sweep is read from a file or by name, and overrides are applied as written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.planning.sweep import read_sweep
from workers.contract.errors import UserError


def fault_of(sweep, *overrides):
    with pytest.raises(UserError) as error:
        read_sweep(str(sweep), list(overrides))
    return error.value.faults[0]


def test_overrides_reach_into_keys_and_replace_them():
    """A dotted path makes what is not there; a value is YAML."""
    document, where = read_sweep(
        "quickstart", ["training.epochs=3", "seeds=[4, 5]", "training.convergence.stop=true"]
    )
    assert where == "built-in sweep quickstart"
    assert document["training"]["epochs"] == 3
    assert document["training"]["convergence"] == {"stop": True}
    assert document["seeds"] == [4, 5]


@pytest.mark.parametrize("override", ["epochs", "=3", "a..b=3", ".a=1"])
def test_a_malformed_override_is_named(override):
    """The form is told with an example."""
    fault = fault_of("quickstart", override)
    assert fault.what == "not of the form key.path=value"
    assert fault.where == f"--set {override}"


def test_an_override_below_a_value_is_refused():
    """Loss is a name and has no keys."""
    assert fault_of("quickstart", "loss.depth=3").what == "'loss' holds a value, not keys"


def test_an_unknown_name_offers_the_nearest():
    """Neither a file nor a built-in sweep."""
    fault = fault_of("quickstrat")
    assert fault.what == "no sweep file 'quickstrat', and no built-in sweep of that name"
    assert "did you mean 'quickstart'?" in fault.mend


def test_a_path_that_no_file_can_have_is_a_fault():
    """With the words of the system."""
    fault = fault_of("a" * 300)
    assert fault.what == "cannot look for the sweep: File name too long"
    assert fault.where == "SWEEP"
    assert fault.mend == "give the path of a YAML file, or a name of `minima sweeps`"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "not a sweep: the file is empty"),
        (b"- 1\n", "not a sweep: the file holds a list"),
        (b"\xff\xfe\x00\x01", "not a text file"),
        (b"x" * 1_000_001, "not a sweep: more than 1,000,000 bytes"),
    ],
)
def test_files_that_are_no_sweep(tmp_path, content, what):
    """Empty, binary, huge or no mapping: said as such."""
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    fault = fault_of(path)
    assert fault.what == what
    assert str(path) in fault.where


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_there_and_no_file_is_told_as_that(tmp_path, make):
    """And is not opened: a pipe would wait for ever."""
    make(tmp_path / "sweep.yaml")
    fault = fault_of(tmp_path / "sweep.yaml")
    assert fault.what.endswith("is no file but a folder, a pipe or a device")
    assert (fault.where, fault.mend) == ("SWEEP", "give the YAML file of a sweep")
