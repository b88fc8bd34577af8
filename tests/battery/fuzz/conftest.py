"""What the kinds of fuzz share: how cases are tried, the command, and changes of documents, texts and bytes.

Hypothesis draws the cases, and of those that fail shows the smallest. MINIMA_FUZZ_SECONDS is the time of all
kinds together in the slow tests, two minutes by default, ten in `.ci/run release`; MINIMA_FUZZ_SEED draws others.
"""

from __future__ import annotations

import copy
import json
import os
import random
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from typing import cast
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from orchestrator import cli
from workers.contract.errors import UserError

KINDS = ("sweeps", "overrides", "plan documents", "commands", "committed files", "stores", "data files")  # fmt: skip
SECONDS = float(os.environ.get("MINIMA_FUZZ_SECONDS", "120"))
FEW_SECONDS = 10.0
"""Of all kinds together among the fast tests."""
SEED = int(os.environ.get("MINIMA_FUZZ_SEED", "0"))
LONGEST_SECONDS = 30.0
"""Of one case, on a machine that has others to do; most take a thousandth of it."""
CASES_A_SEED = 20
"""Hypothesis keeps in mind what it has drawn from one seed."""

SWEEP = {
    "name": "tiny",
    "model": {"name": "mlp", "hidden_units": [8]},
    "dataset": {"name": "digits", "num_train": 100, "num_test": 50},
    "loss": "kld",
    "grid": {"batch_size": [10, 20], "learning_rate": [0.1]},
    "seeds": 2,
    "training": {"epochs": 3, "milestones": [1, 2], "convergence": {"stop": True}},
    "measure": ["losses", {"name": "traces", "columns": 1}, {"name": "fork", "sampler": "shuffle"}],
    "resources": {"gpus": 0.5, "cpus": 1},
}
VALUES = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, 2**64, 10**30, -(10**30), 0.1, 1e-320, 1e308, -0.0,
    float("inf"), float("nan"), "", "a", "mlp", "digits", "kld", "x:y", "a.b:c", "0.1", "1_000", "yes", "\0",
    "\x1b[31m", "\ud7ff", "é" * 50, "../..", "x" * 5000, [], {}, [[]], [{}], {"name": None}, {"name": "mlp"},
    {"name": "no.such:thing"}, {"name": "synthetic"}, {"name": "hessian"}, {"": ""}, ["losses"] * 3, [1, "1", None],
    "all", "none", [0.1, 0.1], {"a": {"b": {"c": []}}}, "2024-01-01", "splendid", 1e400,
]  # fmt: skip
PIECES = [
    "{", "}", "[", "]", ",", ": ", ":", "- ", "? ", "! ", "!", "!!", "!!int ", "!!float ", "!!null ", "!!map ", "!<x> ",
    "&a ", "*a", "<<: *a", "<<: ", "|\n", ">-\n", "'", '"', "\\", "#", "%YAML 1.2\n", "---\n", "...\n", "\n", "\t", "  ",
    "\r", "\x85", "\u2028", "\ufeff", "\x00", "\x07", "\U0001f600", "~", "null", ".nan", "-.inf", "0x1f", "0o17", "1e999",
    "1:30", "9" * 400, "{{ x }}", "@", "`", "name", "grid", "seeds", "measure", "model: {name: mlp}", "=", "[" * 60, "{a: " * 60,
]  # fmt: skip

Draw = random.Random


@pytest.fixture(
    params=[FEW_SECONDS, pytest.param(SECONDS, marks=pytest.mark.slow)], ids=["few", "many"]
)
def fuzz(request):
    """Try cases of a kind for its part of the time."""

    def call(
        kind: str, draw_case: Callable[[Draw], object], attempt: Callable[[object], None]
    ) -> None:
        assert kind in KINDS
        cases = _Cases(kind, request.param / len(KINDS), draw_case, attempt)
        cases.try_all()
        assert cases.num_tried

    return call


class _Cases:
    """Cases of a kind, tried until the time is over; one that fails is made smaller however long that takes."""

    def __init__(
        self,
        kind: str,
        seconds: float,
        draw_case: Callable[[Draw], object],
        attempt: Callable[[object], None],
    ) -> None:
        self.kind, self.draw_case, self.attempt = kind, draw_case, attempt
        self.ends = time.monotonic() + seconds
        self.num_tried, self.slowest, self.has_failed = 0, 0.0, False

    def try_all(self) -> None:
        chunk = 0
        while not self.num_tried or time.monotonic() < self.ends:
            seed_of_chunk = zlib.crc32(f"{self.kind} {SEED} {chunk}".encode())
            try:
                self._try_chunk(seed_of_chunk)
            except BaseException as error:
                error.add_note(f"{self.kind}, MINIMA_FUZZ_SEED={SEED}, chunk {chunk}")
                raise
            chunk += 1
        print(f"{self.num_tried} {self.kind}, the slowest in {self.slowest:.2f} s")

    def _try_chunk(self, seed_of_chunk: int) -> None:
        @seed(seed_of_chunk)
        @settings(
            max_examples=CASES_A_SEED,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.randoms(use_true_random=False))
        def try_one(draw: Draw) -> None:
            case = self.draw_case(
                draw
            )  # also when the time is over: a test draws the same each time
            if self.has_failed or not self.num_tried or time.monotonic() < self.ends:
                note(repr(case))
                self._try(case)

        try_one()

    def _try(self, case: object) -> None:
        started = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._attempt(case)
            seconds = time.monotonic() - started
            assert seconds < LONGEST_SECONDS, f"it took {seconds:.0f} s"
        except BaseException:
            self.has_failed = True
            raise
        self.num_tried, self.slowest = self.num_tried + 1, max(self.slowest, seconds)

    def _attempt(self, case: object) -> None:
        try:
            self.attempt(case)
        except UserError as error:
            told = [(each.what, each.where, each.mend) for each in error.faults]
            assert told
            assert all(map(all, told)), told


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINIMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def minima(capfd):
    """Run the whole command, warnings as a fresh process has them: its code, output and errors; never a traceback."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with (
            mock.patch.object(sys, "argv", ["minima", *arguments]),
            mock.patch.object(warnings, "showwarning"),
            warnings.catch_warnings(action="default"),
            pytest.raises(SystemExit) as left,
        ):
            cli.main()
        out, err = capfd.readouterr()
        assert left.value.code in {0, 1, 2, 3}, err
        assert "Traceback" not in out + err, err
        return left.value.code, out, err

    return call


@pytest.fixture(scope="session")
def changed() -> Callable[[object, Draw], object]:
    """Change something, anywhere in a document."""
    return _changed


def _changed(value: object, draw: Draw) -> object:
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        inner = cast(
            "dict[object, object]", value if isinstance(value, dict) else dict(enumerate(value))
        )
        key = draw.choice([*inner])
        kind = draw.random()
        if kind < 0.1:
            del inner[key]
        elif kind < 0.2:
            key = draw.choice(["x", "name", 0, "settings", "num_probes", "splits"])
            inner[key] = copy.deepcopy(draw.choice(VALUES))
        else:
            inner[key] = _changed(inner[key], draw)
        return inner if isinstance(value, dict) else [*inner.values()]
    return copy.deepcopy(draw.choice(VALUES))


@pytest.fixture(scope="session")
def scrambled() -> Callable[[str, Draw], str]:
    """Cut pieces of a text out, double them, and put others in."""
    return _scrambled


def _scrambled(text: str, draw: Draw) -> str:
    for _ in range(draw.randint(1, 4)):
        first = draw.randint(0, len(text))
        last = min(len(text), first + draw.choice([0, 0, 1, 3, 20]))
        put = draw.choice(
            [draw.choice(PIECES), text[first:last] * 2, "".join(draw.choices(PIECES, k=3))]
        )
        text = text[:first] + put + text[last:]
    return text


@pytest.fixture(scope="session")
def sweep_text() -> Callable[[Draw], str]:
    """Draw the text of a sweep: one changed, one scrambled, or no more than pieces."""

    def draw_text(draw: Draw) -> str:
        document: object = copy.deepcopy(SWEEP)
        for _ in range(draw.choice([0, 1, 1, 2, 4])):
            document = _changed(document, draw)
        text = json.dumps(document, indent=draw.choice([None, 1]), ensure_ascii=draw.random() < 0.5)
        if draw.random() < 0.5:
            text = _scrambled(text, draw)
        if draw.random() < 0.1:
            return "".join(draw.choices(PIECES, k=draw.randint(0, 12)))
        return text

    return draw_text


@pytest.fixture(scope="session")
def sound_sweep() -> dict[str, object]:
    """Return the sweep that is changed."""
    return SWEEP


@pytest.fixture(scope="session")
def override() -> Callable[[Draw], str]:
    """Draw what `--set` is given: any value or pieces of text, for a key that is there or not."""
    places = [
        "name", "model.name", "model.hidden_units", "dataset.num_train", "grid.batch_size", "seeds",
        "training.epochs", "measure", "resources.gpus", "loss", "a.b.c", "model.name.x", "", ".",
    ]  # fmt: skip

    def draw_override(draw: Draw) -> str:
        pieces = draw.choices(PIECES, k=3)
        values = [json.dumps(draw.choice(VALUES)), pieces[0], "".join(pieces)]
        text = f"{draw.choice(places)}={draw.choice(values)}"
        return _scrambled(text, draw) if draw.random() < 0.3 else text

    return draw_override
