"""Random sweeps, overrides, plan documents and command lines: nothing but a fault is raised, and soon.

MINIMA_FUZZ_SECONDS is the time for all of them, 30 by default; MINIMA_FUZZ_SEED draws others.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from orchestrator import cli
from orchestrator.monitor.status import sweep_status
from orchestrator.planning.checks import check_sweep
from orchestrator.planning.sweep import read_sweep
from workers.contract.errors import UserError
from workers.contract.plans import newest_plan
from workers.contract.store import Store

KEPT = Path(__file__).parents[1] / "orchestrator"
SECONDS = float(os.environ.get("MINIMA_FUZZ_SECONDS", "30")) / 4
SEED = int(os.environ.get("MINIMA_FUZZ_SEED", "0"))
LONGEST_SECONDS = 10.0
"""Of one case, on a machine that has others to do; most take a thousandth of it."""

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
PLACES = ["name", "model.name", "model.hidden_units", "dataset.num_train", "grid.batch_size", "seeds",
          "training.epochs", "measure", "resources.gpus", "loss", "a.b.c", "model.name.x", "", "."]  # fmt: skip


def changed(value: object, draw: random.Random) -> object:
    """Change something, anywhere in a document."""
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        inner = cast(
            "dict[object, object]", value if isinstance(value, dict) else dict(enumerate(value))
        )
        key = draw.choice([*inner])
        kind = draw.random()
        if kind < 0.1:
            del inner[key]
        elif kind < 0.2:
            inner[draw.choice(["x", "name", 0, "settings", "num_probes", "splits"])] = draw.choice(
                VALUES
            )
        else:
            inner[key] = changed(inner[key], draw)
        return inner if isinstance(value, dict) else [*inner.values()]
    return draw.choice(VALUES)


def scrambled(text: str, draw: random.Random) -> str:
    """Cut pieces of a text out, double them, and put others in."""
    for _ in range(draw.randint(1, 4)):
        first = draw.randint(0, len(text))
        last = min(len(text), first + draw.choice([0, 0, 1, 3, 20]))
        put = draw.choice(
            [draw.choice(PIECES), text[first:last] * 2, "".join(draw.choices(PIECES, k=3))]
        )
        text = text[:first] + put + text[last:]
    return text


def copy_of(document: object) -> object:
    return json.loads(json.dumps(document))


def sweep_text(draw: random.Random) -> str:
    """Draw the text of a sweep: one changed, one scrambled, or no more than pieces."""
    document = copy_of(SWEEP)
    for _ in range(draw.choice([0, 1, 1, 2, 4])):
        document = changed(document, draw)
    text = json.dumps(document, indent=draw.choice([None, 1]), ensure_ascii=draw.random() < 0.5)
    if draw.random() < 0.5:
        text = scrambled(text, draw)
    return "".join(draw.choices(PIECES, k=draw.randint(0, 12))) if draw.random() < 0.1 else text


def fuzz(
    kind: str, draw_case: Callable[[random.Random], object], attempt: Callable[[object], None]
) -> int:
    """Try cases for as long as there is time; return how many."""
    draw = random.Random(f"{kind} {SEED}")  # noqa: S311  # cases, not secrets
    ends, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < ends:
        case, started = draw_case(draw), time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                attempt(case)
        except UserError as error:
            told = [(each.what, each.where, each.mend) for each in error.faults]
            if not told or not all(map(all, told)):
                raise AssertionError(f"{kind}, case {number}: {case!r}: {told}") from error
        except BaseException as error:
            told = "".join(traceback.format_exception(error))
            raise AssertionError(f"{kind}, case {number}: {case!r}\n{told}") from error
        assert time.monotonic() - started < LONGEST_SECONDS, repr(case)
        number += 1
    print(f"{number} cases of {kind} in {SECONDS:.0f} s")
    return number


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.slow
def test_sweeps(tmp_path):
    """Texts of all kinds, read and checked."""

    def attempt(text: object) -> None:
        (tmp_path / "a.yaml").write_bytes(str(text).encode("utf-8", "surrogatepass"))
        document, where = read_sweep("a.yaml", [])
        check_sweep(document, where, None)

    assert fuzz("sweeps", sweep_text, attempt) > 10 * SECONDS


@pytest.mark.slow
def test_overrides(tmp_path):
    """As `--set` takes them."""
    (tmp_path / "a.yaml").write_text(json.dumps(SWEEP))

    def draw_case(draw: random.Random) -> list[str]:
        values = [
            json.dumps(draw.choice(VALUES)),
            draw.choice(PIECES),
            "".join(draw.choices(PIECES, k=3)),
        ]
        given = [f"{draw.choice(PLACES)}={draw.choice(values)}" for _ in range(draw.randint(1, 3))]
        return [scrambled(each, draw) if draw.random() < 0.3 else each for each in given]

    def attempt(overrides: object) -> None:
        document, where = read_sweep("a.yaml", cast("list[str]", overrides))
        check_sweep(document, where, None)

    assert fuzz("overrides", draw_case, attempt) > 10 * SECONDS


@pytest.mark.slow
def test_plan_documents(tmp_path):
    """One that is believed can be shown."""
    store = Store.open(str(tmp_path / "store"))
    sound = json.loads(sorted((KEPT / "kept_store/sweeps/small").iterdir())[-1].read_text())

    def draw_case(draw: random.Random) -> bytes:
        document = copy_of(sound)
        for _ in range(draw.choice([1, 1, 2, 4])):
            document = changed(document, draw)
        text = json.dumps(document)
        return (scrambled(text, draw) if draw.random() < 0.3 else text).encode(
            "utf-8", "surrogatepass"
        )

    def attempt(content: object) -> None:
        store.write_bytes(Store.plan_path("small", "r"), cast("bytes", content))
        plan = newest_plan(store, "small")
        if plan is not None:
            sweep_status(store, plan, datetime.now(UTC))

    assert fuzz("plan documents", draw_case, attempt) > 5 * SECONDS


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch, capsys):
    """The whole command: its code is 0, 1, 2 or 3, and no traceback is printed."""

    def draw_case(draw: random.Random) -> tuple[str, list[str]]:
        command = draw.choice(
            [
                ["plan", "a.yaml"],
                ["stop", "a.yaml"],
                ["status", "a.yaml"],
                ["sweeps"],
                ["aggregate", "a.yaml"],
            ]
        )
        more = [draw.choice(["--json", "--store", "--set", "seeds=1", "x", "--data-dir", "", "\udcff", "--store=s3://", "--store=gs://x/y?z"])
                for _ in range(draw.randint(0, 2))]  # fmt: skip
        return sweep_text(draw), [*command, *more]

    def attempt(case: object) -> None:
        text, arguments = cast("tuple[str, list[str]]", case)
        (tmp_path / "a.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        monkeypatch.setattr(sys, "argv", ["minima", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        assert left.value.code in {0, 1, 2, 3}, err
        assert "Traceback" not in out + err

    assert fuzz("commands", draw_case, attempt) > SECONDS
