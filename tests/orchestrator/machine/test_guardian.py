"""What a driver has started ends with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.machine import guardian

SCRIPT = """
import subprocess, sys, time
from pathlib import Path
from orchestrator.machine.guardian import guarded
scratch = Path(sys.argv[1])
with guarded(scratch):
    left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
    (scratch / 'pid').write_text(str(left.pid))
    if sys.argv[2] == 'wait':
        time.sleep(600)
"""


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at /proc")
@pytest.mark.parametrize("end", ["leave", "wait"])
def test_nothing_outlives_the_driver(tmp_path, end):
    """A process that left its parent's session is ended too; a killed driver's scratch is removed."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(scratch), end], env=os.environ
    ) as driver:
        note = tmp_path / "scratch" / "pid"
        assert wait_until(lambda: note.exists() and note.read_text() != "")
        pid = int(note.read_text())
        if end == "wait":
            assert not is_gone(pid)
            driver.kill()
        driver.wait(20)
    assert wait_until(lambda: is_gone(pid))
    if end == "wait":
        assert wait_until(lambda: not scratch.exists())


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at /proc")
def test_who_stands_in_the_scratch_folder_is_ended_whatever_name_it_has(tmp_path):
    """TMPDIR may be a link; a process that has lost the mark stands in the folder all the same."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    scratch = tmp_path / "link" / "scratch"
    scratch.mkdir()
    with guardian.guarded(scratch):
        unmarked = {key: value for key, value in os.environ.items() if key != guardian.MARK}
        sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
        standing = subprocess.Popen(sleeper, cwd=scratch, env=unmarked)
    assert standing.wait(20) == -signal.SIGKILL


def test_a_guardian_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    """It is ended in its turn, and the driver leaves."""
    monkeypatch.setattr(guardian, "_LONGEST_SECONDS", 0.5)
    before = psutil.Process().children()
    with guardian.guarded(tmp_path):
        (stopped,) = (child for child in psutil.Process().children() if child not in before)
        stopped.send_signal(signal.SIGSTOP)
    assert not stopped.is_running()
