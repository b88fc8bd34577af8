"""One order from start to end: what it commits, refuses, answers, and survives."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict
from pathlib import Path

import pytest

from workers import trial as entry
from workers.attempts.kept_model import from_bytes
from workers.contract import identity, records
from workers.contract.errors import StoreError
from workers.contract.orders import EXIT_UNANSWERED, PROGRESS_FILE, Answer, Progress
from workers.contract.statistics import PluginStatisticSpec
from workers.contract.store import Store
from workers.models.mlp import MLPSpec
from workers.models.resnet import ResNetSpec
from workers.network.weights import digest_of_weights
from workers.process.code_digest import running_code
from workers.process.code_origin import running_origin
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec

STATISTIC = """
import numpy as np
from workers.contract.records import Measurement

def measure(context, settings):
    saved = context.partials.restore("train")
    done = 0 if saved is None else int(saved["done"])
    while done < settings["num_batches"]:
        done += 1
        context.partials.advance("train", {"done": np.array(done)}, done, settings["num_batches"])
    norm = sum(float(np.sum(w.numpy() ** 2)) for w in context.model.trainable_variables)
    return [Measurement(
        quantity="parameter_norm_squared", value=norm, stderr=0.0, num_samples=1, method="exact",
        bn_mode="frozen", split="train", objective="data",
    )]

def divide(context, settings):
    return 1 / 0

def wrong(context, settings):
    return [3.0]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "trial_test_plugin.py").write_text(STATISTIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda name="measure", **settings: PluginStatisticSpec(
        name=f"trial_test_plugin:{name}", settings={"num_batches": 3, **settings}
    )


def never():
    return False


def stop_after(num_questions):
    answers = iter([False] * num_questions)
    return lambda: next(answers, True)


def trials(store):
    return store.read("trials").to_pylist()


def without_seconds(store):
    rows = store.read("epochs").drop_columns(["seconds"]).to_pylist()
    return [{**row, "trial_id": None} for row in rows]


def test_a_trained_trial_leaves_model_epochs_and_record(make_order, store):
    """The record says what was trained, where and how it ended; the model has its weights."""
    order = make_order(momentum=0.9, milestones=[1], model=ResNetSpec(depth=8))
    assert entry.run_order(order, never) == Answer(status="committed")
    (row,) = trials(store)
    assert (row["trial_id"], row["attempt_id"]) == (order.trial_id, "first")
    assert (row["model"], row["depth"], row["num_params"]) == ("resnet", 8, 75_002)
    assert (row["dataset"], row["num_train"]) == ("digits", 100)
    assert (row["outcome"], row["epochs"]) == ("budget_spent", 3)
    assert row["final_learning_rate"] == pytest.approx(0.005)
    assert row["spec"] == order.trial.model_dump_json()
    assert row["code_digest"] == running_code()
    assert identity.digest(json.loads(row["environment"])) == row["environment_id"]
    assert asdict(running_origin()).items() <= row.items()
    assert row["host"]
    assert row["device"]
    assert row["started_at"] < row["finished_at"]
    assert row["wall_seconds"] > 0
    epochs = store.read("epochs").to_pylist()
    assert [epoch["epoch"] for epoch in epochs] == [0, 1, 2]
    assert row["train_loss"] == epochs[-1]["train_loss"]
    assert row["validation_accuracy"] == epochs[-1]["validation_accuracy"]
    content = store.read_bytes(store.model_path(order.trial_id, "first"))
    assert digest_of_weights(from_bytes(content, order.trial)) == row["weights_sha256"]


def test_the_trial_is_committed_last(make_order, store, monkeypatch):
    """Model, epochs, trial: a record never speaks of what is not there."""
    written = []
    monkeypatch.setattr("workers.contract.fault_injection.reach_write", written.append)
    entry.run_order(make_order(), never)
    assert [path.split("/")[0] for path in written] == ["models", "epochs", "trials"]


def test_what_cannot_be_removed_after_the_commit_is_no_failure(make_order, store, monkeypatch):
    """The work is done; a checkpoint that stays harms nothing."""
    store.write_bytes(f"{Store.checkpoint_folder(make_order().work_id)}/left", b"")

    def fail(*_: object) -> None:
        raise StoreError("may not be removed")

    monkeypatch.setattr(Store, "remove", fail)
    assert entry.run_order(make_order(), never) == Answer(status="committed")


def test_a_stopped_trial_resumes_in_another_attempt(make_order, store, tmp_path):
    """It drains with a checkpoint, ends like the trial trained straight through, and clears up."""
    drained = entry.run_order(make_order(), stop_after(3))
    assert drained.status == "drained"
    assert "of 36" in drained.message
    assert trials(store) == []
    assert store.names("checkpoints", recursive=True)
    assert entry.run_order(make_order(attempt_id="second"), never).status == "committed"
    assert store.names("checkpoints", recursive=True) == []
    straight = Store.open(str(tmp_path / "straight"))
    options = {"order_options": {"store": straight.uri}}
    entry.run_order(make_order(attempt_id="third", **options), never)
    assert trials(store)[0]["weights_sha256"] == trials(straight)[0]["weights_sha256"]
    assert without_seconds(store) == without_seconds(straight)


def test_progress_is_written_for_the_slot(make_order):
    """The last words are that it commits."""
    order = make_order()
    entry.run_order(order, never)
    content = (Path(order.scratch) / PROGRESS_FILE).read_text()
    assert Progress.model_validate_json(content).phase == "committing"


def test_a_worker_with_other_data_refuses(make_order, store):
    """The digest found and the one planned are told; nothing is written."""
    order = make_order()
    trial = order.trial.model_copy(update={"data_digest": "0123"})
    changes = {"trial": trial, "trial_id": identity.trial_id(trial)}
    foreign = order.model_copy(update=changes)
    answer = entry.run_order(foreign, never)
    assert answer.status == answer.failure_class == "user_error"
    assert f"has the digest {order.trial.data_digest}, planned was 0123" in answer.message
    assert "give every worker the same data files" in answer.message
    assert not store.local_path("trials").exists()


def test_a_worker_with_other_code_refuses(make_order, plugin):
    """Trial, statistic and plugin source are compared, and all differences told at once."""
    order = make_order(statistic=LossesSpec(), order_options={"trial_id": "a", "statistic_id": "b"})
    digests = {plugin().name: "0123"}
    trial = order.trial.model_copy(update={"plugin_digests": digests})
    answer = entry.run_order(order.model_copy(update={"trial": trial}), never)
    assert answer.failure_class == "user_error"
    assert "planned was a" in answer.message
    assert "planned was b" in answer.message
    assert "on this worker, planned was 0123" in answer.message
    assert "install the same version of minima and of your plugins" in answer.message


def test_a_batch_that_does_not_fit_is_a_user_s_error(make_order):
    """100 training examples."""
    answer = entry.run_order(make_order(batch_size=101), never)
    assert answer.status == "user_error"
    assert answer.signature == "UserError in training/steps/batches.py:steps_per_epoch"


def test_a_statistic_measures_the_kept_model(make_order, store, plugin):
    """One commit under trial and statistic, with units from the glossary."""
    entry.run_order(make_order(), never)
    order = make_order(attempt_id="measuring", statistic=plugin())
    assert entry.run_order(order, never).status == "committed"
    (row,) = store.read("measurements").to_pylist()
    assert (row["trial_id"], row["statistic_id"]) == (order.trial_id, order.statistic_id)
    assert row["code_digest"] == running_code()
    assert (row["quantity"], row["unit"], row["stderr"]) == (
        "parameter_norm_squared",
        "parameter²",
        0.0,
    )
    content = store.read_bytes(store.model_path(order.trial_id, "first"))
    model = from_bytes(content, order.trial)
    norm = sum(float((w.numpy() ** 2).sum()) for w in model.trainable_variables)
    assert row["value"] == pytest.approx(norm)


def test_a_stopped_measurement_goes_on(make_order, store, plugin):
    """Its partial sums are found by the next attempt and removed at the end."""
    entry.run_order(make_order(), never)
    stopped = make_order(attempt_id="second", statistic=plugin())
    answer = entry.run_order(stopped, stop_after(1))
    assert (answer.status, answer.message) == ("drained", "stopped at 2 of 3 of train")
    following = make_order(attempt_id="third", statistic=plugin())
    assert entry.run_order(following, stop_after(1)).status == "committed"  # asked once only
    assert store.names("checkpoints", recursive=True) == []


@pytest.mark.parametrize(
    ("statistic", "quantities"),
    [
        (LossesSpec(), {"mean_loss", "accuracy"}),
        (
            TracesSpec(),
            {
                "gradient_noise_trace",
                "hessian_trace",
                "gradient_norm_squared",
                "parameter_norm_squared",
            },
        ),
    ],
)
def test_a_trial_without_a_minimum_is_not_measured(make_order, store, statistic, quantities):
    """A value-less row for each quantity and split, with the reason."""
    options = {"model": MLPSpec(), "loss": "squared_error", "learning_rate": 1e9}
    entry.run_order(make_order(**options), never)
    assert trials(store)[0]["outcome"] == "nonfinite"
    order = make_order(attempt_id="measuring", statistic=statistic, **options)
    assert entry.run_order(order, never).status == "committed"
    rows = store.read("measurements").to_pylist()
    assert {(row["quantity"], row["split"]) for row in rows} == {
        (quantity, split) for quantity in quantities for split in statistic.splits
    }
    assert {row["value"] for row in rows} == {None}
    reason = "nonfinite: " + records.OUTCOME_SENTENCES["nonfinite"]
    assert {row["skipped_reason"] for row in rows} == {reason}


def test_a_lost_model_is_told_and_a_retrained_one_is_used(make_order, store, plugin):
    """The first record stays the trial's; the later attempt with the same weights kept the model."""
    order = make_order(attempt_id="measuring", statistic=plugin())
    answer = entry.run_order(order, never)
    assert answer.failure_class == "model_lost"
    assert "is not in the store" in answer.message
    entry.run_order(make_order(), never)
    store.remove(store.model_path(order.trial_id, "first"))
    answer = entry.run_order(order, never)
    assert (answer.status, answer.failure_class) == ("failed", "model_lost")
    assert f"no sound kept model at models/{order.trial_id}.first.keras" in answer.message
    entry.run_order(make_order(attempt_id="retrained"), never)
    assert entry.run_order(order, never).status == "committed"
    assert trials(store)[0]["attempt_id"] == "first"


@pytest.mark.parametrize("damage", [b"", b"not a model", "cut"])
def test_a_damaged_model_counts_as_lost(make_order, store, plugin, damage):
    """Empty, foreign or cut short: passed over, so that training again mends it."""
    entry.run_order(make_order(), never)
    order = make_order(attempt_id="measuring", statistic=plugin())
    path = store.model_path(order.trial_id, "first")
    store.write_bytes(path, store.read_bytes(path)[:3000] if damage == "cut" else damage)
    assert entry.run_order(order, never).failure_class == "model_lost"
    entry.run_order(make_order(attempt_id="retrained"), never)
    assert entry.run_order(order, never).status == "committed"


def test_a_model_with_other_weights_is_not_measured(make_order, store, plugin):
    """A file put in the kept model's place is passed over."""
    entry.run_order(make_order(), never)
    entry.run_order(make_order(seed=4, attempt_id="other"), never)
    order = make_order(attempt_id="measuring", statistic=plugin())
    other = make_order(seed=4, attempt_id="other")
    content = store.read_bytes(store.model_path(other.trial_id, "other"))
    store.write_bytes(store.model_path(order.trial_id, "first"), content)
    answer = entry.run_order(order, never)
    assert answer.failure_class == "model_lost"


def test_a_model_with_another_activation_is_not_measured(make_order, store, caplog):
    """Its weights and their digest are the recorded ones; the log says what was changed."""
    options = {"model": MLPSpec(hidden_units=[4])}
    entry.run_order(make_order(**options), never)
    order = make_order(attempt_id="measuring", statistic=LossesSpec(), **options)
    path = store.model_path(order.trial_id, "first")
    content = store.read_bytes(path)
    changed = content.replace(b'"activation": "relu"', b'"activation": "tanh"')
    assert changed != content
    store.write_bytes(path, repacked(changed))
    answer = entry.run_order(order, never)
    assert answer.failure_class == "model_lost", answer
    assert "passed over a model that was changed" in caplog.text
    assert "config.activation is 'tanh', not 'relu'" in caplog.text


def repacked(content):
    """Write the archive anew, whose checksums no longer fit its entries."""
    found, written = io.BytesIO(content), io.BytesIO()
    with zipfile.ZipFile(found) as archive, zipfile.ZipFile(written, "w") as whole:
        for each in archive.infolist():
            found.seek(each.header_offset + zipfile.sizeFileHeader + len(each.filename))
            whole.writestr(each.filename, found.read(each.file_size))
    return written.getvalue()


def test_training_again_to_other_weights_is_a_conflict(make_order, store, plugin, trial_rows):
    """The first record stays the trial's; without its model nothing can be measured."""
    order = make_order(attempt_id="measuring", statistic=plugin())
    entry.run_order(make_order(), never)
    store.remove(store.model_path(order.trial_id, "first"))
    other = trial_rows(order.trial_id, "other", weights_sha256="other")
    store.commit("trials", (order.trial_id,), "other", other)
    answer = entry.run_order(order, never)
    assert answer.failure_class == "conflict"
    assert "trained again and reached other weights" in answer.message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "divide",
            (
                "the statistic 'trial_test_plugin:divide' raised ZeroDivisionError: division by zero",
                "plugin_call.py:calling",
            ),
        ),
        ("wrong", ("returned something other than Measurements", "returned.py:_rows")),
    ],
)
def test_a_statistic_that_fails_leaves_the_trial_done(make_order, store, plugin, name, expected):
    """The failure is answered with class, signature and message."""
    entry.run_order(make_order(), never)
    order = make_order(attempt_id="measuring", statistic=plugin(name))
    answer = entry.run_order(order, never)
    message, place = expected
    assert answer.failure_class == "user_error"
    assert message in answer.message
    assert place in answer.signature
    assert len(trials(store)) == 1


LOSS = """
import tensorflow as tf

class Mean:
    is_convex_in_outputs = True
    def per_example(self, outputs, targets):
        return tf.reduce_mean(tf.square(outputs - targets))
    def output_hessian(self, outputs, targets):
        return tf.linalg.diag(2 * tf.ones_like(outputs))
"""


def test_a_loss_of_one_s_own_is_tried_before_training(make_order, store, tmp_path, monkeypatch):
    """One that reduces over examples is refused, and nothing is trained."""
    (tmp_path / "trial_test_loss.py").write_text(LOSS)
    monkeypatch.syspath_prepend(str(tmp_path))
    answer = entry.run_order(make_order(loss="trial_test_loss:Mean"), never)
    assert answer.failure_class == "user_error"
    assert "per_example of the loss 'trial_test_loss:Mean' gives the shape ()" in answer.message
    assert trials(store) == []


@pytest.fixture
def _own_signal_handlers():
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signal_handlers")
def test_a_child_answers_in_a_file_and_by_its_exit_code(make_order, tmp_path):
    """0 committed, 1 failed, 2 bad input."""
    orders = {
        0: make_order(),
        1: make_order(attempt_id="lost", seed=9, statistic=LossesSpec()),
        2: make_order(attempt_id="bad", batch_size=101),
    }
    for code, order in orders.items():
        path = tmp_path / f"{code}.json"
        path.write_text(order.model_dump_json())
        assert entry.run_child(str(path)) == code
        answer = Answer.model_validate_json((Path(order.scratch) / "answer.json").read_text())
        assert answer.status == {0: "committed", 1: "failed", 2: "user_error"}[code]


@pytest.mark.usefixtures("_own_signal_handlers")
def test_a_child_that_cannot_answer_has_a_code_for_it(make_order, tmp_path, monkeypatch):
    """As the disk of its scratch folder is full."""
    order = make_order()
    path = tmp_path / "order.json"
    path.write_text(order.model_dump_json())

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    assert entry.run_child(str(path)) == EXIT_UNANSWERED


def wait_for_training(order, process):
    """Wait until the first chunk is reported."""
    path = Path(order.scratch) / PROGRESS_FILE
    while process.poll() is None:
        if path.exists() and json.loads(path.read_text())["done"] > 0:
            return
        time.sleep(0.02)  # another process' progress cannot be waited for otherwise


@pytest.mark.slow
@pytest.mark.usefixtures("_own_signal_handlers")
def test_a_signal_drains_a_child_and_another_process_goes_on(make_order, store, tmp_path):
    """Exit code 3; the same weights and epochs as in one process straight through."""
    options = {"epochs": 300, "momentum": 0.9, "augmentation": "pad_crop_flip"}
    order = make_order(order_options={"chunk_seconds": 0.05}, **options)
    path = tmp_path / "order.json"
    path.write_text(order.model_dump_json())
    process = subprocess.Popen([sys.executable, "-m", "workers.trial", str(path)])
    wait_for_training(order, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 3
    answer = Answer.model_validate_json((Path(order.scratch) / "answer.json").read_text())
    assert answer.status == "drained"
    entry.run_order(make_order(attempt_id="second", **options), never)
    straight = Store.open(str(tmp_path / "straight"))
    there = {"order_options": {"store": straight.uri}}
    entry.run_order(make_order(attempt_id="third", **there, **options), never)
    assert trials(store)[0]["weights_sha256"] == trials(straight)[0]["weights_sha256"]
    assert without_seconds(store) == without_seconds(straight)


STOPPED_WHILE_STARTING = """
import os, signal, sys
from workers import trial
def stop_instead(*_):
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("went on")
trial.load_dataset = stop_instead
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # as a fork server does
trial.run_child(sys.argv[1])
"""


def test_before_the_first_step_sigterm_is_answered_at_once(make_order, tmp_path):
    """Nothing was begun, so nothing is saved: compiling may take longer than there is time."""
    order = make_order()
    path = tmp_path / "order.json"
    path.write_text(order.model_dump_json())
    command = [sys.executable, "-c", STOPPED_WHILE_STARTING, str(path)]
    assert subprocess.run(command, check=False).returncode == 3
    answer = Answer.model_validate_json((Path(order.scratch) / "answer.json").read_text())
    assert answer.status == "drained"


FORK_EACH = """
import json, os, sys
from workers import trial
for order, fault in json.loads(sys.argv[1]):
    pid = os.fork()
    if pid == 0:
        os.environ["MINIMA_FAULT"] = fault
        os._exit(trial.run_child(order))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

DEATHS = [
    "checkpoint_write:2",
    "training_chunk:9",
    "model_write:1",
    "model_committed:1",
    "epoch_write:1",
    "epochs_committed:1",
    "trial_write:1",
]


def run_forked(orders_and_faults, tmp_path):
    """Run orders one after another in forked children of one process that ran no operation."""
    arguments = []
    for number, (order, fault) in enumerate(orders_and_faults):
        path = tmp_path / f"order{number}.json"
        path.write_text(order.model_dump_json())
        arguments.append([str(path), fault])
    ended = subprocess.run(
        [sys.executable, "-c", FORK_EACH, json.dumps(arguments)],
        capture_output=True,
        check=True,
        text=True,
    )
    return [int(line) for line in ended.stdout.split()]


@pytest.mark.slow
def test_a_trial_killed_at_every_bad_place_ends_with_the_same_bits(make_order, store, tmp_path):
    """In the middle of a checkpoint and between any two commits: the last attempt completes it."""
    options = {"momentum": 0.9, "epochs": 4, "sampler": "replacement"}
    often = {"chunk_seconds": 0.001, "checkpoint_seconds": 0.001}
    attempts = [
        (make_order(attempt_id=f"attempt{n}", order_options=often, **options), fault)
        for n, fault in enumerate([*DEATHS, "nowhere:1"])
    ]
    assert run_forked(attempts, tmp_path) == [-signal.SIGKILL] * len(DEATHS) + [0]
    (row,) = trials(store)
    assert row["attempt_id"] == "attempt7"
    straight = Store.open(str(tmp_path / "straight"))
    there = {"order_options": {"store": straight.uri}}
    assert entry.run_order(make_order(attempt_id="straight", **there, **options), never)
    assert row["weights_sha256"] == trials(straight)[0]["weights_sha256"]
    assert without_seconds(store) == without_seconds(straight)
    assert store.names("checkpoints", recursive=True) == []


@pytest.mark.slow
def test_a_measurement_killed_between_batches_and_in_its_commit_goes_on(
    make_order, store, tmp_path, plugin, monkeypatch
):
    """The third attempt commits once."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), str(tmp_path)]))
    entry.run_order(make_order(), never)
    attempts = [
        (
            make_order(
                attempt_id=f"attempt{n}",
                statistic=plugin(),
                order_options={"checkpoint_seconds": 0.0001},
            ),
            fault,
        )
        for n, fault in enumerate(["measurement_batch:2", "measurement_write:1", "nowhere:1"])
    ]
    codes = run_forked(attempts, tmp_path)
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert len(store.read("measurements")) == 1
