"""Folders as users write them."""

from pathlib import Path

import pytest

from workers.contract.errors import UserError
from workers.contract.local_folder import local_folder


def test_a_folder_is_made_absolute(tmp_path, monkeypatch):
    """From the working directory, or from the home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert local_folder("data", "--store") == tmp_path / "data"
    assert local_folder("~/data", "--store") == Path("/somewhere/data")


def test_a_folder_as_seen_from_one_that_is_gone(tmp_path, monkeypatch):
    """A whole path needs no folder to stand in."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(
        UserError, match=r"'\./store' is meant from the folder we stand in"
    ) as error:
        local_folder("./store", "--store")
    assert "mend:  go to another folder, or write the whole path" in str(error.value)
    assert local_folder("/data", "--data-dir") == Path("/data")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("written", "what", "mend"),
    [
        (
            "~no-such-user/x",
            "'~no-such-user/x' names a home folder that is not known",
            "write the whole path",
        ),
        ("/x\udcff", "a path that is not UTF-8: b'/x\\xff'", "rename the folder"),
        (
            "none/" + "a" * 256,
            "a name in the path is longer than 255 bytes: none/" + "a" * 55 + "…",
            "choose a shorter path",
        ),
        (
            "/a" * 2000,
            "the path is longer than 3800 bytes: " + "/a" * 30 + "…",
            "choose a shorter path",
        ),
    ],
)
def test_a_folder_that_cannot_be_is_a_fault(written, what, mend):
    """Told with the option it came from."""
    with pytest.raises(UserError) as caught:
        local_folder(written, "--store")
    assert str(caught.value) == f"{what}\n  where: --store\n  mend:  {mend}"
