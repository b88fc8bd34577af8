"""The files that start clusters: well-formed, of the locked versions, closed to strangers."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MACHINE = ROOT / "tests" / "deploy" / "machines" / "machine"
SCRIPTS = [
    ROOT / ".ci" / "run",
    *(DEPLOY / name for name in ("lock", "slurm.sbatch", "array.sbatch")),
    MACHINE,
]
MANIFESTS = ["compose.yaml", "ray-cluster.yaml", "kuberay-job.yaml"]

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
RAY_VERSION = re.search(r"^ray==(\S+)", (DEPLOY / "requirements.lock").read_text(), re.M)[1]


def load(name: str) -> dict:
    return yaml.safe_load((DEPLOY / name).read_text())


def ray_starts() -> dict[str, list[str]]:
    """Give every `ray start` of the files as a list of words."""
    compose, launcher = load("compose.yaml")["services"], load("ray-cluster.yaml")
    commands = {
        "compose head": compose["head"]["command"],
        "compose worker": compose["worker"]["command"],
        "launcher head": launcher["head_start_ray_commands"][-1],
        "launcher worker": launcher["worker_start_ray_commands"][-1],
    }
    return {name: shlex.split(command) for name, command in commands.items()}


def judge(linter: str, path: Path) -> None:
    """Run a linter of the development environment, which finds nothing; loudly skip without one."""
    found = which(linter, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{linter.upper()} IS NOT INSTALLED HERE: {path.name} was not judged by it")
    answer = subprocess.run([found, path], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_well_formed(script):
    """Read by bash and by shellcheck. They stop at the first error."""
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    judge("shellcheck", script)


@pytest.mark.parametrize("name", MANIFESTS)
def test_images_are_of_this_version(name):
    """The tag is the project's version."""
    images = re.findall(r"image: \S*minima:(\S+)", (DEPLOY / name).read_text())
    assert images
    assert {image.removesuffix("-gpu") for image in images} == {VERSION}


@pytest.mark.parametrize("name", ["ray-cluster.yaml", "kuberay-job.yaml"])
def test_clusters_that_need_ray_default_use_the_image_that_has_it(name):
    """KubeRay and the launcher call parts of Ray that the plain package lacks."""
    assert set(re.findall(r"image: \S*minima:(\S+)", (DEPLOY / name).read_text())) == {
        f"{VERSION}-gpu"
    }
    locked = (DEPLOY / "requirements-gpu.lock").read_text()
    assert re.search(r"^aiohttp==", locked, re.M)
    assert re.search(r"^virtualenv==", locked, re.M)


def test_versions_of_ray_are_the_locked_one():
    """KubeRay is told which Ray is in the image."""
    assert load("kuberay-job.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == RAY_VERSION


@pytest.mark.parametrize("place", ray_starts())
def test_every_option_of_ray_start_exists(place):
    """As the installed Ray declares them."""
    from ray.scripts.scripts import start  # two seconds, in this test alone

    known = {option for parameter in start.params for option in parameter.opts}
    words = ray_starts()[place]
    assert words[:2] == ["ray", "start"]
    assert {word.split("=")[0] for word in words[2:]} <= known
    assert "--disable-usage-stats" in words


@pytest.mark.parametrize("place", ["compose head", "launcher head"])
def test_heads_take_no_trial_and_show_no_dashboard(place):
    """Zero CPUs and GPUs; the dashboard is off or on loopback."""
    words = set(ray_starts()[place])
    assert {"--head", "--num-cpus=0", "--num-gpus=0"} <= words
    assert words & {"--include-dashboard=false", "--dashboard-host=127.0.0.1"}


def test_every_cluster_asks_for_a_token():
    """And none is written in a file."""
    compose = load("compose.yaml")["services"]
    for service in compose.values():
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["environment"]["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")
    launcher = load("ray-cluster.yaml")
    assert "--env=RAY_AUTH_MODE=token" in launcher["docker"]["run_options"]
    assert "~/.ray/auth_token" in launcher["file_mounts"].values()
    job = load("kuberay-job.yaml")["spec"]["rayClusterSpec"]
    assert job["authOptions"] == {"mode": "token"}
    assert "RAY_AUTH_MODE=token" in (DEPLOY / "slurm.sbatch").read_text()


def test_the_token_of_compose_is_ignored_by_git():
    """It is written beside the file."""
    assert "deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_compose_shares_one_store_and_waits_for_the_head():
    """Every node sees the same folder; a worker starts when the head answers."""
    services = load("compose.yaml")["services"]
    assert all("store:/store" in service["volumes"] for service in services.values())
    assert services["worker"]["depends_on"] == {"head": {"condition": "service_healthy"}}
    named = {volume.split(":")[0] for s in services.values() for volume in s["volumes"]}
    named.discard("${MINIMA_DATA")
    assert named <= set(load("compose.yaml")["volumes"])


def launcher_schema() -> dict:
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    return json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())


def test_the_launcher_file_fits_rays_schema():
    """Ray has no dry run; its schema is the one the launcher itself checks against."""
    import jsonschema  # comes with Ray

    jsonschema.validate(load("ray-cluster.yaml"), launcher_schema())


def test_the_launcher_file_names_as_many_workers_as_it_starts():
    """Ray's provider for machines of one's own wants both addresses, and caps at their number."""
    launcher = load("ray-cluster.yaml")
    assert launcher["provider"]["type"] == "local"
    assert launcher["provider"]["head_ip"]
    assert launcher["max_workers"] == len(launcher["provider"]["worker_ips"])
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in ray_starts()["launcher head"]


def test_the_kuberay_job_is_whole():
    """Retries make new clusters, the submitter does not retry, nothing is left running."""
    job = load("kuberay-job.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert spec["backoffLimit"] > 0
    assert spec["submitterConfig"]["backoffLimit"] == 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert shlex.split(spec["entrypoint"])[:2] == ["minima", "run"]
    assert "s3://" in spec["entrypoint"]


def test_kuberay_pods_are_bounded_and_not_root():
    """Limits equal requests; shared memory is memory; the head takes no trial."""
    cluster = load("kuberay-job.yaml")["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    head = cluster["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    for group in (head, workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert container["volumeMounts"] == [{"name": "shared-memory", "mountPath": "/dev/shm"}]  # noqa: S108  # of a container
        assert pod["volumes"][0]["emptyDir"]["medium"] == "Memory"
        assert "env" not in container, "no credentials: a service account gives the rights"
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert workers["template"]["spec"]["terminationGracePeriodSeconds"] > 60
    assert (
        workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    )


def test_the_image_installs_from_the_locks_alone_and_runs_as_no_root():
    """Every pip install is hashed, or of our own wheel without dependencies."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install ([^&\n]+)", text)
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert "--no-build-isolation" in text
    assert text.index("\nUSER 1000\n") < text.index("\nENTRYPOINT ")
    assert 'ENTRYPOINT ["tini", "-g", "--"]' in text
    assert "RAY_USAGE_STATS_ENABLED=0" in text


def test_the_image_is_written_as_hadolint_asks():
    """Every rule but one, whose exception stands with its reason in the file."""
    judge("hadolint", DEPLOY / "Dockerfile")


def test_the_image_is_built_from_nothing_but_what_it_copies():
    """The context leaves out data, stores and tokens."""
    lines = (ROOT / ".dockerignore").read_text().split()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert lines[0] == "*"
    assert {word for line in copied for word in line.split()} == allowed
