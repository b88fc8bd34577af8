"""A command whose standard streams are closed, or of a locale without Greek, does its work all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[3]
COMMAND = f"{sys.executable} -P -m orchestrator"
CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of a shell in a folder."""
    environment = os.environ | {"PYTHONPATH": str(HOME)} | variables
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=folder, env=environment, capture_output=True, check=False
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_fault(closed, tmp_path):
    """What would be printed there goes nowhere."""
    ended = shell(f"{COMMAND} sweeps {closed}", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert (b"quickstart" in ended.stdout) == (closed == "2>&-")
    refused = shell(f"{COMMAND} run no-such-sweep {closed}", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert (b"no-such-sweep" in refused.stderr) == (closed == ">&-")


TOLD = """
import os, subprocess, sys
from pathlib import Path
from orchestrator.machine.standard_streams import mend_standard_streams
mend_standard_streams()
told = open("told", "w")
for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
    print(stream.fileno() == number, Path(f"/proc/self/fd/{number}").readlink(), file=told)
told.flush()
child = "import os; os.write(1, b'child'); os.write(2, b'child'); assert os.read(0, 1) == b''"
subprocess.run([sys.executable, "-c", child], check=True)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at /proc")
@pytest.mark.parametrize("closed", CLOSED)
def test_no_file_gets_the_number_of_a_closed_stream(closed, tmp_path):
    """Neither here nor in a child, which would write into the file what it prints."""
    (tmp_path / "tell.py").write_text(TOLD)
    ended = shell(f"{sys.executable} tell.py {closed}", tmp_path)
    assert (ended.returncode, ended.stderr.replace(b"child", b"")) == (0, b"")
    told = (tmp_path / "told").read_text().split("\n")[:3]
    numbers = {"<&-": [0], ">&-": [1], "2>&-": [2]}.get(closed, [0, 1, 2])
    for number, line in enumerate(told):
        assert line.startswith("True ")
        assert line.endswith("/dev/null") or number not in numbers


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_letter_that_the_locale_lacks_is_written_as_its_escape(encoding, tmp_path):
    """In what is made for other programs; a table for people spells it."""
    (tmp_path / "minima-store/sweeps").mkdir(parents=True)
    question = "SELECT 'η' AS name"
    for form in ("table", "csv"):
        line = f'{COMMAND} query "{question}" --format {form}'
        asked = shell(line, tmp_path, PYTHONIOENCODING=encoding)
        assert asked.returncode == 0, asked.stderr
        assert set(asked.stderr.splitlines()) <= {b"reading the store ..."}  # where it is slow
        assert (b"eta" if form == "table" else rb"\u03b7") in asked.stdout
