"""The guide in deploy/: commands that exist, marks that say who walks them, and what it says of a store."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from orchestrator import cli
from orchestrator.commands.app import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "README.md").read_text()
COMMAND = typer.main.get_command(app)
KEPT = ROOT / "tests" / "orchestrator" / "kept_store"
FILES = [path for path in sorted(DEPLOY.iterdir()) if path.suffix in {".md", ".yaml", ".sbatch"}]


def called(text: str) -> list[list[str]]:
    """Return the arguments of every `minima …` with more than its name in a text, and of what the SLURM scripts call."""
    names = "|".join(COMMAND.commands)
    found = re.findall(rf"minima ((?:{names}) [^'\"\n`&;|#)]+)", text)
    own = [shlex.split(re.sub(r" \d?>.*", "", each)) for each in found]  # without where it goes
    scripts = re.findall(r"sbatch (?:-\S+ )*deploy/(\w+)\.sbatch (\S+) (\S+)(.*)", text)
    for script, sweep, store, rest in scripts:
        begun = ["run"] if script == "slurm" else ["trial", "--index", "0"]
        own.append([*begun, sweep, "--store", store, *re.sub(r"\[.*\]", "", rest).split()])
    return [[word.removesuffix(",") for word in words] for words in own]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_is_one(path):
    """Its options exist and its arguments are there, in the guide and at the head of each file."""
    for words in called(path.read_text()):
        COMMAND.commands[words[0]].make_context(words[0], words[1:])  # raises what is wrong


def test_commands_are_found():
    """The patterns above see them, and an option that does not exist."""
    assert len(called(TEXT)) >= 20
    with pytest.raises(typer.TyperException, match="No such option: --stroe"):
        COMMAND.commands["run"].make_context("run", ["paper-kld", "--stroe", "x"])


def test_every_block_says_who_walks_it():
    """On the line below it: tests that are there, or why there is none."""
    marks = re.findall(r"```console\n(?:\$ .*\n)+```\n\n(.*)\n", TEXT)
    assert len(marks) == TEXT.count("```console") >= 12
    for mark in marks:
        kind, _, what = mark.partition(": ")
        tests = re.findall(r"`(tests/\S+)`", what)
        assert kind == "Not walked" or (kind == "Walked" and tests), mark
        assert what
        assert all((ROOT / path).exists() for path in tests), mark


def test_files_that_are_named_are_there_and_none_is_forgotten():
    """Beside the guide or in the project; every file that starts something is named."""
    named = re.findall(r"`([\w./-]+\.(?:py|yaml|sbatch|lock|md))`", TEXT)
    named += re.findall(r"(?:-f|sbatch) (deploy/\S+)", TEXT)
    for name in named:
        assert (ROOT / name).exists() or (DEPLOY / name).exists(), name
    starting = {path.name for path in FILES} - {"README.md"}
    assert starting <= {Path(name).name for name in named}


def test_it_is_short():
    """300 lines at most."""
    assert len(TEXT.splitlines()) <= 300


@pytest.mark.parametrize("code", [0, 1])
def test_cron_sends_a_mail_of_averages_that_failed_alone(code, tmp_path):
    """Cron mails whatever is printed, and that a sweep is being averaged is told on standard error."""
    (line,) = re.findall(r"echo '0 \* \* \* \* (.*)'\) \| crontab -", TEXT)
    command = tmp_path / "minima"
    command.write_text(f"#!/bin/sh\necho Table 1\necho averaging $@ … >&2\nexit {code}\n")
    flock = tmp_path / "flock"  # not there on every system
    flock.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    for path in (command, flock):
        path.chmod(0o755)
    mail = subprocess.run(
        ["sh", "-c", line.replace("/opt/minima/.venv/bin/minima", str(command))],
        env={"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
    told = "Table 1\naveraging aggregate --store /shared/minima …\n"
    assert (tmp_path / "minima.log").read_text() == told
    assert mail == (told if code else "")


def minima(monkeypatch, capfd, *words: str) -> str:
    """Return what a command prints, which comes to its end."""
    monkeypatch.setattr(sys, "argv", ["minima", *words])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    out, err = capfd.readouterr()
    assert leaving.value.code == 0, err
    return out


def standing(monkeypatch, capfd, store: Path, *more: str) -> tuple[int, int, int]:
    """Return how many trials of the kept sweep are done, to measure and to train."""
    sweep = str(ROOT / "tests/orchestrator/kept_store.yaml")
    words = ("plan", sweep, "--store", str(store), "--json", *more)
    (cell,) = json.loads(minima(monkeypatch, capfd, *words))["cells"]
    return cell["done"], cell["to_measure"], cell["to_train"]


def part_of_a_store(place: Path, trial_id: str) -> Path:
    """Make a store that has one trial of the kept one, and the plan."""
    shutil.copytree(KEPT, place)
    for path in place.rglob(f"{trial_id}*"):
        path.unlink()
    return place


def test_stores_merge_by_copying_what_the_other_lacks(tmp_path, monkeypatch, capfd):
    """A seed in each: afterwards both are there, and the averages are of two."""
    first, second = sorted({path.name.split(".")[0] for path in (KEPT / "trials").iterdir()})
    one, other = (part_of_a_store(tmp_path / name, name) for name in (first, second))
    assert standing(monkeypatch, capfd, one)[2] == standing(monkeypatch, capfd, other)[2] == 1
    for path in sorted(other.rglob("*")):  # as `cp -Rn`
        target = one / path.relative_to(other)
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    assert standing(monkeypatch, capfd, one) == standing(monkeypatch, capfd, KEPT) == (1, 1, 0)
    minima(monkeypatch, capfd, "aggregate", "--store", str(one))
    seeds = "SELECT num_seeds FROM cells"
    answer = minima(monkeypatch, capfd, "query", seeds, "--store", str(one), "--json")
    assert json.loads(answer) == [{"num_seeds": 2}]


def test_a_store_that_was_pruned_and_moved_has_all_that_is_done(tmp_path, monkeypatch, capfd):
    """Without the stories of its attempts nothing is lost; without models a new statistic trains again."""
    store = tmp_path / "elsewhere"
    shutil.copytree(KEPT, store)
    (removed,) = re.findall(r"^\$ rm -rf (.*)$", TEXT, re.MULTILINE)
    for name in removed.split():
        shutil.rmtree(store / Path(name).name, ignore_errors=True)
    assert standing(monkeypatch, capfd, store) == (1, 1, 0)
    more = ("--set", "measure=[losses, traces, hessian]")
    assert standing(monkeypatch, capfd, store, *more) == (0, 2, 0)
    shutil.rmtree(store / "models")
    assert standing(monkeypatch, capfd, store, *more) == (0, 0, 2)
