"""The RayJob and its store: whole, of the locked versions, closed to strangers, fit for restricted namespaces.

No cluster is here: what KubeRay's source says of each field stands in the tests that read it, its schema in `schemas`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from ray._private import ray_constants

from orchestrator.commands.app import app
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


@pytest.mark.parametrize(
    ("code", "stops"), [(0, False), (1, False), (2, True), (3, True), (4, False)]
)
def test_what_a_retry_would_only_repeat_stops_the_job(code, stops, tmp_path):
    """Of a job that is stopped KubeRay makes no new cluster (checkBackoffLimitAndUpdateStatusIfNeeded)."""
    stand_ins = {
        "minima": f'echo "$@" >"{tmp_path}/told-minima"; exit {code}',
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
    done = subprocess.run(["bash", tmp_path / "run.sh"], env=environment, check=False)
    assert done.returncode == code
    run = (tmp_path / "told-minima").read_text()
    assert run == "run /sweep/sweep.yaml --address auto --store /store/minima\n"
    stopped = tmp_path / "told-ray"
    assert stopped.exists() == stops
    if stops:
        words = "job stop --no-wait --address http://127.0.0.1:8265 minima-x7k2p\n"
        assert stopped.read_text() == words
