"""The compose file and its variant for GPUs: closed, bounded, and up again after a fault."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from ray._private import ray_constants

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
GPU = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())
SERVICES = COMPOSE["services"]
NODES = ["head", "worker"]


@pytest.mark.parametrize("name", NODES)
def test_the_token_is_a_file_and_no_variable(name):
    """Nobody reads it in the environment of a container; it is written beside the file and ignored by git."""
    node = SERVICES[name]
    told = {key: node["environment"][key] for key in node["environment"] if "AUTH" in key}
    assert told == {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": f"/run/secrets/{node['secrets'][0]}",
    }
    assert COMPOSE["secrets"] == {"auth_token": {"file": "auth_token"}}
    assert "deploy/auth_token" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_image_is_built_for_who_owns_the_token():
    """Compose mounts a secret as it is: of the same owner and mode as on the host."""
    assert SERVICES["head"]["build"]["args"]["USER_ID"] == "${USER_ID:-1000}"
    assert "ARG USER_ID=1000\n" in (DEPLOY / "Dockerfile").read_text()
    assert "export USER_ID=$(id -u)" in (DEPLOY / "compose.yaml").read_text()


@pytest.mark.parametrize(
    ("user_id", "is_one"),
    [("1000", True), ("501", True), ("0", False), ("root", False), ("", False)],
)
def test_an_image_for_root_is_refused_with_the_way_out(user_id, is_one):
    """Before anything is installed; compose says the same at its head."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    check = re.search(r'^ARG USER_ID=1000\n(?:#.*\n)*RUN (case "\$USER_ID" .*)$', text, re.M)
    answer = subprocess.run(
        ["sh", "-c", check[1]],
        env={"USER_ID": user_id},
        capture_output=True,
        text=True,
        check=False,
    )
    sentence = (
        f"USER_ID is '{user_id}', not the number of a user who is not root:"
        " write the token and build as a user in the group docker\n"
    )
    assert (answer.returncode, answer.stderr) == ((0, "") if is_one else (2, sentence))
    assert "as a user in the group docker" in (DEPLOY / "compose.yaml").read_text()


def test_nodes_share_one_store_and_workers_wait_for_the_head():
    """Every node sees the same folder; a worker starts when the head answers."""
    assert all("store:/store" in SERVICES[name]["volumes"] for name in NODES)
    assert SERVICES["worker"]["depends_on"] == {"head": {"condition": "service_healthy"}}
    named = {volume.split(":")[0] for each in SERVICES.values() for volume in each["volumes"]}
    named.discard("${MINIMA_DATA")
    assert named == set(COMPOSE["volumes"]) - {"no-data"}


@pytest.mark.parametrize("name", NODES)
def test_nodes_are_watched_bounded_and_started_again(name):
    """None takes more than its share of the host, or gains rights; trials have time to save."""
    node = SERVICES[name]
    assert node["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert set(node["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert node["restart"] == "unless-stopped"
    assert (node["cap_drop"], node["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert node["stop_grace_period"] == "2m"


def test_a_worker_that_is_told_to_stop_waits_for_its_trials_and_not_for_longer_than_it_may():
    """Ray's own patience is 30 s, whatever the grace period is."""
    worker = SERVICES["worker"]
    assert 60 < int(worker["environment"]["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]) < 2 * 60
    assert "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S" in vars(ray_constants)


def test_a_worker_offers_no_more_cores_than_it_has():
    """Ray's number of them is that of the limit, with GPUs too."""
    for worker in (SERVICES["worker"], GPU["services"]["worker"]):
        (offered,) = re.findall(r"--num-cpus=(\d+)", worker["command"])
        assert worker["deploy"]["resources"]["limits"]["cpus"] == offered


def test_the_variant_with_gpus_changes_the_image_and_gives_the_worker_all_of_them():
    """Head and worker are of one image; the rest stays."""
    head, worker = GPU["services"]["head"], GPU["services"]["worker"]
    assert head["image"] == worker["image"] == f"{SERVICES['head']['image']}-gpu"
    assert head["build"]["args"] == {"VARIANT": "gpu"}
    (devices,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert devices == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_object_storage_starts_only_when_asked_for_and_never_without_keys():
    """Its keys are in a file that is ignored by git, which the nodes read where it is there."""
    storage = SERVICES["s3"]
    assert storage["profiles"] == ["s3"]
    assert storage["env_file"] == [{"path": "s3.env", "required": True}]
    assert all(
        SERVICES[name]["env_file"] == [{"path": "s3.env", "required": False}] for name in NODES
    )
    assert "deploy/s3.env" in (ROOT / ".gitignore").read_text().splitlines()
    assert re.fullmatch(r"\S+:\d+\.\d+", storage["image"]), "a version, not the latest"
    assert f"s3://{storage['environment']['S3_BUCKET']}/" in (DEPLOY / "compose.yaml").read_text()
    assert "ports" not in storage
