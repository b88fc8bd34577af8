"""The RayJob and its store: whole, of the locked versions, closed to strangers, fit for restricted namespaces.

No cluster is here: what KubeRay's source says of each field stands in the tests that read it, its schema in `schemas`.
"""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from ray._private import ray_constants

from orchestrator.commands import sweep_commands
from orchestrator.commands.app import app
from orchestrator.monitor import progress
from orchestrator.planning.checks import check_sweep
from orchestrator.planning.sweep import read_sweep

DEPLOY = Path(__file__).parents[2] / "deploy"
RAY_VERSION = re.search(r"^ray==(\S+)", (DEPLOY / "requirements.lock").read_text(), re.M)[1]
PART = {"app.kubernetes.io/part-of": "minima"}


def load(name: str) -> dict[str, dict]:
    """Return the documents of a manifest by their kinds."""
    return {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / name).read_text())}


JOB = load("kuberay-job.yaml")
SPEC = JOB["RayJob"]["spec"]
CLUSTER = SPEC["rayClusterSpec"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]
AGGREGATE = load("kuberay-aggregate.yaml")["CronJob"]["spec"]
PODS = {
    "aggregate": AGGREGATE["jobTemplate"]["spec"]["template"],
    "submitter": SPEC["submitterPodTemplate"],
    "head": CLUSTER["headGroupSpec"]["template"],
    "worker": WORKERS["template"],
}


def container(name: str) -> dict:
    """Return the one container of a pod."""
    (found,) = PODS[name]["spec"]["containers"]
    return found


def test_versions_of_ray_are_the_locked_one():
    """KubeRay is told which Ray is in the image."""
    assert CLUSTER["rayVersion"] == RAY_VERSION


def test_a_worker_that_is_told_to_end_waits_for_its_trials_and_not_for_longer_than_it_may():
    """Ray's own patience is 30 s, whatever the grace period is."""
    (variable,) = container("worker")["env"]
    assert variable["name"] == "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
    assert variable["name"] in vars(ray_constants)
    assert 60 < int(variable["value"]) < PODS["worker"]["spec"]["terminationGracePeriodSeconds"]


def test_the_job_is_whole():
    """A retry is a new cluster, the submitter does not retry, nothing is left running, and it ends one day."""
    assert (JOB["RayJob"]["apiVersion"], SPEC["entrypoint"]) == ("ray.io/v1", "bash /sweep/run")
    assert SPEC["backoffLimit"] > 0
    assert SPEC["submitterConfig"]["backoffLimit"] == 0
    assert SPEC["shutdownAfterJobFinishes"] is True, "Kueue asks for it, and the TTL needs it"
    assert SPEC["ttlSecondsAfterFinished"] > 0
    assert SPEC["activeDeadlineSeconds"] > 0
    assert CLUSTER["authOptions"] == {"mode": "token"}


def test_a_queue_is_named_by_taking_out_one_sign():
    """Kueue knows a job by its label."""
    text = (DEPLOY / "kuberay-job.yaml").read_text()
    job = text.rpartition("\n---\n")[2].replace("# kueue", "kueue")
    labels = yaml.safe_load(job)["metadata"]["labels"]
    assert labels == PART | {"kueue.x-k8s.io/queue-name": "my-queue"}


@pytest.mark.parametrize("name", PODS)
def test_every_pod_is_admitted_to_a_restricted_namespace(name):
    """As the Pod Security Standards have it, the submitter's too; limits equal requests; no credentials."""
    pod, own = PODS[name]["spec"], container(name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    kinds = {kind for volume in pod.get("volumes", []) for kind in volume} - {"name"}
    assert kinds <= {"emptyDir", "persistentVolumeClaim", "configMap"}
    assert own["resources"]["limits"] == own["resources"]["requests"]
    assert {each["name"] for each in own.get("env", [])} <= {
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
    }


@pytest.mark.parametrize("name", PODS)
def test_only_the_job_itself_and_the_operator_reach_a_pod(name):
    """The policy picks our pods by a label, lets them reach each other, and the operator the dashboard."""
    policy = JOB["NetworkPolicy"]["spec"]
    own, operator = policy["ingress"]
    assert PODS[name]["metadata"]["labels"] == PART
    assert policy["podSelector"] == {"matchLabels": PART}
    assert policy["policyTypes"] == ["Ingress"]
    assert own == {"from": [{"podSelector": {"matchLabels": PART}}]}
    assert operator["ports"] == [{"protocol": "TCP", "port": 8265}]
    assert all(set(peer) == {"namespaceSelector", "podSelector"} for peer in operator["from"])


@pytest.mark.parametrize("name", ["head", "worker"])
def test_nodes_share_the_store_and_have_memory_for_objects(name):
    """One claim, which outlives the job, as no file that is deleted with it makes it."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container(name)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in PODS[name]["spec"]["volumes"]}
    assert set(mounts) == set(volumes)
    assert (mounts["store"], mounts["shared-memory"]) == ("/store", "/dev/shm")  # noqa: S108  # of a container
    assert volumes["shared-memory"]["emptyDir"]["medium"] == "Memory"
    claim = load("kuberay-store.yaml")["PersistentVolumeClaim"]
    assert volumes["store"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert "PersistentVolumeClaim" not in JOB


def test_the_head_takes_no_trial_and_workers_have_a_gpu_each():
    """Trials die with their worker alone, and have time to save."""
    assert CLUSTER["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in (CLUSTER["headGroupSpec"], WORKERS):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert WORKERS["minReplicas"] <= WORKERS["replicas"] <= WORKERS["maxReplicas"]
    assert PODS["worker"]["spec"]["terminationGracePeriodSeconds"] > 60
    assert container("worker")["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_averages_are_made_one_after_the_other_in_the_store_of_the_job():
    """By a command that is one; a pod that hangs is gone before the next."""
    own = container("aggregate")
    assert AGGREGATE["concurrencyPolicy"] == "Forbid"
    assert AGGREGATE["schedule"] == "0 * * * *"
    assert AGGREGATE["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600
    name, command, *arguments = own["args"]
    assert name == "minima"
    typer.main.get_command(app).commands[command].make_context(command, [*arguments])
    assert own["volumeMounts"] == [{"name": "store", "mountPath": "/store"}]
    (volume,) = PODS["aggregate"]["spec"]["volumes"]
    assert volume in PODS["worker"]["spec"]["volumes"]


def test_the_sweep_in_the_map_is_one(tmp_path):
    """It stands where the head sees it, and is read without a fault."""
    files = JOB["ConfigMap"]["data"]
    assert {"name": "sweep", "configMap": {"name": JOB["ConfigMap"]["metadata"]["name"]}} in PODS[
        "head"
    ]["spec"]["volumes"]
    assert {"name": "sweep", "mountPath": "/sweep", "readOnly": True} in container("head")[
        "volumeMounts"
    ]
    (tmp_path / "sweep.yaml").write_text(files["sweep.yaml"])
    path = str(tmp_path / "sweep.yaml")
    document, _ = read_sweep(path, ["dataset={name: digits}"])
    assert check_sweep(document, path, None).spec.name == "first"


def start_run(tmp_path: Path, minima: str) -> subprocess.Popen[str]:
    """Start what the head runs, in a group of its own as Ray's job server does; `minima` is what that stands for."""
    stand_ins = {
        "minima": f'echo "$@" >"{tmp_path}/told-minima"\n{minima}',
        "ray": f'echo "$@" >"{tmp_path}/told-ray"; exit 1',  # so that nothing waits for the end
        "python": f'exec {sys.executable} "$@"',
    }
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "run.sh").write_text(JOB["ConfigMap"]["data"]["run"])
    told = {"metadata": {"job_submission_id": "minima-x7k2p"}}  # as Ray's job server tells a job
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(told),
    }
    return subprocess.Popen(
        ["bash", tmp_path / "run.sh"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


LOST = "the cluster is lost: no node that could hold a trial was there for 300 s"
DRAINING = "1 of 8 trials done, 0 running, draining: trials save and leave"


@pytest.mark.parametrize(
    ("code", "told", "stops"),
    [
        (0, ["8 of 8 trials done"], False),
        (1, ["a trial failed"], False),
        (2, ["no model named 'resnet65'"], True),
        (3, [DRAINING], True),
        (3, [LOST], False),
        (3, [DRAINING, LOST], True),
        (4, ["internal error"], False),
    ],
)
def test_what_a_retry_would_only_repeat_stops_the_job(code, told, stops, tmp_path):
    """Of a job that is stopped KubeRay makes no new cluster (checkBackoffLimitAndUpdateStatusIfNeeded).

    A cluster that is lost is a reason for one, unless the run was asked to end.
    """
    lines = "\n".join([*told, "not finished: the same command resumes"])
    process = start_run(tmp_path, f"cat >&2 <<'END'\n{lines}\nEND\nexit {code}")
    shown, _ = process.communicate(timeout=20)
    assert process.returncode == code
    assert shown.startswith(f"{lines}\n")
    run = (tmp_path / "told-minima").read_text()
    assert run == "run /sweep/sweep.yaml --address auto --store /store/minima\n"
    stopped = tmp_path / "told-ray"
    assert stopped.exists() == stops
    if stops:
        words = "job stop --no-wait --address http://127.0.0.1:8265 minima-x7k2p\n"
        assert stopped.read_text() == words


def test_what_the_job_reads_is_what_a_run_says():
    """The words by which a lost cluster and a drain are told apart stand in the code that prints them."""
    looked_for = re.findall(r"grep -q '\^?(.+?)'", JOB["ConfigMap"]["data"]["run"])
    said = [inspect.getsource(module) for module in (sweep_commands, progress)]
    assert [words in text for words, text in zip(looked_for, said, strict=True)] == [True, True]


def test_a_run_that_is_ended_with_its_job_can_still_speak(tmp_path, wait_for):
    """Ray's job server signals all of the job; a run that nobody hears any more would leave before it has saved."""
    minima = f"""
        trap 'echo saving; touch "{tmp_path}/saved"; exit 3' TERM
        echo running
        while :; do sleep 0.05; done
    """
    process = start_run(tmp_path, minima)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    os.killpg(process.pid, signal.SIGTERM)
    wait_for(tmp_path / "saved")
    shown, _ = process.communicate(timeout=20)
    assert shown.splitlines()[-1] == "saving"
