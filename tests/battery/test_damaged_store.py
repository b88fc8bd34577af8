"""Damages of a store × commands that read it: told and passed over, never a traceback, nothing removed.

The store is a small real one, of one sweep with two trained seeds; each test damages a copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator import cli
from orchestrator.running import foreground, verification
from orchestrator.slots.task import SlotResult, SlotTask
from workers.contract.errors import UserError
from workers.contract.schema import VIEWS
from workers.contract.store import Store
from workers.contract.store_place import open_existing

KEPT = Path(__file__).parents[1] / "orchestrator"
SEED_0, SEED_1 = "2e9cbb410208ecd91bf1", "98e7ed045f04ba0a3fb3"

pytestmark = pytest.mark.filterwarnings("default:ignored .*damaged file")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A copy of the kept store, and its sweep's file, in the folder we stand in."""
    shutil.copytree(KEPT / "kept_store", tmp_path / "minima-store")
    shutil.copy(KEPT / "kept_store.yaml", tmp_path / "small.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return tmp_path / "minima-store"


@pytest.fixture
def minima(place, monkeypatch, capfd):
    """Run the command in this process, warnings as a fresh process has them: code, output, errors.

    What would train brings the kept store's own records in its place.
    """

    def train(task: SlotTask, _slot: object) -> SlotResult:
        if Path(task.store) != place:
            shutil.copytree(KEPT / "kept_store", task.store, dirs_exist_ok=True)
        return SlotResult(trial_id=task.trial_id, status="done", num_attempts=1, num_failures=0)

    for module in (foreground, verification):
        monkeypatch.setattr(module, "run_on", train)
        monkeypatch.setattr(module, "start", lambda *_: None)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["minima", *arguments])
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            with pytest.raises(SystemExit) as left:
                cli.main()
        out, err = capfd.readouterr()
        return left.value.code, out, err

    return call


def files(place: Path) -> dict[str, bytes | None]:
    """List everything in a folder with its bytes; None for what is no file."""
    return {
        str(path.relative_to(place)): path.read_bytes() if os.path.isfile(path) else None  # noqa: PTH113  # Path's own raises on a link in a circle
        for path in place.rglob("*")
    }


def signed(view: str, table: pa.Table, labels: dict[str, str] | None = None) -> bytes:
    """Write a Parquet file with a right digest, whatever it holds."""
    metadata = {
        "view": view, "schema_version": "1", "committed_at": "2026-11-28T13:52:36+00:00",
        "attempt_id": "bad", "compacted": "False", "parts": "[]",
    } | (labels or {})  # fmt: skip
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table)
        kept = {f"minima.{key}": text for key, text in metadata.items() if text != "–"}
        writer.add_key_value_metadata(kept | {"minima.sha256": "0" * 64})
    content = sink.getvalue().to_pybytes()
    found = re.search(rb"minima\.sha256[^0-9a-f]{1,8}(0{64})", content, re.DOTALL)
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[: found.start(1)] + digest + content[found.end(1) :]


def rows_of(place: Path, path: Path) -> pa.Table:
    """Read the rows of a committed file, without its labels."""
    return pq.ParquetFile(path).read().replace_schema_metadata(None)


def first(place: Path, view: str) -> Path:
    """Find the file of the second seed, or the only one of a derived view."""
    names = sorted((place / view).iterdir())
    return next((path for path in names if path.name.startswith(SEED_1)), names[-1])


def changed(column: str, values: Callable[[pa.Table], object]) -> Callable[[pa.Table], pa.Table]:
    """Make a change of one column."""

    def change(table: pa.Table) -> pa.Table:
        new = values(table)
        array = new if isinstance(new, pa.Array) else pa.array([new] * table.num_rows)
        return table.set_column(table.schema.get_field_index(column), column, array)

    return change


def times(value: int | None) -> Callable[[pa.Table], pa.Array]:
    return lambda table: pa.array([value] * table.num_rows, pa.timestamp("us", tz="UTC"))


def not_utf8(table: pa.Table) -> pa.Array:
    offsets = pa.array(range(table.num_rows + 1), pa.int32()).buffers()[1]
    return pa.StringArray.from_buffers(table.num_rows, offsets, pa.py_buffer(b"\xff" * 99))


def twice(table: pa.Table) -> pa.Table:
    names = table.schema.names
    return pa.Table.from_arrays([*table.columns, table.columns[0]], names=[*names, names[0]])


YEAR_0, YEAR_294247 = -62_167_219_200_000_000, 2**63 - 1

TRIALS = {  # what is wrong with the record of a trial, and what is told of it
    "id-is-number": (changed("trial_id", lambda _: 7), "'trial_id' holds int64, not string"),
    "rate-is-text": (changed("learning_rate", lambda _: "x"), "'learning_rate' holds string"),
    "size-is-real": (changed("batch_size", lambda _: 0.5), "'batch_size' holds double, not int64"),
    "time-is-text": (changed("started_at", lambda _: "now"), "'started_at' holds string"),
    "spec-is-list": (changed("spec", lambda _: ["x"]), "'spec' holds list"),
    "two-columns": (twice, "'trial_id' is there 2 times"),
    "no-id": (lambda table: table.drop_columns(["trial_id"]), "'trial_id' is missing"),
    "no-outcome": (lambda table: table.drop_columns(["outcome"]), "'outcome' is missing"),
    "no-digest": (lambda table: table.drop_columns(["weights_sha256"]), "'weights_sha256' is miss"),
    "no-columns": (lambda _: pa.table({"x": [1]}), "'trial_id' is missing"),
    "null-id": (changed("trial_id", lambda t: pa.nulls(t.num_rows, pa.string())), "'trial_id' has"),
    "null-seed": (changed("seed", lambda t: pa.nulls(t.num_rows, pa.int64())), "'seed' has gaps"),
    "null-time": (changed("finished_at", times(None)), "'finished_at' has gaps"),
    "year-0": (changed("started_at", times(YEAR_0)), "'started_at' holds times before 1970"),
    "year-294247": (changed("finished_at", times(YEAR_294247)), "'finished_at' holds times before"),
    "nul-in-id": (changed("trial_id", lambda _: "a\0b"), "cannot be an id"),
    "escape-in-id": (changed("trial_id", lambda _: "\x1b[31m"), "cannot be an id"),
    "path-in-id": (changed("trial_id", lambda _: "../../etc"), "cannot be an id"),
    "empty-id": (changed("trial_id", lambda _: ""), "cannot be an id"),
    "other-id": (changed("trial_id", lambda _: "f" * 20), "which is not its name"),
    "not-utf8": (changed("host", not_utf8), "not readable as Parquet"),
    "size-0": (changed("batch_size", lambda _: 0), "'batch_size' holds what is no finite number"),
    "rate-nan": (changed("learning_rate", lambda _: float("nan")), "'learning_rate' holds what is"),
    "rate-inf": (changed("learning_rate", lambda _: float("inf")), "'learning_rate' holds what is"),
    "outcome": (changed("outcome", lambda _: "splendid"), "there is no outcome 'splendid'"),
    "two-rows": (lambda table: pa.concat_tables([table, table]), "2 rows of one id, not one"),
    "no-rows": (lambda table: table.slice(0, 0), "0 rows of one id, not one"),
}

LABELS = {
    "no-view": ({"view": "–"}, "the label 'view' is missing"),
    "no-time": ({"committed_at": "–"}, "the label 'committed_at' is missing"),
    "no-attempt": ({"attempt_id": "–"}, "the label 'attempt_id' is missing"),
    "no-parts": ({"parts": "–"}, "the label 'parts' is missing"),
    "view": ({"view": "\x1b]0;x"}, r"it holds the view '\x1b]0;x', not 'trials'"),
    "time": ({"committed_at": "yesterday"}, "'yesterday', which is no time"),
    "year-0": ({"committed_at": "0000-01-01"}, "'0000-01-01', which is no time"),
    "year-1": ({"committed_at": "0001-01-01"}, "'0001-01-01', which is no time"),
    "attempt": ({"attempt_id": "../x"}, "'../x' cannot be an attempt"),
    "compacted": ({"compacted": "maybe"}, "the label 'compacted' is 'maybe'"),
    "parts": ({"parts": "{"}, "its parts cannot be read"),
    "parts-number": ({"parts": "7"}, "its parts cannot be read"),
    "parts-deep": ({"parts": "[" * 100_000}, "its parts cannot be read"),
    "parts-types": ({"compacted": "True", "parts": "[[[1],2,3,4]]"}, "not told by texts"),
    "merged-name": ({"compacted": "True"}, "it is a merged file, which is not its name"),
}

RAW = {
    "zero-bytes": (lambda content: b"", "it is cut off, or not a committed file"),
    "truncated": (lambda content: content[: len(content) // 2], "it is cut off"),
    "one-bit": (lambda content: bytes([content[0] ^ 1]) + content[1:], "do not match the digest"),
    "text": (lambda content: b"hello", "it is cut off, or not a committed file"),
}

PLACES = {
    "folder": (lambda path: path.mkdir(), "it is a folder"),
    "link-to-nothing": (lambda path: path.symlink_to("gone"), "it is a link that leads nowhere"),
    "link-in-circle": (lambda path: path.symlink_to(path.name), "it is a link that leads nowhere"),
    "pipe": (os.mkfifo, "it is no file"),
}

PLANS = {
    "empty": "", "cut": '{"sweep": "small"', "list": "[]", "null": "null", "not-utf8": b"\xff\xfe",
    "deep": "[" * 200_000, "no-trials": {"trials": []}, "trials-missing": {"trials": None},
    "trials-text": {"trials": "all"}, "spec-list": {"spec": []}, "seeds-nan": {"seeds": [1e400]},
    "seeds-huge": {"seeds": [10**400]}, "sweep-number": {"sweep": 7}, "sweep-path": {"sweep": "../x"},
    "other-sweep": {"sweep": "large"}, "planned-at": {"planned_at": "never"},
    "spec-nan": {"spec": {"x": float("nan")}}, "spec-half": {"spec": {"x": "\ud800"}},
    "gpus": {"spec": {"resources": {"gpus": "many"}}}, "unknown-key": {"colour": 1},
    "statistics": {"statistics": [{"statistic_id": "a/b"}]}, "digits": "9" * 10_000,
}  # fmt: skip

READING = {
    "status": ["status", "small"], "all": ["status", "--json"], "plan": ["plan", "small.yaml"],
    "query": ["query", "SELECT trial_id FROM trials", "--format", "csv"], "stop": ["stop", "small"],
    "aggregate": ["aggregate", "small"], "compact": ["compact"],
    "trial": ["trial", "small.yaml", "--batch-size=20", "--learning-rate=0.2", "--seed=1"],
    "verify": ["verify", "small.yaml", "--sample=1"],
}  # fmt: skip
AND_REPORT = [*READING, pytest.param("report", marks=pytest.mark.slow)]
"""A report draws its figures, which takes seconds."""
READING = READING | {"report": ["report", "small", "--out", "out"]}


def check(minima, place, arguments, damaged, told, *, codes=(0,)) -> str:
    """Run a command on a damaged store: no traceback, the file told once, nothing of it removed."""
    before = files(place)[damaged]
    code, out, err = minima(*arguments)
    assert code in codes, out + err
    assert "Traceback" not in out + err
    assert not set("\x1b\0") & set(out + err)
    if told is not None:
        shown = damaged.encode("utf-8", "surrogateescape").decode(errors="backslashreplace")
        assert err.count(f"{shown}: ") == 1, err
        assert told in err
    assert files(place)[damaged] == before
    return out


@pytest.mark.parametrize("command", ["status", "query", "plan", "compact", "trial", "verify"])
@pytest.mark.parametrize("damage", TRIALS)
def test_a_signed_record_that_cannot_be(minima, place, damage, command):
    """The trial counts as not done; the other one stays."""
    change, told = TRIALS[damage]
    path = first(place, "trials")
    path.write_bytes(signed("trials", change(rows_of(place, path))))
    out = check(minima, place, READING[command], f"trials/{path.name}", told)
    if command == "query":
        assert out == f"trial_id\n{SEED_0}\n"
    if command == "plan":
        assert "0 of 2 trials done" in out or "1 of 2 trials done" in out


@pytest.mark.parametrize("command", ["query", "compact"])
@pytest.mark.parametrize("damage", LABELS)
def test_a_signed_record_with_wrong_labels(minima, place, damage, command):
    """What says who committed it, and when, is judged as its rows are."""
    labels, told = LABELS[damage]
    path = first(place, "trials")
    path.write_bytes(signed("trials", rows_of(place, path), labels))
    out = check(minima, place, READING[command], f"trials/{path.name}", told)
    assert command != "query" or out == f"trial_id\n{SEED_0}\n"


@pytest.mark.parametrize("view", sorted(set(VIEWS) - {"failures", "spectra"}))
@pytest.mark.parametrize("damage", RAW)
def test_a_rotten_file_of_every_view(minima, place, damage, view):
    """It is told by a query of the view, and the view has its other rows."""
    change, told = RAW[damage]
    path = first(place, view)
    path.write_bytes(change(path.read_bytes()))
    num_rows = sum(
        pq.ParquetFile(other).metadata.num_rows for other in path.parent.iterdir() if other != path
    )
    sql = f"SELECT count(*) AS n FROM {view}"  # noqa: S608  # a constant name
    out = check(minima, place, ["query", sql, "--format", "csv"], f"{view}/{path.name}", told)
    assert out == f"n\n{num_rows}\n"


@pytest.mark.parametrize("command", AND_REPORT)
@pytest.mark.parametrize("kind", PLACES)
def test_what_is_no_file(minima, place, kind, command):
    """A folder, a link, a pipe in the place of a record: told, and never opened."""
    make, told = PLACES[kind]
    path = place / "trials" / f"{SEED_1}.x.parquet"
    make(path)
    is_read = command not in {"stop"}
    check(minima, place, READING[command], f"trials/{path.name}", told if is_read else None)


@pytest.mark.parametrize("command", ["status", "plan"])
@pytest.mark.parametrize("damage", PLANS)
def test_a_plan_that_is_none(minima, place, damage, command):
    """The revision before counts."""
    content = PLANS[damage]
    whole = json.loads(sorted((place / "sweeps/small").iterdir())[-1].read_text())
    if isinstance(content, dict):
        content = json.dumps(whole | content)
    path = place / "sweeps/small/99990101T000000000000-0.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    out = check(minima, place, READING[command], f"sweeps/small/{path.name}", "it is ")
    assert "small" in out


@pytest.mark.parametrize("command", AND_REPORT)
def test_names_that_are_not_utf8_and_links_in_a_circle(minima, place, command):
    """Neither a listing nor a search of folders ends over them."""
    path = place / "trials" / os.fsdecode(b"x\xff.parquet")
    path.write_bytes(b"x")
    (place / "sweeps/small/up").symlink_to("..")
    (place / "sweeps/loop").symlink_to("loop")
    code, out, err = minima(*READING[command])
    assert code == 0, out + err
    assert "Traceback" not in err
    assert command == "stop" or r"trials/x\xff.parquet: its name is not UTF-8" in err


@pytest.mark.parametrize("command", AND_REPORT)
def test_a_record_that_may_not_be_read(minima, place, command, monkeypatch):
    """As whoever runs the tests may read everything, the system's answer is put in place."""
    path, access = first(place, "trials"), os.access

    def closed(asked: Path, mode: int) -> bool:
        return Path(asked).name != path.name and access(asked, mode)

    monkeypatch.setattr(os, "access", closed)
    told = None if command == "stop" else "it may not be read by this user"
    check(minima, place, READING[command], f"trials/{path.name}", told)


@pytest.mark.parametrize("command", ["status", "all", "aggregate", "plan", "trial"])
@pytest.mark.parametrize("content", ["", "[]", '{"trial_id": "t"', '{"pid": 1e999}', "[" * 100_000])
def test_a_heartbeat_that_is_none(minima, place, content, command):
    """It is no sign of life; who looks for signs of life tells it, once."""
    (place / "attempts").mkdir()
    path = f"attempts/{SEED_1}.a.json"
    (place / path).write_text(content)
    is_read = command in {"status", "all", "trial"}
    told = "it is no heartbeat: " if content in {"[]", '{"pid": 1e999}'} else "it is not JSON: "
    check(minima, place, READING[command], path, told if is_read else None)


@pytest.mark.parametrize("content", ["", "[]", '{"pid": 1e999}', '{"pid": "x"}', "[" * 100_000])
@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_registration_that_is_none(minima, place, content, command):
    """A run is registered by its file's name; what the file says is believed where it can be."""
    (place / "control").mkdir()
    (place / "control/small.r1.run.json").write_text(content)
    code, out, err = minima(*READING[command])
    assert (code, "Traceback" in err) == (0, False), err
    assert command != "stop" or out == "asked 1 runs of small to stop\n"


def test_many_damaged_files_are_told_in_one_line(minima, place):
    """Three by name, the others by their number."""
    for number in range(20):
        (place / f"trials/t{number:02}.a.parquet").write_bytes(b"")
    code, _, err = minima(*READING["query"])
    assert code == 0
    assert err.count("\n") == 1
    assert err.startswith("warning: ignored 20 damaged files of the store: trials/t00.a.parquet: ")
    assert err.endswith("; … and 17 more\n")


def test_a_view_that_is_a_file_is_a_fault_of_the_store(minima, place):
    """Its records cannot be known: nothing is believed, and nothing trained again."""
    shutil.rmtree(place / "trials")
    (place / "trials").write_text("")
    for command in ("status", "plan", "query", "compact"):
        code, _, err = minima(*READING[command])
        assert code == 2
        assert err.startswith("cannot list trials in the store ")


def test_without_a_sound_plan_nothing_is_concluded(minima, place):
    """A sweep asked for by name is refused with the cure; all sweeps are those that can be read."""
    for path in (place / "sweeps/small").iterdir():
        path.write_text('{"sweep": ')
    code, _, err = minima("status", "small")
    assert code == 2
    assert "no plan of 'small' in" in err
    assert (
        "mend:  run the sweep again: its plan is written anew, and what is done stays done" in err
    )
    assert minima("status", "--json")[:2] == (0, "[]\n")


def test_a_notebook_reads_what_is_sound(place):
    """And is told of the rest by a warning; what is no store is refused."""
    from analysis import open_store

    path = first(place, "trials")
    path.write_bytes(signed("trials", twice(rows_of(place, path))))
    with pytest.warns(
        UserWarning, match=f"ignored a damaged file of the store, trials/{path.name}"
    ):
        assert list(open_store(str(place)).trials("small")["trial_id"]) == [SEED_0]
    with pytest.raises(UserError, match="there is no folder"):
        open_store(str(place / "gone"))


def test_a_store_in_a_bucket_that_is_not_there_is_refused(s3_store):
    """As a folder is; an empty prefix is no store, and nothing is put there."""
    with pytest.raises(UserError, match=r"is not a store: it holds none of .*, sweeps,"):
        open_existing(s3_store.uri)
    with pytest.raises(UserError, match=r"no-such-bucket/.* is not a store"):
        open_existing(re.sub("s3://[^/]*", "s3://no-such-bucket", s3_store.uri))
    assert s3_store.names("sweeps", recursive=True) == []
    s3_store.write_json("sweeps/small/r.json", {})
    assert open_existing(s3_store.uri).uri == s3_store.uri


def test_a_damaged_record_in_a_bucket_is_told(s3_store):
    """By the same judgement as on disk."""
    for path in (KEPT / "kept_store/trials").iterdir():
        s3_store.write_bytes(f"trials/{path.name}", path.read_bytes())
    path = first(KEPT / "kept_store", "trials")
    bad = signed("trials", twice(rows_of(KEPT, path)))
    s3_store.write_bytes(f"trials/{path.name}", bad)
    with pytest.warns(UserWarning, match="'trial_id' is there 2 times"):
        assert Store.open(s3_store.uri).read("trials")["trial_id"].to_pylist() == [SEED_0]
