"""A command whose standard streams are closed, or of a locale without Greek, does its work all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
COMMAND = f"{sys.executable} -P -m orchestrator.cli"


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of a shell in a folder."""
    environment = os.environ | {"PYTHONPATH": str(HOME)} | variables
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=folder, env=environment, capture_output=True, check=False
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_fault(closed, tmp_path):
    """What would be printed there goes nowhere, and not into a file that got its number."""
    ended = shell(f"{COMMAND} sweeps {closed}", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert (b"quickstart" in ended.stdout) == (">&-" not in closed.replace("2>&-", ""))
    refused = shell(f"{COMMAND} run no-such-sweep {closed}", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert (b"no-such-sweep" in refused.stderr) == ("2>&-" not in closed)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_letter_that_the_locale_lacks_is_written_as_its_escape(encoding, tmp_path):
    """In tables, and in what is made for other programs."""
    question = "SELECT 'η' AS name"
    for form in ("table", "csv"):
        line = f'{COMMAND} query "{question}" --format {form}'
        asked = shell(line, tmp_path, PYTHONIOENCODING=encoding)
        assert (asked.returncode, asked.stderr) == (0, b"")
        assert rb"\u03b7" in asked.stdout
