"""The files that start clusters: well-formed, of the locked versions, closed to strangers."""

import json
import os
import platform
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
MACHINES = ROOT / "tests" / "deploy" / "machines"
STAND_INS = ("boot", "container", "rsync", "tmux")
SCRIPTS = [
    ROOT / ".ci" / "run",
    *(DEPLOY / name for name in ("lock", "slurm.sbatch", "array.sbatch")),
    *(MACHINES / name for name in ("machine", *(f"stand_ins/{each}" for each in STAND_INS))),
]
MANIFESTS = [
    "compose.yaml", "compose.gpu.yaml", "ray-cluster.yaml", "kuberay-job.yaml", "kuberay-aggregate.yaml",
]  # fmt: skip

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def load(name: str) -> dict:
    return yaml.safe_load((DEPLOY / name).read_text())


def ray_starts() -> dict[str, list[str]]:
    """Give every `ray start` of the files as a list of words."""
    compose, launcher = load("compose.yaml")["services"], load("ray-cluster.yaml")
    commands = {
        "compose head": compose["head"]["command"],
        "compose worker": compose["worker"]["command"],
        "launcher head": launcher["head_start_ray_commands"][-1].partition(" ")[2],
        "launcher worker": launcher["worker_start_ray_commands"][-1],
    }
    return {name: shlex.split(command) for name, command in commands.items()}


def judge(linter: str, path: Path) -> None:
    """Run a linter of the development environment, which finds nothing."""
    found = which(linter, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None and (linter, platform.machine()) == ("shellcheck", "aarch64"):
        pytest.skip(f"SHELLCHECK HAS NO WHEEL HERE: {path.name} was not judged by it")
    assert found is not None, f"{linter} is locked, and not installed"
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


def test_clusters_ask_for_a_token():
    """It comes from a file; those of compose and KubeRay are tested beside the rest of theirs."""
    launcher = load("ray-cluster.yaml")
    (folder,) = launcher["file_mounts"]
    assert {"--env=RAY_AUTH_MODE=token", f"--env=RAY_AUTH_TOKEN_PATH={folder}/auth_token"} <= set(
        launcher["docker"]["run_options"]
    )
    assert "RAY_AUTH_MODE=token" in (DEPLOY / "slurm.sbatch").read_text()


def launcher_schema() -> dict:
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    return json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())


def test_the_launcher_file_fits_rays_schema():
    """Ray has no dry run; its schema is the one the launcher itself checks against."""
    import jsonschema  # comes with Ray

    jsonschema.validate(load("ray-cluster.yaml"), launcher_schema())


def test_the_launcher_file_names_its_machines():
    """Ray's provider for machines of one's own wants the addresses of both kinds."""
    launcher = load("ray-cluster.yaml")
    assert launcher["provider"]["type"] == "local"
    assert launcher["provider"]["head_ip"]
    assert launcher["provider"]["worker_ips"]
    assert "max_workers" not in launcher, "Ray takes their number"
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in ray_starts()["launcher head"]


def test_the_launchers_head_starts_workers_with_the_autoscaler_that_can():
    """Ray 2.60's second one, which `ray up` asks for, never starts any of machines of one's own: walked."""
    start = load("ray-cluster.yaml")["head_start_ray_commands"][-1]
    assert start.startswith("RAY_enable_autoscaler_v2=0 ray start ")


def test_the_image_installs_from_the_locks_alone_and_runs_as_no_root():
    """Every pip install is hashed, or of our own wheel without dependencies."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install ([^&\n]+)", text)
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert "--no-build-isolation" in text
    assert "\nARG USER_ID=1000\n" in text, "a number, as Kubernetes asks to see that it is not root"
    assert text.index("\nUSER $USER_ID\n") < text.index("\nENTRYPOINT ")
    assert "RAY_USAGE_STATS_ENABLED=0" in text


def test_the_end_of_a_container_is_told_to_its_command_alone():
    """With -g tini would signal the whole group: the raylet dies of it while `ray start --block` waits for trials."""
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert json.loads(entry) == ["tini", "--"]
    for service in ("head", "worker"):
        words = load("compose.yaml")["services"][service]["command"].split()
        assert words[:2] == ["ray", "start"], (
            "no shell between, which would keep the signal to itself"
        )
        assert "--block" in words


def test_the_image_says_what_it_is():
    """Its labels, in the names of the Open Container Initiative."""
    text = (DEPLOY / "Dockerfile").read_text()
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', text))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert labels == {
        "title": "minima",
        "description": project["description"],
        "version": VERSION,
        "licenses": project["license"],
    }


def test_the_image_has_what_the_launcher_calls():
    """Copies by rsync, workers reached by ssh, a run left alone by tmux, and a login shell that finds `ray`."""
    text = (DEPLOY / "Dockerfile").read_text()
    packages = re.search(r"apt-get install (.*) \\\n", text)[1].split()
    assert {"openssh-client", "rsync", "tmux"} <= set(packages)
    assert 'echo "PATH=/opt/minima/bin:\\$PATH" >/etc/profile.d/minima.sh' in text
    assert "HOME=/home/minima" in text, "where the launcher finds ~ before a container runs"


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
