"""The locks hold every direct dependency, pinned and hashed, for every platform we name."""

import itertools
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = {path.stem: path for path in sorted((ROOT / "deploy").glob("*.lock"))}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

WANTED = {
    "requirements": PROJECT["dependencies"],
    "requirements-dev": PROJECT["dependencies"] + EXTRAS["dev"],
    "requirements-gpu": PROJECT["dependencies"] + EXTRAS["gpu"] + EXTRAS["cluster"],
    "requirements-build": ["hatchling>=1.27"],
    "requirements-oracles": EXTRAS["oracles"],
}

PLATFORMS = [
    {"sys_platform": system, "platform_system": name, "platform_machine": machine}
    for system, name, machine in [
        ("linux", "Linux", "x86_64"),
        ("linux", "Linux", "aarch64"),
        ("darwin", "Darwin", "arm64"),
    ]
]
ENVIRONMENTS = [
    platform | {"python_version": version, "python_full_version": f"{version}.0"}
    for platform, version in itertools.product(PLATFORMS, ["3.11", "3.12", "3.13"])
]


def entries(lock: str) -> list[tuple[Requirement, list[str]]]:
    """Give each pinned requirement with the lines that follow it."""
    found: list[tuple[Requirement, list[str]]] = []
    for line in LOCKS[lock].read_text().splitlines():
        text = line.removesuffix("\\").strip()
        if line.startswith(" "):
            found[-1][1].append(text)
        else:
            found.append((Requirement(text), []))
    return found


def applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    """Whether a requirement is one on this platform."""
    return requirement.marker is None or requirement.marker.evaluate(environment)


def test_every_lock_is_tested():
    """A new lock is added above."""
    assert set(LOCKS) == set(WANTED)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_one_version_with_hashes(lock):
    """Exact versions, SHA-256 of every file, and no address of an index or of a file."""
    for requirement, lines in entries(lock):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert lines, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines), requirement


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda item: "-".join(item.values()))
@pytest.mark.parametrize("lock", LOCKS)
def test_direct_dependencies_are_pinned_once_on_every_platform(lock, environment):
    """Linux on x86-64 and arm64, macOS on Apple silicon, Python 3.11 to 3.13."""
    pinned = {
        canonicalize_name(requirement.name): requirement.specifier
        for requirement, _ in entries(lock)
        if applies(requirement, environment)
    }
    for text in WANTED[lock]:
        wanted = Requirement(text)
        if not applies(wanted, environment):
            continue
        (pin,) = pinned[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(pin.version), (text, pin.version)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda item: "-".join(item.values()))
@pytest.mark.parametrize("lock", LOCKS)
def test_no_package_has_two_versions_on_one_platform(lock, environment):
    """Entries of one name exclude each other by their markers."""
    applying = Counter(
        requirement.name for requirement, _ in entries(lock) if applies(requirement, environment)
    )
    assert set(applying.values()) == {1}


@pytest.mark.parametrize("variant", ["requirements-dev", "requirements-gpu"])
def test_the_variants_change_no_version(variant):
    """What is tested is what is shipped: the same pins, with packages added."""
    pins = {str(requirement) for requirement, _ in entries("requirements")}
    assert pins <= {str(requirement) for requirement, _ in entries(variant)}


def test_the_oracles_stand_beside_the_development_environment():
    """Their lock repeats no package of it, so that it can be installed elsewhere without dependencies."""
    names = [
        {canonicalize_name(requirement.name) for requirement, _ in entries(lock)}
        for lock in ("requirements-dev", "requirements-oracles")
    ]
    assert not names[0] & names[1]


def test_the_oracles_bring_no_gpu_libraries():
    """On Linux PyTorch is a CPU build, whose files are pinned as in the file the lock is made from."""
    lock = LOCKS["requirements-oracles"].read_text()
    assert lock.endswith((ROOT / "deploy" / "torch-cpu.txt").read_text())
    pins = {str(requirement) for requirement, _ in entries("requirements-oracles")}
    assert 'torch==2.13.0+cpu; sys_platform == "linux"' in pins
    assert not [pin for pin in pins if pin.startswith(("nvidia", "cuda", "triton", "torchvision"))]


def test_the_build_lock_is_part_of_the_one_for_development():
    """An image is built by the versions that the checks ran with."""
    pins = {str(requirement) for requirement, _ in entries("requirements-build")}
    assert pins <= {str(requirement) for requirement, _ in entries("requirements-dev")}
