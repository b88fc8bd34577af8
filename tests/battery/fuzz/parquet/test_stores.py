"""Random damages of a store's files: whatever reads them tells them or passes them over, and keeps the others."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workers.contract.commits import DERIVED_VIEWS, decode_commits
from workers.contract.compaction import compact
from workers.contract.parquet_file import DamagedFile
from workers.contract.records import FailureRecord, SpectrumNode, spectrum_table, table
from workers.contract.schema import VIEWS
from workers.contract.store import Store

KEPT = Path(__file__).parents[3] / "orchestrator"
SEED_1 = "98e7ed045f04ba0a3fb3"
COMMANDS = [
    ["status", "small"], ["status", "--json"], ["plan", "small.yaml"], ["stop", "small"], ["compact"], ["compact"],
    ["aggregate", "small"], *(["query", f"SELECT * FROM {view}", "--format=csv"] for view in VIEWS),  # noqa: S608  # constant names
]  # fmt: skip
REPORT = ["report", "small", "--out=out"]
"""Draws its figures, which takes seconds: one case of fifty has it."""


@dataclass(frozen=True)
class Case:
    """Damaged files, what was done to each, the commands that then read the store, and which store it is."""

    told: dict[str, str]
    commands: list[list[str]]
    base: Path
    contents: dict[str, bytes] = field(repr=False)


@pytest.fixture(scope="session")
def damaged_file(damaged, changed, scrambled):
    """Damage a file of a view, or a plan as a document or a text; return what was done too."""

    def damage(path: str, content: bytes, draw: random.Random) -> tuple[bytes, str]:
        if Store.folder(path) in VIEWS:
            return damaged(content, draw)
        text = json.dumps(changed(json.loads(content), draw))
        text = scrambled(text, draw) if draw.random() < 0.3 else text
        return text.encode("utf-8", "surrogatepass"), text

    return damage


@pytest.fixture(scope="session")
def bases(tmp_path_factory) -> list[Path]:
    """A store with rows in every view, and the same one merged."""
    small, merged = (tmp_path_factory.mktemp("base") / name for name in ("small", "merged"))
    shutil.copytree(KEPT / "kept_store", small)
    store = Store.open(str(small))
    nodes = [SpectrumNode(kind="hessian", draw=0, node=node, weight=0.5) for node in (1.0, 2.0)]
    store.commit("spectra", (SEED_1, "f" * 20), "a", spectrum_table(SEED_1, "f" * 20, nodes))
    store.commit("spectra", (SEED_1, "e" * 20), "a", spectrum_table(SEED_1, "e" * 20, nodes))
    for attempt_id in ("a", "b"):
        failure = FailureRecord(
            trial_id=SEED_1, statistic_id=None, attempt_id=attempt_id, failure_class="user_error",
            signature="x", message="it failed", log_path="logs/x.log", host="here",
            failed_at=datetime(2026, 11, 28, tzinfo=UTC),
        )  # fmt: skip
        store.commit("failures", (SEED_1, attempt_id), attempt_id, table("failures", [failure]))
    shutil.copytree(small, merged)
    compact(Store.open(str(merged)))
    assert all(store.read(view).num_rows for view in VIEWS)
    return [small, merged]


def files_in(base: Path, folders: Iterable[str]) -> dict[str, bytes]:
    """Read every file of some folders."""
    paths = [path for folder in folders for path in sorted((base / folder).iterdir())]
    return {str(path.relative_to(base)): path.read_bytes() for path in paths}


def test_committed_files(fuzz, bases, damaged):
    """Judged by themselves: they are believed, or told as damaged."""
    sound = [file for base in bases for file in files_in(base, VIEWS).items()]

    def draw_case(draw: random.Random) -> Case:
        path, content = draw.choice(sound)
        content, told = damaged(content, draw)
        return Case({path: told}, [], bases[0], {path: content})

    def attempt(case: Case) -> None:
        ((path, content),) = case.contents.items()
        found = decode_commits(Store.folder(path), path, content)
        assert str(found)

    fuzz("committed files", draw_case, attempt)


def test_stores(tmp_path, fuzz, bases, damaged_file, minima):
    """Up to three damages, of plans too, a query that reads the damaged rows, and two commands more."""
    sound = {base: files_in(base, [*VIEWS, "sweeps/small"]) for base in bases}
    place = tmp_path / "minima-store"
    shutil.copy(KEPT / "kept_store.yaml", tmp_path / "small.yaml")

    def draw_case(draw: random.Random) -> Case:
        base = draw.choice(bases)
        paths = draw.sample(sorted(sound[base]), draw.choice([1, 1, 2, 3]))
        files = {path: damaged_file(path, sound[base][path], draw) for path in paths}
        commands = [draw.choice(COMMANDS) for _ in range(2)]
        if draw.randrange(50) == 49:
            commands += [REPORT]
        contents = {path: content for path, (content, _) in files.items()}
        return Case({path: told for path, (_, told) in files.items()}, commands, base, contents)

    def attempt(case: Case) -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(case.base, place)
        for path, content in case.contents.items():
            (place / path).write_bytes(content)
        before = files_of(place)
        refuse_silence(place, case, minima)
        for command in case.commands:
            rows = rows_of(place) if command == ["compact"] else {}
            code, out, err = minima(*command)
            assert code in {0, 2}, (command, err)
            assert not set("\x1b\0") & set(out + err), (command, out, err)
            assert not rows or rows == rows_of(place)
            refuse_change(place, before, case, has_merged=["compact"] in case.commands)

    fuzz("stores", draw_case, attempt)


def files_of(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}  # fmt: skip


def rows_of(place: Path) -> dict[str, list[str]]:
    """Read the rows of every view of facts."""
    store = Store.open(str(place))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = set(VIEWS) - set(DERIVED_VIEWS)
        return {view: sorted(map(str, store.read(view).to_pylist())) for view in facts}


def refuse_silence(place: Path, case: Case, minima) -> None:
    """Ask for the rows of a damaged view; each file that is not believed is told by its name."""
    views = {Store.folder(path) for path in case.contents} & {*VIEWS}
    if not views:
        return
    view = min(views)
    code, _, err = minima("query", f"SELECT * FROM {view}", "--format=json")  # noqa: S608  # a constant name
    assert code == 0, err
    for path in case.contents:
        found = Store.open(str(place)).commits_in(view, path)
        is_told = err.count(f"{path}: ") == 1
        assert is_told == isinstance(found, DamagedFile) or Store.folder(path) != view, (path, err)


def refuse_change(place: Path, before: dict[str, bytes], case: Case, *, has_merged: bool) -> None:
    """Allow for derived views that are made anew, and for sound files merged into others."""
    after = files_of(place)
    for path, content in before.items():
        if Store.folder(path) in DERIVED_VIEWS:
            continue
        found = after.get(path)
        is_merged = found is None and has_merged and Store.folder(path) in VIEWS
        assert found == content or is_merged, path
        if path in case.contents and found is None:
            damage = decode_commits(Store.folder(path), path, content)
            assert not isinstance(damage, DamagedFile), path
