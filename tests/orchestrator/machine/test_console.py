"""Results on standard output, everything for humans on standard error; with --json one document alone."""

from __future__ import annotations

import errno
import functools
import io
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator import cli
from orchestrator.commands import store_commands
from orchestrator.machine import console
from orchestrator.machine.console import Output
from orchestrator.machine.standard_streams import writable
from orchestrator.machine.whole_table import WholeTable
from orchestrator.planning.plan import publish_plan
from orchestrator.planning.prepare import Options, prepare
from workers.contract.orders import Heartbeat, Progress
from workers.contract.records import Measurement, measurement_table
from workers.contract.store import Store

SWEEP = """
name: toy
model: {name: mlp}
dataset: {name: digits}
loss: kld
grid: {batch_size: [32], learning_rate: [0.1, 0.2]}
seeds: 2
training: {epochs: 1}
measure: [losses]
"""


@pytest.fixture
def minima(tmp_path, monkeypatch, capfd):
    """Run the command in this process and in tmp_path: exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "toy.yaml").write_text(SWEEP)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["minima", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capfd.readouterr()
        return left.value.code, out, err

    return call


@pytest.fixture
def done(minima, finish_trial):
    """A store in which every trial of the toy sweep is done."""
    prepared = prepare("toy.yaml", Options("minima-store"))
    publish_plan(prepared.store, prepared.plan)
    for planned in prepared.plan.trials:
        finish_trial(prepared.store, planned, prepared.plan.statistics)
    return prepared.store


TRIAL = ["trial", "toy.yaml", "--batch-size", "32", "--learning-rate", "0.2", "--seed", "1"]
COMMANDS = [
    ["run", "toy.yaml"], ["plan", "toy.yaml"], TRIAL, ["status"], ["status", "toy"],
    ["status", "toy.yaml", "--watch"], ["stop", "toy"], ["aggregate"], ["aggregate", "toy"],
    ["query", "SELECT * FROM cells"], ["compact"], ["sweeps"],
    ["sweeps", "--show", "quickstart"],
]  # fmt: skip


REPORT = pytest.param(["report", "--out", "out"], marks=pytest.mark.slow)  # it draws figures


@pytest.mark.parametrize("arguments", [*COMMANDS, REPORT], ids=" ".join)
def test_json_is_one_document_and_nothing_else(minima, done, arguments):
    """On a store in which all is done; NaN is no JSON."""
    code, out, err = minima(*arguments, "--json")
    assert code == 0, err
    json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert "Traceback" not in err


@pytest.mark.slow
def test_the_doctor_speaks_json(minima):
    """A list of checks; slow, as TensorFlow is started once."""
    code, out, err = minima("doctor", "--json")
    checks = json.loads(out)
    assert code == (0 if all(not check["cure"] for check in checks) else 1), err
    assert {"name", "found", "cure"} == set(checks[0])


@pytest.mark.parametrize(
    "arguments", [*COMMANDS[:7], ["verify", "toy.yaml", "--sample", "1"]], ids=" ".join
)
def test_a_fault_leaves_standard_output_empty(minima, arguments):
    """With --json, too."""
    code, out, err = minima(*arguments, "--store", "ftp://a/b", "--json")
    assert (code, out) == (2, "")
    assert "no store of kind 'ftp'" in err


def test_a_run_with_nothing_left_names_the_revision_that_is_in_the_store(minima, done):
    """A plan that is in the store keeps its revision, however often it is asked for."""
    for command in ("run", "plan"):
        document = json.loads(minima(command, "toy.yaml", "--json")[1])
        assert done.names("sweeps/toy") == [f"sweeps/toy/{document['revision']}.json"]


def test_for_a_person_there_are_tables(minima, done):
    """And no JSON."""
    code, out, _ = minima("run", "toy.yaml")
    assert code == 0
    assert "toy: 4 of 4 trials done" in out
    assert not out.lstrip().startswith(("{", "["))


def test_verdicts_stand_below_table_1_once_a_law_is_measured(minima, finish_trial, tmp_path):
    """Of `run` and `aggregate`: tr σ² = 8, η = 0.1, m = 32 say 0.00625, forks found 0.00625."""
    path = tmp_path / "forked.yaml"
    path.write_text(
        SWEEP.replace("toy", "forked")
        .replace("[losses]", "[traces, fork]")
        .replace("[0.1, 0.2]", "[0.1]")
    )
    prepared = prepare("forked.yaml", Options("minima-store"))
    publish_plan(prepared.store, prepared.plan)
    found = {"traces": ("gradient_noise_trace", 8.0, None), "fork": ("excess_loss", 0.00625, 512)}
    for planned in prepared.plan.trials:
        finish_trial(prepared.store, planned, [])
        for item in prepared.plan.statistics:
            quantity, value, index = found[item.statistic.name]
            row = Measurement(
                quantity=quantity, value=value, stderr=1e-6, num_samples=64, method="m",
                bn_mode="frozen", split="train", objective="total", index=index,
            )  # fmt: skip
            rows = measurement_table(planned.trial_id, item.statistic, item.statistic_id, [row])
            key = (planned.trial_id, item.statistic_id)
            prepared.store.commit("measurements", key, "attempt", rows)
    for arguments in (["run", "forked.yaml"], ["aggregate", "forked"]):
        code, out, err = minima(*arguments)
        assert code == 0, err
        below = out[out.index("Table 1") :]
        assert "E[L]-L*: what the laws say, and what was measured, measured by fork 512" in below
        assert re.search(r"Wang 2019, Eq 4\.45 .* 1\.0000 \[0\.99978, 1\.0002\] +agrees +no", below)


def test_without_a_measured_law_there_is_no_verdict(minima, done):
    """A sweep that trains and measures traces ends with Table 1, as ever."""
    _, out, _ = minima("aggregate", "toy")
    assert "Table 1" in out
    assert "what the laws say" not in out


def test_a_loss_that_is_not_finite_is_null(minima, done):
    """Also within a heartbeat."""
    trial_id = prepare("toy.yaml", Options("minima-store", overrides=("seeds=3",))).open_work[0]
    now = datetime.now(UTC).isoformat()
    beat = Heartbeat(
        trial_id=trial_id.planned.trial_id, attempt_id="a", statistic=None, sweep="toy",
        run_id="r", state="running", host="h", pid=1, devices="-1", device_share=0.0,
        started_at=now, beat_at=now, progress=Progress(phase="training", train_loss=math.nan),
    )  # fmt: skip
    done.write_json(Store.heartbeat_path(beat.trial_id, "a"), beat.model_dump(mode="json"))
    plan = prepare("toy.yaml", Options("minima-store", overrides=("seeds=3",))).plan
    publish_plan(done, plan)
    _, out, _ = minima("status", "toy", "--json")
    document = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert document[0]["running"][0]["progress"]["train_loss"] is None


def test_watching_ends_with_the_last_trial(minima, done, finish_trial, monkeypatch):
    """With --json the one document is that of the end."""
    prepared = prepare("toy.yaml", Options("minima-store", overrides=("seeds=3",)))
    publish_plan(done, prepared.plan)
    waits = []

    def finish_the_rest(seconds: float) -> None:
        waits.append(seconds)
        for item in prepared.open_work:
            finish_trial(done, item.planned, item.statistics)

    look = functools.partial(store_commands.watch, wait=finish_the_rest)
    monkeypatch.setattr(store_commands, "watch", look)
    code, out, _ = minima("status", "toy", "--watch", "--json")
    assert (code, len(waits)) == (0, 1)
    assert json.loads(out)[0]["num_done"] == 6


def test_output_for_a_program(capfd):
    """Numbers that are not finite are null at any depth; what is for people is left out."""
    output = Output(is_json=True)
    output.show("for people")
    output.document({"a": [1.5, math.inf, {"b": math.nan}], "c": "NaN", "d": True})
    out = json.loads(capfd.readouterr().out)
    assert out == {"a": [1.5, None, {"b": None}], "c": "NaN", "d": True}


def test_output_for_a_person(capfd):
    """Results as they are, notes on standard error and without markup."""
    output = Output()
    output.show("a [red]result")
    output.note("a [red]note")
    output.document({"for": "programs"})
    assert capfd.readouterr() == ("a [red]result\n", "a [red]note\n")


class FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "no space left")


def test_a_full_disk_under_standard_error_ends_nothing(monkeypatch):
    """What a person was to be told is lost, and the run goes on."""
    monkeypatch.setattr(sys, "stderr", FullDisk())
    Output().note("a note")
    cli._say_warning("a warning")


@pytest.mark.parametrize("asked", [["sweeps"], ["sweeps", "--json"], ["query", "SELECT 1"]])
def test_a_full_disk_under_standard_output_is_told(tmp_path, asked):
    """As any other mistake, whichever way the output is written."""
    (tmp_path / "minima-store/sweeps").mkdir(parents=True)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *asked],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.splitlines()[-3:]) == (
        2,
        [
            "cannot write any more: [Errno 28] No space left on device",
            "  where: standard output",
            "  mend:  make room on that disk, and give the same command again",
        ],
    )


def test_no_text_steers_the_terminal(capfd):
    """Not of a result, a table or a note: escapes stand in its place; JSON keeps the value."""
    evil = "a\x1b[31mb\x07\x9b\u202e\udcffc"
    shown = r"a\x1b[31mb\x07\x9b\u202e\xffc"
    table = WholeTable()
    table.add_column("name")
    table.add_row(evil)
    output = Output()
    output.show(evil)
    output.show(table)
    output.note(evil)
    cli._say_warning(evil)
    out, err = capfd.readouterr()
    assert (out.count(shown), err.count(shown)) == (2, 1)
    assert shown.replace(r"\x07", "") in err  # Rich leaves the bell out
    assert not set(evil) & set("\x1b\x07\x9b\u202e\udcff") & set(out + err)
    Output(is_json=True).document({"name": "a\x9b\u202e\x7f"})
    out, _ = capfd.readouterr()
    assert out.isascii()
    assert json.loads(out) == {"name": "a\x9b\u202e\x7f"}


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_width_hides_a_value(width, capfd, monkeypatch):
    """A table too wide for the terminal has a line a value; the heading stands before each."""
    monkeypatch.setenv("COLUMNS", str(width))
    table = WholeTable(title="cells")
    for heading in ("batch\nsize", "learning\nrate", "done", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("message")
    table.add_row("100", "0.123456789", "12345", "3 h 20 min", "word " + "x" * 50)
    Output().show(table)
    out, _ = capfd.readouterr()
    assert "…" not in out
    assert "100" in out
    assert "0.123456789" in out
    assert "".join(out.replace("│", "").split()).count("x" * 50) == 1 or width == 80
    assert out.count("x") == 50
    assert ("─ 1 of 1 ─" in out) == (width < 80)
    assert ("batch size     100" in out) == (width == 40)
    assert max(map(len, out.splitlines())) <= width


def test_a_column_without_a_value_is_left_out_where_that_makes_the_table_fit(capfd, monkeypatch):
    """It is named below; where there is room for it, it stays."""
    table = WholeTable(title="cells")
    for heading in ("batch size", "to measure", "failed"):
        table.add_column(heading, no_wrap=True)
    table.add_row("32", "·", "1")
    for width, is_left_out in ((30, True), (80, False)):
        monkeypatch.setenv("COLUMNS", str(width))
        Output().show(table)
        out = " ".join(capfd.readouterr().out.split())
        assert ("Left out, as nothing stands there: to measure." in out) == is_left_out
        assert "─ 1 of 1 ─" not in out


def test_a_long_step_is_told_once_and_a_short_one_not(monkeypatch):
    """In a pipe a line; on a terminal in place, and erased once it is over."""
    monkeypatch.setattr(console, "_QUIET_SECONDS", 0.01)
    for is_terminal in (False, True):
        stream = io.StringIO()
        output = Output(notes=Console(file=stream, force_terminal=is_terminal, width=40))
        with output.step("drawing figures"):
            deadline = time.monotonic() + 5
            while not stream.getvalue().strip() and time.monotonic() < deadline:
                threading.Event().wait(0.005)
        end = "\r\x1b[2K" if is_terminal else "\n"
        assert stream.getvalue() == f"drawing figures …{end}"
    monkeypatch.setattr(console, "_QUIET_SECONDS", 60.0)
    stream = io.StringIO()
    with Output(notes=Console(file=stream)).step("nothing"):
        pass
    assert stream.getvalue() == ""


def test_the_width_is_that_of_a_terminal_or_of_columns(monkeypatch):
    """A pipe has none: what other programs read is not folded."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console.terminal_width() is None
    monkeypatch.setenv("COLUMNS", "72")
    assert console.terminal_width() == 72


def test_signs_that_a_stream_lacks_are_spelled_in_ascii():
    """What it has stays; letters of data that are in no formula stay too, for the escape."""
    text = "(−5.58 ± 0.19)×10⁻³ · tr σ²"
    assert writable(text, "ascii") == "(-5.58 +- 0.19)x10^-3 . tr sigma^2"
    assert writable(text, "latin-1") == "(-5.58 ± 0.19)×10^-3 · tr sigma²"
    assert writable(text, "utf-8") == text
    assert writable("1×10⁵ σ²", "ascii") == "1x10^5 sigma^2"
    assert writable("ж", "ascii") == "ж"
