"""The SLURM script, walked through with srun, scontrol and minima of our own."""

import signal
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm.sbatch"

COMMANDS = {
    # srun starts Ray and runs what follows the separator, as symmetric-run does on the head
    "srun": """
        if [[ $1 == --ntasks-per-node=1 ]]; then shift; exec "$@"; fi
        echo "$@" >"$LOGS/srun"
        echo "$RAY_TMPDIR" >"$LOGS/ray-folder"
        stat -c %a "$RAY_TMPDIR" >"$LOGS/ray-folder-mode"
        cp "$RAY_AUTH_TOKEN_PATH" "$LOGS/token"
        stat -c %a "$RAY_AUTH_TOKEN_PATH" >"$LOGS/token-mode"
        [[ -e $LOGS/ray-does-not-start ]] && exit 0
        touch "$LOGS/ray-is-starting"
        while [[ -e $LOGS/ray-starts-late ]]; do sleep 0.05; done
        while [[ $1 != -- ]]; do shift; done
        shift
        exec "$@"
    """,
    "scontrol": """
        if [[ $1 == show ]]; then echo node7; echo node8; exit; fi
        echo "$@" >>"$LOGS/scontrol"
        ls -d "$HOME"/.cache/minima/* "/tmp/minima-$SLURM_JOB_ID" >"$LOGS/left-behind" 2>/dev/null || true
    """,
    "minima": """
        echo "$@" >>"$LOGS/minima"
        [[ -e $LOGS/deaf ]] || trap 'touch "$LOGS/stopped"' TERM
        touch "$LOGS/running"
        while [[ -e $LOGS/long && ! -e $LOGS/stopped ]]; do sleep 0.05; done
        [[ -e $LOGS/stopped ]] && exit 3
        exit "$(cat "$LOGS/code")"
    """,
}


@pytest.fixture
def job(make_job, tmp_path):
    """Start the script as SLURM would; give the process and the folder of what was called."""
    home = tmp_path / "home"
    home.mkdir()
    told = {
        "HOME": str(home),
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "16",
        "SLURM_GPUS_ON_NODE": "4",
    }
    return make_job(SCRIPT, COMMANDS, told)


def test_a_run_that_succeeds_is_a_job_that_succeeds(job, tmp_path):
    """The address is the first node's; the port follows from the job; the token is private."""
    process, logs = job()
    assert process.wait(timeout=20) == 0
    words = (logs / "srun").read_text().split()
    assert words[:6] == ["ray", "symmetric-run", "--address", "node7:21234", "--min-nodes", "2"]
    assert "--num-cpus 16 --num-gpus 4" in " ".join(words)
    assert (logs / "minima").read_text() == (
        "run paper-kld --store /shared/store --address node7:21234 --data-dir /shared/cifar 10\n"
    )
    assert len((logs / "token").read_text()) == 64
    assert (logs / "token-mode").read_text() == "600\n"
    assert not list((tmp_path / "home/.cache/minima").iterdir())
    assert (logs / "ray-folder").read_text() == "/tmp/minima-41234\n"  # noqa: S108
    assert (logs / "ray-folder-mode").read_text() == "700\n"
    assert not Path((logs / "ray-folder").read_text().strip()).exists()
    assert not (logs / "scontrol").exists()


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_the_code_of_the_run_is_the_code_of_the_job(code, job):
    """Nothing is queued again unless the time limit asked for it."""
    process, logs = job(code=code)
    assert process.wait(timeout=20) == code
    assert not (logs / "scontrol").exists()


def test_a_cluster_that_does_not_start_is_no_success(job):
    """symmetric-run leaves with 0 then; there is no exit code of the run, so the job fails."""
    process, _ = job("ray-does-not-start")
    assert process.wait(timeout=20) == 3


def test_near_the_time_limit_the_run_drains_and_is_queued_again(job, wait_for):
    """USR1 reaches the batch shell, and the job's own run alone: others of the sweep go on."""
    process, logs = job("long")
    wait_for(logs / "running")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 3
    assert (logs / "stopped").exists()
    assert len((logs / "minima").read_text().splitlines()) == 1
    assert (logs / "scontrol").read_text() == "requeue 41234\n"


def test_nothing_is_left_behind_when_the_job_is_queued_again(job, wait_for):
    """SLURM ends the batch shell then, which could no longer remove the token and Ray's files."""
    process, logs = job("long")
    wait_for(logs / "running")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 3
    assert (logs / "left-behind").read_text() == ""


def test_a_run_that_was_to_drain_before_it_began_does_not_begin(job, wait_for, tmp_path):
    """The cluster took too long to start; the job is queued again."""
    process, logs = job("ray-starts-late")
    wait_for(logs / "ray-is-starting")
    process.send_signal(signal.SIGUSR1)
    (private,) = (tmp_path / "home/.cache/minima").iterdir()
    wait_for(private / "drained")
    (logs / "ray-starts-late").unlink()
    assert process.wait(timeout=20) == 3
    assert not (logs / "minima").exists()
    assert (logs / "scontrol").read_text() == "requeue 41234\n"


def test_a_run_that_the_signal_ended_while_it_was_starting_is_queued_again(job, wait_for):
    """Before Python can answer a signal, it is the end of the process."""
    process, logs = job("long", "deaf")
    wait_for(logs / "running")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert (logs / "scontrol").read_text() == "requeue 41234\n"


def test_a_cancelled_job_drains_and_is_not_queued_again(job, wait_for):
    """TERM is somebody's wish that it end."""
    process, logs = job("long")
    wait_for(logs / "running")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 3
    assert (logs / "stopped").exists()
    assert not (logs / "scontrol").exists()
