"""The script of a SLURM job array, walked through with scontrol and minima of our own."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "array.sbatch"

COMMANDS = {
    "scontrol": """
        echo "$@" >>"$LOGS/scontrol"
    """,
    # A trial that saves when it is asked to, which takes a moment
    "minima": """
        echo "$@" >>"$LOGS/minima"
        trap 'sleep 0.3; exit 3' TERM
        touch "$LOGS/running"
        while [[ -e $LOGS/long ]]; do sleep 0.05; done
        exit "$(cat "$LOGS/code")"
    """,
}


@pytest.fixture
def job(make_job):
    """Start the script as SLURM would the last task, whose number is the array's; give it and what was called."""
    told = {"SLURM_JOB_ID": "41234", "SLURM_ARRAY_JOB_ID": "41234", "SLURM_ARRAY_TASK_ID": "17"}
    return make_job(SCRIPT, COMMANDS, told)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
def test_the_code_of_the_trial_is_the_code_of_its_job(job, code):
    """The trial is the one of the job's place in the array; nothing is queued again by itself."""
    process, logs = job(code=code)
    assert process.wait(timeout=20) == code
    assert (logs / "minima").read_text() == (
        "trial paper-kld --store /shared/store --index 17 --data-dir /shared/cifar 10\n"
    )
    assert not (logs / "scontrol").exists()


@pytest.mark.parametrize(
    ("number", "queued"), [(signal.SIGUSR1, "requeue 41234_17\n"), (signal.SIGTERM, "")]
)
def test_a_trial_that_must_end_saves_first(job, wait_for, number, queued):
    """Near the time limit its job alone is queued again, not the array; by somebody's wish it is not."""
    process, logs = job("long")
    wait_for(logs / "running")
    process.send_signal(number)
    assert process.wait(timeout=20) == 3
    noted = logs / "scontrol"
    assert (noted.read_text() if noted.exists() else "") == queued


def test_without_an_array_it_says_what_is_missing(tmp_path):
    """As when submitted without --array."""
    answer = subprocess.run(
        ["bash", SCRIPT, "paper-kld", str(tmp_path)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "submit with --array" in answer.stderr
