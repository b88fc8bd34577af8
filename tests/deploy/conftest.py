"""What tests of the scripts for SLURM share: a job whose commands are stand-ins."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

StartJob = Callable[..., tuple[subprocess.Popen, Path]]


@pytest.fixture
def make_job(tmp_path):
    """Make what starts a script as SLURM would; every process it started ends with the test."""
    commands, logs = tmp_path / "bin", tmp_path / "logs"
    for folder in (commands, logs):
        folder.mkdir()
    started: list[subprocess.Popen] = []

    def make(script: Path, stand_ins: Mapping[str, str], told: Mapping[str, str]) -> StartJob:
        for name, text in stand_ins.items():
            (commands / name).write_text(f"#!/usr/bin/env bash\n{text}")
            (commands / name).chmod(0o755)
        path = f"{commands}:{os.environ['PATH']}"
        environment = {"PATH": path, "LOGS": str(logs), "SLURM_JOB_ID": "41234", **told}
        command = ["bash", script, "paper-kld", "/shared/store", "--data-dir", "/shared/cifar 10"]

        def start(*files: str, code: int = 0) -> tuple[subprocess.Popen, Path]:
            """Start it, with files that tell the stand-ins what to do; the process, and what was called."""
            (logs / "code").write_text(str(code))
            for name in files:
                (logs / name).touch()
            started.append(subprocess.Popen(command, env=environment))
            return started[-1], logs

        return start

    yield make
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def wait_for():
    """Wait until a stand-in has made a file."""
    return _wait_for


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.02)
