"""The command line: bad input is told and leaves 2, and writes and starts nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.commands import plan_command
from orchestrator.commands.app import app
from orchestrator.machine.processes import process_space
from workers.contract import distribution
from workers.contract.errors import StoreError
from workers.contract.store import Store

SWEEP = """
name: toy
model: {name: mlp}
dataset: {name: digits}
loss: kld
grid: {batch_size: [32], learning_rate: [0.1]}
seeds: 2
training: {epochs: 1}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with a sound sweep."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "toy.yaml").write_text(SWEEP)
    return tmp_path


@pytest.fixture
def empty_store(place):
    """A store in which nothing was planned yet."""
    (place / "minima-store/sweeps").mkdir(parents=True)
    return place / "minima-store"


@pytest.fixture
def minima(place, monkeypatch, capfd):
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["minima", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capfd.readouterr()
        return left.value.code, out, err

    return call


BAD = [
    (["run", "nothing.yaml"], "no sweep file 'nothing.yaml'"),
    (["run", "toy.yaml", "--set", "colour=1"], "unknown key 'colour'"),
    (
        ["run", "toy.yaml", "--set", "training.epochs=two"],
        "epochs is 'two', not a whole number ≥ 1",
    ),
    (["run", "toy.yaml", "--set", "seeds=0"], "seeds is 0"),
    (["run", "toy.yaml", "--set", "seeds=[2, 2]"], "seeds holds 2 twice"),
    (["run", "toy.yaml", "--set", "grid.learning_rate=[.nan]"], "learning_rate[0] is NaN"),
    (["run", "toy.yaml", "--set", "grid.batch_size=[-5]"], "batch_size[0] is -5"),
    (["run", "toy.yaml", "--set", "grid.batch_size=[100000]"], "a batch of 100000 is larger"),
    (["run", "toy.yaml", "--set", "model.name=resnet65"], "no model named 'resnet65'"),
    (["run", "toy.yaml", "--set", "dataset={name: cifar10}", "--data-dir", "."], "CIFAR-10"),
    (["run", "toy.yaml", "--store", "toy.yaml/x"], "toy.yaml is not a folder"),
    (["run", "toy.yaml", "--store", "ftp://a/b"], "no store of kind 'ftp'"),
    (["run", "toy.yaml", "--store", "~no-such-user/x"], "'~no-such-user/x' names a home folder"),
    (["run", "toy.yaml", "--data-dir", "~no-such-user/x"], "'~no-such-user/x' names a home folder"),
    (["run", "toy.yaml", "--store", "a" * 300], "a name in the path is longer than 255 bytes"),
    (["run", "a" * 300], "cannot look for the sweep: File name too long"),
    (
        ["run", "toy.yaml", "--wait-for-nodes", "2"],
        "on this machine alone has no nodes to wait for",
    ),
    (["run", "toy.yaml", "--max-concurrent", "0"], "greater than or equal to 1"),
    (
        ["run", "toy.yaml", "--time-budget", "soon"],
        "'soon' is no time: write 90s, 45m, 11h30m or 2d",
    ),
    (["run", "toy.yaml", "--time-budget", "0h"], "'0h' is no time"),
    (["run", "toy.yaml", "--time-budget", "9" * 400 + "d"], "is no time"),
    (
        ["run", "toy.yaml", "--address", "a:1", "--wait-for-nodes", "3,soon"],
        "'3,soon' is no number of nodes: write 3, or 3,600",
    ),
    (
        ["run", "toy.yaml", "--address", "a:1", "--wait-for-nodes", "-1"],
        "'-1' is no number of nodes",
    ),
    (["run", "toy.yaml", "--set", "resources.gpus=999"], "no node has them"),
    (["run", "toy.yaml", "--set", "resources.cpus=9999"], "no node has them"),
    (["run", "paper-kld", "--set", "dataset={name: digits}"], "about "),
    (["trial", "toy.yaml", "--index", "0", "--set", "resources.gpus=999"], "no node has them"),
    (
        ["trial", "toy.yaml", "--batch-size", "32", "--learning-rate", "0.3", "--seed", "0"],
        "no trial with batch size 32, learning rate 0.3, seed 0",
    ),
    (
        ["trial", "toy.yaml", "--batch-size", "x", "--learning-rate", "0.3", "--seed", "0"],
        "Invalid value for '--batch-size'",
    ),
    (["verify", "toy.yaml", "--sample", "1"], "no trial of toy is done"),
    (["query", "SELECT 1"], "minima-store\n  where: --store"),
    (["status", "nothing"], "there is no folder "),
    (["status"], "there is no folder "),
    (["stop", "toy.yaml"], "there is no folder "),
    (["aggregate"], "there is no folder "),
    (["compact"], "there is no folder "),
    (["compact", "--store", "."], " is not a store: it holds none of cell_measurements, cells,"),
    (
        ["status", "--store", "/etc"],
        "/etc is not a store: it holds none of cell_measurements, cells,",
    ),
    (["query", "SELECT 1", "--store", "toy.yaml"], "there is no folder "),
    (["report", "--out", "r"], "there is no folder "),
    (["sweeps", "--show", "quickstrat"], "did you mean 'quickstart'?"),
    (["plam"], "No such command 'plam'"),
    (["plan"], "where: minima plan\n  mend:  see `minima plan --help`"),
    (["query", "--format", "xml", "SELECT 1"], "mend:  see `minima query --help`"),
    (
        ["run", "toy.yaml", "--set", "training.epochs.first=1"],
        "'training.epochs' holds a value, not keys\n"
        "  where: --set training.epochs.first=1\n  mend:  --set training.epochs=… replaces it",
    ),
    (["run", "toy.yaml", "--checkpoint-seconds", "inf"], "inf is no time between checkpoints"),
    (["run", "toy.yaml", "--checkpoint-seconds", "0.01"], "greater than or equal to 0.1"),
    (["run"], "SWEEP"),
    (["run", "toy.yaml", "--no-such-option"], "--no-such-option"),
]


@pytest.mark.parametrize(("arguments", "told"), BAD, ids=[" ".join(a)[:60] for a, _ in BAD])
def test_bad_input_leaves_2_and_nothing_behind(minima, place, arguments, told):
    """What is wrong is told on standard error with its cure, without a stack trace."""
    if os.cpu_count() and "paper-kld" in arguments and Path("/proc/driver/nvidia/gpus").is_dir():
        pytest.skip("this machine has a GPU")
    code, out, err = minima(*arguments)
    assert code == 2, err
    assert told in err
    assert "mend:" in err
    assert "Traceback" not in out + err
    assert sorted(path.name for path in place.iterdir()) == ["toy.yaml"]


def test_the_version_is_that_of_the_distribution(minima, monkeypatch):
    """Called `sgd-minima`: a package of the command's name on the public index is another one."""
    installed = {"sgd-minima": "1.2.3", "minima": "0.0.1"}
    monkeypatch.setattr(distribution, "version", installed.__getitem__)
    assert minima("--version") == (0, "minima 1.2.3\n", "")


def test_a_tree_that_is_not_installed_has_no_version(minima, monkeypatch):
    """It is run all the same."""

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(distribution, "version", version)
    assert minima("--version") == (0, "minima not installed\n", "")


@pytest.mark.parametrize(
    "command", ["", *(command.callback.__name__ for command in app.registered_commands)]
)
def test_every_command_shows_its_help_for_a_short_h(minima, command):
    """The same as for --help, of which it is named an equal; 0, and nothing is done."""
    short = minima(*command.split(), "-h")
    assert short == minima(*command.split(), "--help")
    assert short[0] == 0
    assert re.search(r"-h\b.*--help|--help.*-h\b", short[1])


def test_the_package_is_the_command():
    """`python -m orchestrator` where no script is on PATH."""
    command = [sys.executable, "-P", "-m", "orchestrator"]
    done = subprocess.run([*command, "plam"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "plam" in done.stderr
    assert "mend:" in done.stderr


def test_all_faults_are_told_at_once(minima):
    """Of the keys, the data and the store."""
    code, _, err = minima(
        "run", "toy.yaml", "--set", "colour=1", "--set", "grid.batch_size=[99999]",
        "--set", "loss=kdl", "--store", "toy.yaml/x",
    )  # fmt: skip
    assert code == 2
    assert err.count("mend:") == 4


def test_the_papers_sweep_is_refused_without_a_gpu_with_the_days_it_would_take(minima):
    """And with the options that would run it all the same."""
    if Path("/proc/driver/nvidia/gpus").is_dir():
        pytest.skip("this machine has a GPU")
    code, _, err = minima(
        "run", "paper-kld", "--set", "dataset={name: digits}", "--set", "seeds=500"
    )
    assert code == 2
    assert "--set resources.gpus=0" in err
    assert any(unit in err for unit in (" days", " h"))


def test_plan_writes_nothing_and_says_what_fits(minima, place):
    """JSON alone on standard output."""
    code, out, _ = minima("plan", "toy.yaml", "--json", "--set", "resources.gpus=7")
    document = json.loads(out)
    assert code == 0
    assert document["fits"] is False
    assert document["aside"] is None
    assert document["misfit"]["where"] == "resources"
    assert "--set resources.gpus=0" in document["misfit"]["mend"]
    assert document["seconds_left"] is None
    assert [trial["state"] for trial in document["trials"]] == ["to_train", "to_train"]
    assert sorted(path.name for path in place.iterdir()) == ["toy.yaml"]


def test_status_of_an_empty_store(minima, empty_store):
    """Nothing to tell is no fault."""
    assert minima("status", "--json")[:2] == (0, "[]\n")


def test_stop_does_not_count_a_run_that_was_killed(minima, empty_store, dead_pid):
    """Its registration is removed, where we can tell; one of another machine is asked."""
    owner = {"host": "h", "pid": dead_pid, "process_space": process_space()}
    store = Store.open(str(empty_store))
    store.write_json(Store.run_path("toy", "killed"), owner)
    store.write_json(Store.run_path("toy", "elsewhere"), owner | {"process_space": "another"})
    code, out, _ = minima("stop", "toy")
    assert (code, out) == (0, "asked 1 runs of toy to stop\n")
    assert store.read_json(Store.run_path("toy", "killed")) is None


def test_stop_without_a_run(minima, empty_store):
    """Nothing to stop is no fault of a sweep that was planned; one that was not is told the nearest."""
    (empty_store / "sweeps/toy").mkdir()
    (empty_store / "sweeps/toy/r.json").write_text("{}")
    code, out, _ = minima("stop", "toy.yaml")
    assert (code, out) == (0, "no run of toy is registered\n")
    code, _, err = minima("stop", "toi")
    assert (code, err) == (
        2,
        f"no sweep 'toi' in {empty_store}\n  where: SWEEP, --store\n"
        "  mend:  did you mean 'toy'? Known: toy.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["query", "SELEC 1"], "SELEC"),
        (["query", "SELECT nothing FROM trials"], "nothing"),
        (["query", "SELECT * FROM read_text('/etc/passwd')"], "/etc/passwd"),
        (["query", "COPY (SELECT 1) TO 'x.csv'"], "COPY"),
        (["status", "nothing"], "no sweep 'nothing'"),
        (["report", "--out", "r"], "no sweep was run"),
        (["status", "a" * 300], "cannot look for the sweep: File name too long"),
    ],
)
def test_bad_questions_to_an_empty_store_leave_2(minima, place, empty_store, arguments, told):
    """With the cure, and nothing is written."""
    code, out, err = minima(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert "mend:" in err
    assert sorted(path.name for path in place.iterdir()) == ["minima-store", "toy.yaml"]
    assert [path.name for path in empty_store.iterdir()] == ["sweeps"]


def test_sweeps_lists_and_shows(minima):
    """What --show prints can be run as a file."""
    _, listed, _ = minima("sweeps")
    assert [line.split()[0] for line in listed.splitlines()] == [
        "paper-figures", "paper-figures-gradlog", "paper-figures-small", "paper-gradlog",
        "paper-gradlog-small", "paper-kld", "paper-kld-small", "quickstart",
    ]  # fmt: skip
    _, shown, _ = minima("sweeps", "--show", "quickstart")
    Path("copy.yaml").write_text(shown)
    assert minima("plan", "copy.yaml")[0] == 0


def test_a_query_of_an_empty_store_has_the_columns(minima, empty_store):
    """Views exist before anything was run."""
    code, out, _ = minima("query", "SELECT * FROM cells", "--format", "csv")
    assert code == 0
    assert out.startswith("sweep,loss,batch_size,learning_rate,batch_size_over_learning_rate")


def test_a_foreign_package_of_our_name_is_refused(place):
    """By path, with the cure, before it is used."""
    (place / "analysis").mkdir()
    (place / "analysis/__init__.py").write_text("raise RuntimeError('the wrong one')")
    home = Path(cli.__file__).resolve().parent.parent
    code = (
        f"import sys; sys.path.insert(0, {str(home)!r}); import orchestrator.cli as c;"
        f"sys.path.insert(0, {str(place)!r}); sys.argv = ['minima', 'sweeps']; c.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"the package 'analysis' is found at {place}/analysis/__init__.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_starts_without_tensorflow_or_ray():
    """Looking at a store or a plan imports neither."""
    code = (
        "import sys; from orchestrator import cli; sys.argv = ['minima', 'plan', 'quickstart'];\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "assert not {'tensorflow', 'ray', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        (["--help"], {"numpy", "pyarrow", "duckdb"}),
        (["query", "SELECT 1"], {"scipy", "orchestrator.planning", "analysis.records"}),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_a_command_starts_without_what_it_does_not_use(command, absent, place):
    """A query, which is quick by itself, imports no planner, and `--help` next to nothing."""
    Store.open(str(place / "store")).write_json("sweeps/none.json", {})
    code = (
        f"import sys; from orchestrator import cli; sys.argv = {['minima', *command]!r};\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        f"assert not {absent!r} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_command_leaves_3(minima, monkeypatch, number):
    """Wherever it is."""
    # whoever started the tests in the background may have had SIGINT ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(plan_command, "plan", lambda *_, **__: signal.raise_signal(number))
    assert minima("plan", "toy.yaml") == (3, "", "interrupted; the same command resumes\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_to_a_leaving_command_changes_nothing(number):
    """Neither its exit code nor what it says, while Python itself ends."""
    code = (
        "import atexit, signal, sys; from orchestrator import cli;"
        f"atexit.register(signal.raise_signal, {int(number)}); sys.argv = ['minima', 'sweeps'];"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_of_ours_leaves_4(minima, monkeypatch):
    """With the lines to report."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(plan_command, "plan", fail)
    code, out, err = minima("plan", "toy.yaml")
    assert (code, out) == (4, "")
    assert "ZeroDivisionError: ours" in err
    assert err.endswith("internal error: please report the lines above\n")


def test_a_store_that_fails_meanwhile_leaves_2(minima, monkeypatch):
    """With its cure."""

    def fail(*_: object, **__: object) -> None:
        raise StoreError("cannot write trials/x: no space")

    monkeypatch.setattr(plan_command, "plan", fail)
    code, out, err = minima("plan", "toy.yaml")
    assert (code, out) == (2, "")
    assert err == (
        "cannot write trials/x: no space\n  mend:  check the store's place, rights and space\n"
    )
