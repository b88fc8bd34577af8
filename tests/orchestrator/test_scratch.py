"""A run's scratch folder comes and goes; those of dead processes go too."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.scratch import is_alive, own_folders_removed, scratch_folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of the test's own, to stand beside it."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.chdir(tmp_path)
    return place


@pytest.fixture
def dead_pid():
    """Give the number of a process that has just ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_we_stand_in_an_empty_folder_and_come_back(temporary, tmp_path):
    """Ray puts where we stand first on its workers' path."""
    with scratch_folder() as folder:
        assert folder.parent == temporary
        assert Path.cwd().parent == folder
        assert list(Path.cwd().iterdir()) == []
        (folder / "file").write_text("x")
    assert Path.cwd() == tmp_path
    assert list(temporary.iterdir()) == []


def test_it_is_removed_when_the_block_fails(temporary, tmp_path):
    """And we stand where we stood."""
    with pytest.raises(ValueError, match="of the block"), scratch_folder():
        raise ValueError("of the block")
    assert Path.cwd() == tmp_path
    assert list(temporary.iterdir()) == []


def test_what_a_late_child_wrote_is_removed_at_the_end(temporary):
    """Folders of this process made within the block, not those before it or of others."""
    kept = [f"minima-{os.getpid()}-before", f"minima-{os.getppid()}-abc"]
    for name in kept:
        (temporary / name).mkdir()
    with own_folders_removed():
        late = temporary / f"minima-{os.getpid()}-late"
        late.mkdir()
        (late / "progress.json").write_text("{}")
    assert sorted(path.name for path in temporary.iterdir()) == sorted(kept)


def test_folders_of_dead_processes_are_removed(temporary, dead_pid):
    """Those of living ones, and what others named otherwise, stay."""
    kept = [f"minima-{os.getppid()}-abc", "minima-report", f"other-{dead_pid}-abc"]
    for name in [*kept, f"minima-{dead_pid}-abc_1"]:
        (temporary / name / "inside").mkdir(parents=True)
    with scratch_folder():
        pass
    assert sorted(path.name for path in temporary.iterdir()) == sorted(kept)


def test_a_folder_that_another_command_removes_meanwhile(temporary, dead_pid, monkeypatch):
    """Two commands may start at once."""
    (temporary / f"minima-{dead_pid}-abc").symlink_to(temporary / "gone")
    with scratch_folder() as folder:
        assert folder.is_dir()


def test_plugins_found_from_here_are_found_from_there(temporary, tmp_path, monkeypatch):
    """PYTHONPATH is made absolute before we stand elsewhere; an empty part means here."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["plugins", "/abs", ""]))
    with scratch_folder():
        parts = os.environ["PYTHONPATH"].split(os.pathsep)
    assert parts == [str(tmp_path / "plugins"), "/abs", str(tmp_path)]


def test_who_is_alive(dead_pid, monkeypatch):
    """A process of another user is."""
    assert is_alive(os.getpid())
    assert not is_alive(dead_pid)

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_alive(1)


QUIET = """
import os
from orchestrator.scratch import quiet_stdout
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
