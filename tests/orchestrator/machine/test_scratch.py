"""A run's scratch folder comes and goes; those of dead processes go too."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.machine import scratch
from orchestrator.machine.processes import space_digest
from orchestrator.machine.scratch import own_folders_removed, own_prefix, scratch_folder
from workers.contract.errors import UserError

HERE = space_digest()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of the test's own, to stand beside it."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.chdir(tmp_path)
    return place


def test_we_stand_in_an_empty_folder_and_come_back(temporary, tmp_path):
    """Ray puts where we stand first on its workers' path."""
    with scratch_folder() as folder:
        assert folder.parent == temporary
        assert Path.cwd().parent == folder
        assert list(Path.cwd().iterdir()) == []
        (folder / "file").write_text("x")
    assert Path.cwd() == tmp_path
    assert list(temporary.iterdir()) == []


def test_where_we_stood_may_be_renamed_meanwhile(temporary, tmp_path, monkeypatch):
    """Then we stand in it under its new name."""
    (tmp_path / "start").mkdir()
    monkeypatch.chdir(tmp_path / "start")
    with scratch_folder():
        (tmp_path / "start").rename(tmp_path / "renamed")
    assert Path.cwd() == tmp_path / "renamed"
    assert list(temporary.iterdir()) == []


def test_where_we_stood_may_be_removed_meanwhile(temporary, tmp_path, monkeypatch):
    """The scratch folder goes all the same."""
    (tmp_path / "start").mkdir()
    monkeypatch.chdir(tmp_path / "start")
    with scratch_folder():
        (tmp_path / "start").rmdir()
    assert list(temporary.iterdir()) == []
    monkeypatch.chdir(tmp_path)


def test_a_long_place_for_temporary_files_is_too_long_for_sockets(tmp_path, dead_pid, monkeypatch):
    """As batch systems set TMPDIR; what a killed process left in the short place goes too."""
    short = tmp_path / "short"
    short.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_SHORT_PLACE", str(short))
    monkeypatch.chdir(tmp_path)
    with scratch_folder(is_for_sockets=True) as folder:
        assert folder.parent == short
    with scratch_folder() as folder:
        assert folder.parent == tmp_path
    left = short / f"minima-{HERE}-{dead_pid}-abc"
    left.mkdir()
    with scratch_folder():
        assert not left.exists()


@pytest.mark.parametrize("is_for_sockets", [True, False])
def test_where_no_folder_can_be_made_the_cure_is_told(tmp_path, monkeypatch, is_for_sockets):
    """In TMPDIR, or in the short place for sockets."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    monkeypatch.setattr(scratch, "_SHORT_PLACE", str(tmp_path / "none"))
    refused = pytest.raises(UserError, match="no folder for temporary files can be made")
    with refused as told, scratch_folder(is_for_sockets=is_for_sockets):
        pass
    assert str(tmp_path / "none") in str(told.value)
    assert "where: TMPDIR" in str(told.value)
    assert "mend:  set it to a folder that can be written, has room, and has a" in str(told.value)


def test_it_is_removed_when_the_block_fails(temporary, tmp_path):
    """And we stand where we stood."""
    with pytest.raises(ValueError, match="of the block"), scratch_folder():
        raise ValueError("of the block")
    assert Path.cwd() == tmp_path
    assert list(temporary.iterdir()) == []


def test_what_a_late_child_wrote_is_removed_at_the_end(temporary):
    """Folders of this process made within the block, not those before it or of others."""
    kept = [f"{own_prefix()}before", f"minima-{HERE}-{os.getppid()}-abc"]
    for name in kept:
        (temporary / name).mkdir()
    with own_folders_removed():
        late = temporary / f"{own_prefix()}late"
        late.mkdir()
        (late / "progress.json").write_text("{}")
    assert sorted(path.name for path in temporary.iterdir()) == sorted(kept)


def test_folders_of_dead_processes_are_removed(temporary, dead_pid):
    """Those of living ones, of another host or a container, and what others named otherwise, stay."""
    dead = f"minima-{HERE}-{dead_pid}-abc_1"
    elsewhere = f"minima-{'0' * len(HERE)}-{dead_pid}-abc"
    kept = [f"minima-{HERE}-{os.getppid()}-abc", "minima-report", f"other-{dead}", elsewhere]
    for name in [*kept, dead]:
        (temporary / name / "inside").mkdir(parents=True)
    with scratch_folder():
        pass
    assert sorted(path.name for path in temporary.iterdir()) == sorted(kept)


def test_a_folder_that_another_command_removes_meanwhile(temporary, dead_pid, monkeypatch):
    """Two commands may start at once."""
    (temporary / f"minima-{HERE}-{dead_pid}-abc").symlink_to(temporary / "gone")
    with scratch_folder() as folder:
        assert folder.is_dir()


def test_plugins_found_from_here_are_found_from_there(temporary, tmp_path, monkeypatch):
    """PYTHONPATH is made absolute before we stand elsewhere; an empty part means here."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["plugins", "/abs", ""]))
    with scratch_folder():
        parts = os.environ["PYTHONPATH"].split(os.pathsep)
    assert parts == [str(tmp_path / "plugins"), "/abs", str(tmp_path)]


QUIET = """
import os
from orchestrator.machine.scratch import quiet_stdout
print("before")
try:
    with quiet_stdout():
        print("python")
        os.write(1, b"descriptor")
        os.system("echo child")
        BLOCK
except ValueError:
    pass
print("after")
"""


@pytest.mark.parametrize("block", ["pass", "raise ValueError"])
def test_libraries_are_quiet_on_standard_output(block):
    """Python's, the descriptor's and children's; afterwards it is ours again, also after a failure."""
    done = subprocess.run(
        [sys.executable, "-c", QUIET.replace("BLOCK", block)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("before\nafter\n", "")
