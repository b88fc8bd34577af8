"""The README says what is: commands, options, views, glossary, links, code, and the outputs marked as tested."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.commands.app import app
from orchestrator.planning.sweep import built_in_sweeps
from workers.contract.catalog import CATALOG
from workers.contract.quantities import GLOSSARY
from workers.contract.schema import CELL_QUANTITIES, VIEWS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
TESTED = re.findall(
    r"""<!-- tested -->\n```console\n\$ minima ((?:[^\n"]|"(?:[^"\\]|\\.)*")*)\n(.*?)```""",
    TEXT,
    re.DOTALL,
)
"""Commands, which may go on to a next line within quotation marks, and their outputs."""


def table_below(heading: str) -> list[list[str]]:
    """Give the cells of the first table below a line that holds the text."""
    lines = TEXT[TEXT.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| ---"))
    rows = []
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split(" | ")])
    return rows


def test_every_view_is_listed_with_its_columns():
    """In the order of the schema; `cells` has two columns for each quantity."""
    listed = {name: columns.split(", ") for name, columns in table_below("## The store")}
    assert list(listed) == list(VIEWS)
    for view, columns in listed.items():
        wanted = [name for name in VIEWS[view].names if not name.startswith(CELL_QUANTITIES)]
        assert [column for column in columns if "<" not in column] == wanted


def test_the_glossary_is_the_codes():
    """Name, symbol, unit and meaning of every quantity."""
    wanted = [[q.name, q.symbol, q.unit, q.meaning] for q in GLOSSARY.values()]
    assert table_below("### Quantities") == wanted


def test_every_command_and_option_is_told():
    """What `--help` lists stands in the README."""
    for command in app.registered_commands:
        assert f"`minima {command.callback.__name__}" in TEXT
    for option in ("store", "address", "set", "data-dir", "checkpoint-seconds", "fail-fast", "json",
                   "watch", "format", "out", "sample", "show", "version", "price"):  # fmt: skip
        assert f"--{option}" in TEXT


def test_every_built_in_name_is_told():
    """Sweeps, and where the built-in losses, models and data sets are found."""
    for name in built_in_sweeps():
        assert name in TEXT
    for kind in ("loss", "statistic", "dataset", "model"):
        for name in CATALOG[kind]:
            assert name in TEXT, name


def test_the_l2_of_the_keras_example_stands_beside_ours():
    """l·Σw² is weight_decay/2·Σw² with weight_decay = 2l, and adds 2l a weight to tr H.

    Convolutions of its ResNet-56, version 1: the stem, 18 a stage, and two projections of 1 × 1.
    """
    stages = [(16, 16), (16, 32), (32, 64)]
    kernels = sum(9 * start * width + 17 * 9 * width**2 for start, width in stages)
    num_weights = 9 * 3 * 16 + kernels + 16 * 32 + 32 * 64
    (line,) = re.findall(r"^- Weight decay acts .*\n .*$", TEXT, re.MULTILINE)
    assert "(weight_decay/2)·‖θ_decayed‖²" in line
    assert "`l2(1e-4)` is 1e-4·‖w‖² of convolutions only: `weight_decay: 2e-4`" in line
    assert f"{num_weights:,} such weights adds {2 * 1e-4 * num_weights:.2f} to tr H" in line


def test_every_paper_is_cited_under_its_own_title():
    """As its page on arXiv names it."""
    for title, number in (
        ("How Many Factors Influence Minima in SGD?", "2009.11858"),
        ("Asymptotic Analysis via Stochastic Differential Equations of Gradient Descent Algorithms "
         "in Statistical and Computational Paradigms", "1711.09514"),
        ("Three Factors Influencing Minima in SGD", "1711.04623"),
    ):  # fmt: skip
        assert f"*{title}*, arXiv {number}" in TEXT


def test_links_into_the_project_exist():
    """Relative links and the paths named in code spans."""
    links = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    spans = re.findall(r"`((?:deploy|analysis|workers|tests|orchestrator|\.github)/[\w./]+)`", TEXT)
    for path in links + spans:
        assert (ROOT / path).exists(), path


def test_every_output_is_tested_or_recorded():
    """No console block without a mark above it that says which."""
    blocks = re.findall(r"(?:<!-- ([^>]*) -->\n)?```console\n(.*?)```", TEXT, re.DOTALL)
    for mark, block in blocks:
        has_output = any(line and not line.startswith("$ ") for line in block.splitlines())
        assert (
            not has_output or mark == "tested" or re.match(r"recorded \d{4}-\d\d-\d\d on ", mark)
        ), block


@pytest.mark.parametrize("language", ["python", "yaml"])
def test_code_is_that_of_the_tested_example(language):
    """Every block names the file it was taken from, and stands there word for word."""
    blocks = re.findall(rf"(?:<!-- ([^>]*) -->\n)?```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for path, block in blocks:
        assert path, block
        assert block in (ROOT / path).read_text()


def test_it_is_short():
    """300 lines at most."""
    assert len(TEXT.splitlines()) <= 300


@pytest.mark.parametrize(("arguments", "output"), TESTED, ids=[item[0][:50] for item in TESTED])
def test_outputs_marked_as_tested(arguments, output, tmp_path, monkeypatch, capfd):
    """Run as written, they print what stands there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-sweep.yaml").write_text(built_in_sweeps()["quickstart"])
    (tmp_path / ".study").symlink_to(ROOT / ".study")
    monkeypatch.setattr(sys, "argv", ["minima", *shlex.split(arguments)])
    with pytest.raises(SystemExit):
        cli.main()
    out, err = capfd.readouterr()
    assert (out + err).rstrip() == output.rstrip()


def test_something_is_tested():
    """The pattern above finds the blocks."""
    assert len(TESTED) >= 2
