"""What is shipped: a wheel of three packages, an sdist with tests, deploy and locks, the licence in both."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = ("orchestrator", "workers", "analysis")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
LICENCE = (ROOT / "deploy/LICENSE").read_bytes()
# https://www.apache.org/licenses/LICENSE-2.0.txt, and Debian's /usr/share/common-licenses/Apache-2.0
APACHE_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def source_files(*suffixes: str) -> set[str]:
    """Names of the packages' files that end so."""
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in suffixes
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the sdist, built from the tree by what the lock holds."""
    if find_spec("hatchling") is None or not (ROOT / "README.md").is_file():
        pytest.skip("building needs hatchling (in deploy/requirements-dev.lock) and README.md")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", folder]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


def test_the_licence_is_the_plain_text_of_apache_2():
    """Byte for byte; pyproject names it by its identifier and by its file."""
    assert sha256(LICENCE).hexdigest() == APACHE_SHA256
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["deploy/LICENSE"]


def test_the_citation_is_well_formed():
    """In the Citation File Format: this version, its authors, and the papers as the README cites them."""
    cited = yaml.safe_load((ROOT / "deploy/CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert (cited["type"], cited["title"], cited["version"]) == ("software", "minima", VERSION)
    assert cited["authors"] == PROJECT["authors"] == [{"name": "The minima authors"}]
    assert cited["license"] == PROJECT["license"]
    readme = (ROOT / "README.md").read_text()
    for paper in cited["references"]:
        (identifier,) = paper["identifiers"]
        number = identifier["value"].removeprefix("arXiv:")
        assert f"*{paper['title']}*, arXiv {number} ({paper['year']})" in readme
        assert paper["authors"][0]["family-names"] in readme
    assert cited["references"][0]["title"] == "How Many Factors Influence Minima in SGD?"
    assert len(cited["references"]) == 3


def test_no_address_is_named_that_nobody_holds():
    """There is no public repository yet; one is named here when there is."""
    assert "urls" not in PROJECT


@pytest.mark.slow
def test_the_wheel_holds_the_three_packages_and_their_data(built):
    """Every module, sweep and mark of types is in it; tests, deploy and the READMEs are not."""
    assert built["wheel"].name == f"sgd_minima-{VERSION}-py3-none-any.whl"
    names = set(zipfile.ZipFile(built["wheel"]).namelist())
    packed = {name for name in names if ".dist-info/" not in name}
    assert packed == source_files(".py", ".yaml", ".typed", ".jinja", ".css", ".js")
    assert "orchestrator/sweeps/quickstart.yaml" in packed
    assert {f"{package}/py.typed" for package in PACKAGES} <= packed


@pytest.mark.slow
def test_the_wheel_holds_the_licence_and_says_whose_it_is(built):
    """Name, version, licence and authors; the command's name is not the distribution's."""
    packed = zipfile.ZipFile(built["wheel"])
    about = f"sgd_minima-{VERSION}.dist-info"
    assert packed.read(f"{about}/licenses/deploy/LICENSE") == LICENCE
    metadata = message_from_string(packed.read(f"{about}/METADATA").decode())
    assert (metadata["Name"], metadata["Version"]) == ("sgd-minima", VERSION)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "The minima authors"
    entry_points = packed.read(f"{about}/entry_points.txt").decode()
    assert entry_points == "[console_scripts]\nminima = orchestrator.cli:main\n"


@pytest.mark.slow
def test_the_wheel_installed_alone_says_its_version(built, tmp_path):
    """By its own metadata, whatever other distributions there are; as a package and as code."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path]
    subprocess.run([*command, built["wheel"]], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator", "--version"],
        check=True, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == f"minima {VERSION}\n"


@pytest.mark.slow
def test_the_sdist_holds_all_that_is_tested_and_deployed(built):
    """Packages with their READMEs, tests, deploy with licence and locks, checks, and how to take part."""
    start = f"sgd_minima-{VERSION}/"
    with tarfile.open(built["sdist"]) as packed:
        names = {name.removeprefix(start) for name in packed.getnames()}
        licence = packed.extractfile(f"{start}deploy/LICENSE").read()
    tracked = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.split()
    wanted = set(tracked) or source_files(".py", ".yaml", ".typed", ".md", ".jinja", ".css", ".js")
    assert licence == LICENCE
    assert wanted <= names
    assert {"deploy/requirements.lock", "deploy/CITATION.cff", "tests/conftest.py"} <= names
    assert names - wanted <= {"PKG-INFO"} or not tracked
