"""What is written beside the README says what is: rooms, files, names, laws, statistics, commands, versions."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from analysis.predictions import laws
from workers.contract.quantities import STATISTIC_QUANTITIES

ROOT = Path(__file__).parent.parent
PACKAGES = ("orchestrator", "workers", "analysis")
PAGES = [
    *(f"{package}/README.md" for package in PACKAGES),
    ".github/CONTRIBUTING.md",
    ".github/CHANGELOG.md",
]
TEXTS = {page: (ROOT / page).read_text() for page in PAGES}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
SOURCES = [
    path
    for folder in (*PACKAGES, "tests", "deploy", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".yaml", ""} and path.is_file()
]
COMMANDS = ("minima ", "pip ", "pytest ", "pyproject", "ruff ")


def layers(container: str) -> list[str]:
    """Names of the layers in a container, the highest first."""
    (found,) = [item for item in CONTRACTS if item.get("containers") == [container]]
    return [name.strip() for layer in found["layers"] for name in layer.split("|")]


def first_line(path: Path) -> str:
    """What a room or a file says of itself."""
    file = path / "__init__.py" if path.is_dir() else path
    return ast.get_docstring(ast.parse(file.read_text())).splitlines()[0]


def drawn(package: str) -> dict[str, str]:
    """Names as they are drawn, with what is said of each."""
    section = TEXTS[f"{package}/README.md"].partition("\n## Rooms\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^    (\S+)\s{2,}(.+)$", section, re.MULTILINE))


def table_rows(page: str, *, named: str) -> list[list[str]]:
    """Rows, below any heading, whose first cell is a name in code."""
    found = re.findall(rf"^\| `({named})` \| (.*) \|$", TEXTS[page], re.MULTILINE)
    return [[name, *rest.split(" | ")] for name, rest in found]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_rooms_drawn_are_the_folders(package):
    """All that hold something of ours, at any depth, and no other."""
    suffixes = {".py", ".yaml"}
    holding = {path.parent for path in (ROOT / package).rglob("*") if path.suffix in suffixes}
    folders = {f"{path.relative_to(ROOT / package)}/" for path in holding if path.name != package}
    assert {name for name in drawn(package) if name.endswith("/")} == folders


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_are_drawn_in_the_order_of_imports(package):
    """As the rules of imports have it, the highest first; what has no imports comes last."""
    names = [name.removesuffix("/").removesuffix(".py") for name in drawn(package)]
    top = [name for name in names if "/" not in name]
    assert top == [*layers(package), *(["sweeps"] if package == "orchestrator" else [])]
    statistics = [name.removeprefix("statistics/") for name in names if name[:11] == "statistics/"]
    assert statistics == (layers("workers.statistics") if package == "workers" else [])


@pytest.mark.parametrize("package", PACKAGES)
def test_each_room_is_described_in_its_own_words(package):
    """Those of its `__init__`, in one line."""
    for name, said in drawn(package).items():
        path = ROOT / package / name
        if name != "sweeps/":
            assert said == first_line(path), name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    """From where the page stands."""
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", TEXTS[page]):
        assert ((ROOT / page).parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_files_and_folders_that_are_named_exist(page):
    """Beside the page or in the project: whatever in code has a slash, or ends as a file does."""
    paths = {
        span
        for span in re.findall(r"`([^`\n]+)`", TEXTS[page])
        if re.fullmatch(r"[\w./-]+", span)
        and ("/" in span or re.search(r"\.(py|md|yaml|toml|cff)$", span))
    }
    places = (ROOT, (ROOT / page).parent)
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []


@pytest.mark.parametrize("page", PAGES)
def test_names_that_are_mentioned_exist(page):
    """Each in code that is no path and no command is a word of the project's own text."""
    text = "\n".join(path.read_text(errors="replace") for path in SOURCES)
    words = set(re.findall(r"\w+|--[\w-]+", text)) | {"py", "typed"}
    for span in re.findall(r"`([^`\n]+)`", TEXTS[page]):
        if "/" in span or span.startswith(COMMANDS):
            continue
        for name in re.findall(r"--[\w-]+|[A-Za-z_]\w*", span):
            assert name in words, (span, name)


def test_every_law_stands_with_its_source():
    """In the order in which laws are shown; equation and theorem as the law's own docstring cites them."""
    rows = {row[0]: row for row in table_rows("analysis/README.md", named=r"\w+")}
    assert [name for name in rows if name in laws()] == list(laws())
    for name, law in laws().items():
        source = law.predict.__doc__.partition("Source:")[2]
        cited = re.findall(r"Eq [\d.]+\d|Theorem \d|[A-Z]\w+ (?=\(\d{4}\))|\d{4}", source)
        assert [each for each in cited if each.strip() not in rows[name][2]] == []


def test_every_statistic_stands_with_what_it_measures():
    """Each quantity named is one that the statistic measures; each has a source."""
    rows = table_rows("workers/README.md", named=r"\w+")
    assert {row[0] for row in rows} == set(STATISTIC_QUANTITIES)
    for name, quantities, _, source in rows:
        assert set(re.findall(r"`(\w+)`", quantities)) <= set(STATISTIC_QUANTITIES[name])
        assert source


def test_every_kind_of_item_is_told_how_to_add():
    """Laws, what the catalog holds, commands and built-in sweeps."""
    for kind in ("statistic", "model", "data set", "loss"):
        assert f"\n**A {kind}.**" in TEXTS["workers/README.md"]
    assert "\n## Adding a law\n" in TEXTS["analysis/README.md"]
    for item in ("command", "built-in sweep"):
        assert f"\n## Adding a {item}\n" in TEXTS["orchestrator/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_short(page):
    """300 lines at most."""
    assert len(TEXTS[page].splitlines()) <= 300


def test_no_source_leads_to_notes_that_are_not_shipped():
    """Docstrings cite papers, or say the reason."""
    for path in SOURCES:
        found = re.search(
            r"\b(SCIENCE|ESTIMATORS|RAY)\b(:| notes| §)", path.read_text(errors="replace")
        )
        assert found is None, (path, found)
