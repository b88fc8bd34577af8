"""From a sweep to its table through the command, with real trials on Ray: what runs, and what does not.

Each test starts Ray at most twice; whoever can works on a copy of one finished store.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.machine.scratch import place_for_sockets
from orchestrator.planning.fit import this_machine
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store

pytestmark = pytest.mark.slow

HOME = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 300
SWEEP = """
name: toy
model: {name: mlp}
dataset: {name: digits, num_train: 200}
loss: kld
grid: {batch_size: [50], learning_rate: [0.1]}
seeds: 2
training: {epochs: 1}
measure: [losses]
"""
WITHOUT_RAY = """
import sys
from orchestrator import cli
sys.argv = ["minima", *sys.argv[1:]]
try:
    cli.main()
finally:
    heavy = {"ray", "tensorflow", "keras"} & set(sys.modules)
    if heavy:
        sys.exit(f"imported {heavy}")
"""


class Minima:
    """The command, standing in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, Store.open(str(folder / "minima-store"))
        self.environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        self.environment["PYTHONPATH"] = os.pathsep.join([str(HOME), "plugins"])
        self.environment.pop("MINIMA_FAULT", None)
        self.environment["COLUMNS"] = "200"  # so that no message is folded
        (folder / "toy.yaml").write_text(SWEEP)

    def start(self, *arguments: str, code: str | None = None) -> subprocess.Popen[str]:
        """Start the command, or a program in its place."""
        program = ["-P", "-m", "orchestrator"] if code is None else ["-P", "-c", code]
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, code: str | None = None) -> tuple[int, str, str]:
        """Run the command: exit code, standard output, standard error."""
        return finish(self.start(*arguments, code=code))

    def attempts(self) -> set[str]:
        """Name all attempts that ever started."""
        return set(self.store.names("attempts"))

    def work_of(self, names: set[str]) -> list[tuple[int, str]]:
        """Tell what attempts did: the seed, and the statistic or "train"."""
        found = [self.store.read_json(name) for name in names]
        seeds = {row["trial_id"]: row["seed"] for row in self.store.read("trials").to_pylist()}
        return sorted((seeds[beat["trial_id"]], beat["statistic"] or "train") for beat in found)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a command's end; one that takes too long is killed."""
    try:
        out, err = process.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The toy sweep run to its end, with what the command printed."""
    minima = Minima(tmp_path_factory.mktemp("finished"))
    return minima, minima("run", "toy.yaml", "--json")


@pytest.fixture
def minima(finished, tmp_path):
    """The command beside a copy of the finished store."""
    shutil.copytree(finished[0].folder / "minima-store", tmp_path / "minima-store")
    return Minima(tmp_path)


def test_a_sweep_is_run_to_its_end(finished):
    """Exit code 0, one JSON document alone on standard output, and a record of everything."""
    minima, (code, out, err) = finished
    assert code == 0, err
    document = json.loads(out)
    assert (document["num_done"], document["exit_code"], document["failures"]) == (2, 0, [])
    assert (document["run"]["num_finished"], document["run"]["unit"]) == (2, "core-hours")
    assert 0 < document["run"]["worked_seconds"] < document["run"]["wall_seconds"]
    names = minima.store.names("sweeps/toy")
    assert [f"sweeps/toy/{document['revision']}.json"] == names
    plan = PlanDocument.model_validate(minima.store.read_json(names[0]))
    rows = minima.store.read("trials").to_pylist()
    assert {row["trial_id"] for row in rows} == {item.trial_id for item in plan.trials}
    measured = minima.store.read("measurements")["trial_id"].unique()
    assert len(measured) == 2
    assert minima.store.read("cells").to_pylist()[0]["complete"]
    assert minima.work_of(minima.attempts()) == [
        (0, "losses"), (0, "train"), (1, "losses"), (1, "train"),
    ]  # fmt: skip
    assert minima.store.names("control") == []
    assert sorted(p.name for p in minima.folder.iterdir()) == ["minima-store", "toy.yaml"]


def test_the_same_command_again_starts_nothing(minima):
    """Neither Ray nor TensorFlow is imported, no attempt is made, and the table is printed."""
    before = minima.attempts()
    code, out, err = minima("run", "toy.yaml", code=WITHOUT_RAY)
    assert code == 0, err
    assert "2 of 2 trials done" in out
    assert "this run" not in out
    assert minima.attempts() == before
    assert len(minima.store.names("sweeps/toy")) == 1


def test_only_what_is_new_is_done(minima):
    """A seed more is trained and measured; a statistic more is taken of the kept models."""
    before = minima.attempts()
    kept = {r["trial_id"]: r["weights_sha256"] for r in minima.store.read("trials").to_pylist()}
    more = ("--set", "seeds=3", "--set", "measure=[losses, traces]")
    code, out, err = minima("run", "toy.yaml", *more)
    assert code == 0, err
    assert "3 of 3 trials done" in out
    assert "this run: 3 trials finished in " in out
    assert "1 to train, 2 to measure only" in err
    assert minima.work_of(minima.attempts() - before) == [
        (0, "traces"), (1, "traces"), (2, "losses"), (2, "traces"), (2, "train"),
    ]  # fmt: skip
    now = {r["trial_id"]: r["weights_sha256"] for r in minima.store.read("trials").to_pylist()}
    assert kept.items() < now.items()
    assert len(minima.store.names("sweeps/toy")) == 2


def test_a_trial_in_the_foreground_commits_like_any_other(minima):
    """Its sweep's other trials are left alone; done again it does nothing."""
    trial = ("trial", "toy.yaml", "--batch-size", "50", "--learning-rate", "0.1", "--seed", "2")
    arguments = (*trial, "--set", "seeds=4", "--json")
    before = minima.attempts()
    code, out, err = minima(*arguments)
    assert code == 0, err
    assert (json.loads(out)["num_done"], json.loads(out)["num_trials"]) == (3, 4)
    assert minima.work_of(minima.attempts() - before) == [(2, "losses"), (2, "train")]
    code, out, err = minima(*arguments, code=WITHOUT_RAY)
    assert code == 0, err
    assert json.loads(out)["num_done"] == 3
    assert "is done already" in err


def test_a_job_array_does_the_plan_place_by_place(finished, tmp_path):
    """Two jobs without Ray end with the bits of the run; nothing is averaged until asked; done again at once."""
    array = Minima(tmp_path)
    for index in ("0", "1"):
        code, out, err = array("trial", "toy.yaml", "--index", index, "--json")
        assert code == 0, err
        assert json.loads(out)["status"] == "done"
    code, out, err = array("trial", "toy.yaml", "--index", "1", code=WITHOUT_RAY)
    assert code == 0, err
    assert "batch size 50, learning rate 0.1, seed 1): done" in out
    assert len(array.attempts()) == 4
    assert array.store.names("cells") == []
    code, _, err = array("aggregate", "toy.yaml")
    assert code == 0, err
    rows, expected = (
        {row["trial_id"]: row["weights_sha256"] for row in place.store.read("trials").to_pylist()}
        for place in (array, finished[0])
    )
    assert rows == expected


def test_verify_finds_the_one_planted_difference(minima):
    """Two trials trained again in stores of their own: one has the same bits, the other is told; code 1."""
    trial_id = minima.store.read("trials")["trial_id"][0].as_py()
    _plant(minima.store, trial_id)
    code, out, err = minima("verify", "toy.yaml", "--sample", "2", "--json")
    assert code == 1, err
    document = json.loads(out)
    assert len(document["verified"]) == 2
    found = [(d["trial_id"], d["view"], d["column"]) for d in document["differences"]]
    assert found == [(trial_id, "measurements", "value")]


def _plant(store: Store, trial_id: str) -> None:
    """Put another first value in place of a trial's measurements."""
    commit = next(c for c in store.commits("measurements") if c.key[0] == trial_id)
    rows = commit.table.to_pylist()
    rows[0]["value"] += 1e-9
    store.remove(commit.path)
    changed = commit.table.from_pylist(rows, schema=commit.table.schema)
    store.commit("measurements", commit.key, "planted", changed)


def test_a_stopped_run_leaves_3_and_a_later_one_finishes(tmp_path):
    """The marker names the run that was stopped; the same command ignores it."""
    minima = Minima(tmp_path)
    one_slot = ("--set", f"resources.cpus={this_machine().cpus}")
    running = minima.start("run", "toy.yaml", *one_slot)
    deadline = time.monotonic() + LONGEST_SECONDS
    while not minima.attempts() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    code, out, _ = minima("stop", "toy", "--json")
    assert (code, len(json.loads(out)["runs"])) == (0, 1)
    code, _, err = finish(running)
    assert code == 3, err
    assert "not finished: the same command resumes" in err
    assert len(minima.store.read("measurements")["trial_id"].unique()) < 2
    code, out, err = minima("run", "toy.yaml", *one_slot)
    assert code == 0, err
    assert "2 of 2 trials done" in out


def test_a_run_ended_while_ray_starts_leaves_3_and_nothing_behind(tmp_path):
    """SIGTERM is an interruption from the first moment on; the store was not touched yet."""
    minima = Minima(tmp_path)
    running = minima.start("run", "toy.yaml")
    mine = f"minima-*-{running.pid}-*"
    deadline = time.monotonic() + LONGEST_SECONDS
    while not list(Path(place_for_sockets()).glob(f"{mine}/ray")):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    code, _, err = finish(running)
    assert code == 3, err
    assert err.endswith("interrupted; the same command resumes\n")
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]
    assert list(Path(place_for_sockets()).glob(mine)) == []


def test_an_unreachable_cluster_is_bad_input(tmp_path):
    """Told within seconds, and nothing is written."""
    minima = Minima(tmp_path)
    code, out, err = minima("run", "toy.yaml", "--address", "127.0.0.1:1", "--json")
    assert (code, out) == (2, "")
    assert "no Ray cluster answers" in err
    assert "where: --address 127.0.0.1:1" in err
    assert "mend:  start one with `ray start --head`" in err
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]


PLUGINS = {
    "__init__.py": '"""A package of the user\'s own."""\n',
    "nets.py": '''
import keras

def build(settings, input_shape, num_outputs, seed):
    """Build a network with one hidden layer of tanh."""
    inputs = keras.Input(input_shape)
    start = keras.initializers.GlorotUniform(seed)
    values = keras.layers.Dense(settings["units"], "tanh", kernel_initializer=start)(inputs)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(values))
''',
    "data.py": '''
import numpy as np
from workers.datasets.dataset import Dataset, Split, digest_of

def load(settings, data_dir):
    """Make a sine with noise: 60 training and 20 test points."""
    generator = np.random.default_rng(settings["data_seed"])
    inputs = generator.uniform(-3, 3, (80, 1)).astype(np.float32)
    targets = np.sin(inputs).astype(np.float32)
    train, test = Split(inputs[:60], targets[:60]), Split(inputs[60:], targets[60:])
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    return Dataset(train, test, zero, one, is_classification=False, digest=digest_of(train, test))
''',
    "losses.py": '''
import tensorflow as tf

class LogCosh:
    """The sum of log cosh(z - y) over outputs."""

    is_convex_in_outputs = True

    def per_example(self, outputs, targets):
        """Give one value an example."""
        distance = outputs - tf.cast(targets, outputs.dtype)
        return tf.reduce_sum(tf.math.log(tf.math.cosh(distance)), -1)

    def output_hessian(self, outputs, targets):
        """Give 1 - tanh(z - y)^2 on the diagonal."""
        distance = outputs - tf.cast(targets, outputs.dtype)
        return tf.linalg.diag(1 - tf.square(tf.tanh(distance)))
''',
    "largest.py": '''
import numpy as np
from workers.contract.records import Measurement

def measure(context, settings):
    """Measure the largest weight of a kept model."""
    largest = max(float(np.abs(w).max()) for w in context.model.get_weights())
    return [Measurement(quantity="largest_weight", value=largest, stderr=0.0, num_samples=1,
                        method="exact", bn_mode="frozen", split="train", objective="data")]
''',
    "broken.py": '''
def measure(context, settings):
    """Fail on the second seed."""
    if context.trial.seed == 1:
        raise LookupError("no [red] sum")
    from lab.largest import measure
    return measure(context, settings)
''',
}
PLUGIN_SWEEP = """
name: sine
model: {name: "lab.nets:build", settings: {units: 4}}
dataset: {name: "lab.data:load", settings: {data_seed: 1}}
loss: "lab.losses:LogCosh"
grid: {batch_size: [20], learning_rate: [0.05]}
seeds: 2
training: {epochs: 2}
measure: [losses, "lab.broken:measure", "lab.largest:measure"]
"""


def test_plugins_of_every_kind_and_one_that_fails(tmp_path):
    """A package found by a relative PYTHONPATH; a statistic that fails leaves 1 and the others done."""
    folder = tmp_path / "plugins" / "lab"
    folder.mkdir(parents=True)
    for name, text in PLUGINS.items():
        (folder / name).write_text(text)
    (tmp_path / "sine.yaml").write_text(PLUGIN_SWEEP)
    minima = Minima(tmp_path)
    code, out, err = minima("run", "sine.yaml")
    assert code == 1, err
    assert "failures of trials that are not done" in out
    assert "LookupError" in out
    assert "no [red] sum" in out.replace("\n", " ")
    assert "1 of 2 trials done" in out
    rows = minima.store.read("measurements").to_pylist()
    done = Counter(row["statistic"] for row in rows if row["quantity"] != "mean_loss")
    assert done == {"lab.broken:measure": 1, "lab.largest:measure": 2}
    of_losses = {row["trial_id"] for row in rows if row["statistic"] == "losses"}
    assert len(of_losses) == 2
    failures = minima.store.read("failures").to_pylist()
    assert {row["failure_class"] for row in failures} == {"user_error"}
    assert "no [red] sum" in minima.store.read_bytes(failures[0]["log_path"]).decode()

    (folder / "broken.py").write_text(PLUGINS["largest.py"])
    before = minima.attempts()
    trial = ("trial", "sine.yaml", "--batch-size", "20", "--learning-rate", "0.05", "--seed", "1")
    code, out, err = minima(*trial)
    assert code == 0, err
    assert minima.work_of(minima.attempts() - before) == [(1, "lab.broken:measure")]
