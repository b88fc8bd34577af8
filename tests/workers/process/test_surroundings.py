"""Whatever surrounds a worker, it comes to the same bits; what cannot start is told in its own words."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.contract.identity import trial_id
from workers.contract.orders import Order
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.contract.store import Store
from workers.datasets.checked.loading import dataset_facts
from workers.datasets.digits import DigitsSpec
from workers.models.resnet import ResNetSpec
from workers.process import devices, surroundings
from workers.process.surroundings import for_tensorflow, try_import, with_devices, without

HOME = Path(__file__).resolve().parents[3]


def test_what_changes_numbers_is_taken_out():
    """Backends, precisions, threads, compilation; places, memory and everybody's own variables stay."""
    there = {
        "KERAS_BACKEND": "jax",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "KERAS_HOME": "/home/keras",
        "KERAS_NNX_ENABLED": "1",
        "TF_USE_LEGACY_KERAS": "1",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
        "TF_NUM_INTRAOP_THREADS": "7",
        "TF_SET_ONEDNN_FPMATH_MODE": "BF16",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
        "NVIDIA_TF32_OVERRIDE": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":16:8",
        "OPENBLAS_CORETYPE": "Prescott",
        "XLA_FLAGS": "--xla_gpu_cuda_data_dir=/cuda",
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "3",
    }
    assert for_tensorflow(there) == {
        "KERAS_BACKEND": "tensorflow",
        "MPLBACKEND": "agg",
        "KERAS_HOME": "/home/keras",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "XLA_FLAGS": "--xla_gpu_cuda_data_dir=/cuda",
        "PATH": "/bin",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


@pytest.mark.parametrize(
    ("value", "kept"), [("0", True), ("False", True), ("1", False), ("true", False), ("", False)]
)
def test_a_user_may_turn_onednn_off_and_never_on(value, kept):
    """Where TensorFlow does not turn it on by itself it is not sound for all that a user may run."""
    given = {"TF_ENABLE_ONEDNN_OPTS": value}
    assert ("TF_ENABLE_ONEDNN_OPTS" in for_tensorflow(given)) is kept


@pytest.mark.parametrize(
    ("processor", "given", "wanted"),
    [
        ("avx avx2 fma sse4_2", {}, "1"),
        ("avx avx2 fma sse4_2", {"TF_ENABLE_ONEDNN_OPTS": "0"}, "0"),
        ("avx fma sse4_2", {}, None),
        ("", {}, None),
        ("avx avx2 avx512f", {}, None),
        ("avx avx2 avx_vnni", {}, None),
        ("amx_tile avx avx2", {}, None),
    ],
)
def test_onednn_is_turned_on_where_it_is_right(monkeypatch, processor, given, wanted):
    """For networks known to be, on processors with AVX2 and nothing later; what the user turns off stays off."""
    monkeypatch.setattr(devices, "instruction_sets", lambda: processor)
    found = for_tensorflow(given, is_right_with_onednn=True)
    assert found.get("TF_ENABLE_ONEDNN_OPTS") == wanted
    assert for_tensorflow(given).get("TF_ENABLE_ONEDNN_OPTS") == given.get("TF_ENABLE_ONEDNN_OPTS")


@pytest.mark.parametrize("shown", [{}, {"CUDA_VISIBLE_DEVICES": "1"}])
def test_the_gpus_that_the_surroundings_show_may_be_left(shown):
    """All where nothing is said of them; the rest is as for every process with TensorFlow."""
    there = {"PATH": "/bin", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2", **shown}
    hidden = for_tensorflow(there)
    assert hidden.pop("CUDA_VISIBLE_DEVICES") == "-1"
    assert with_devices(there) == hidden | shown


def test_a_module_is_hidden_from_imports_within(monkeypatch):
    """From those that try it, until the end of the block, errors included; one that is there already is not."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with pytest.raises(ImportError), without("this"):
        importlib.import_module("this")
    assert "this" not in sys.modules
    with without("sys"):
        assert importlib.import_module("sys") is sys


def test_compiled_modules_do_without_what_is_hidden_too():
    """As a query does without pandas, which PyArrow and DuckDB import where they can."""
    code = (
        "from workers.process.surroundings import without\n"
        "with without('pandas'): import duckdb, pyarrow.dataset as ds, pyarrow as pa\n"
        "import sys; assert 'pandas' not in sys.modules\n"
        "rows = ds.InMemoryDataset(pa.table({'a': [1, 2]}))\n"
        "assert duckdb.sql('SELECT sum(a) FROM rows').fetchall() == [(3,)]\n"
        "assert rows.to_table().to_pandas()['a'].tolist() == [1, 2]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_keras_does_without_pictures():
    """Which can be imported after it."""
    code = (
        "from workers.process.surroundings import without\n"
        "with without('matplotlib'): import tensorflow, keras\n"
        "import sys; assert not [name for name in sys.modules if name.startswith('matplotlib')]\n"
        "import matplotlib.pyplot, keras; assert keras.layers.Dense(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=for_tensorflow(os.environ),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_import_that_fails_is_told_in_its_own_words(tmp_path):
    """By a TensorFlow that cannot be imported, as on a machine with another processor or library."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libcudart.so.12: no such file')\n")
    found = try_import({**os.environ, "PYTHONPATH": str(tmp_path)})
    assert found.fault == "ImportError: libcudart.so.12: no such file"
    assert found.mend == "reinstall from the lock in deploy/"


def test_an_import_that_says_nothing_or_hangs_is_told(tmp_path, monkeypatch):
    """It has a limit of time."""
    (tmp_path / "tensorflow.py").write_text("import os, time\nos._exit(7)\n")
    place = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert try_import(place).fault == "no message"
    (tmp_path / "tensorflow.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(surroundings, "_IMPORT_SECONDS", 0.5)
    assert try_import(place).fault == "not within 0 s"


def trained(folder: Path, **variables: str) -> str:
    """Train a small residual network through a fork server; the digest of its weights."""
    trial = TrialSpec(
        model=ResNetSpec(depth=8),
        dataset=DigitsSpec(num_train=64),
        data_digest=dataset_facts(DigitsSpec(num_train=64), None).digest,
        loss="kld",
        training=TrainingSpec(epochs=1),
        batch_size=16,
        learning_rate=0.1,
        seed=0,
    )
    order = Order(
        trial=trial,
        trial_id=trial_id(trial),
        attempt_id="a",
        store=str(folder / "store"),
        scratch=str(folder),
    )
    (folder / "order.json").write_text(order.model_dump_json())
    request = {"order": str(folder / "order.json"), "log": str(folder / "log"), "environment": {}}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SERVE],
        input=json.dumps(request),
        env={**os.environ, "PYTHONPATH": str(HOME), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    log = (folder / "log").read_text() if (folder / "log").exists() else ""
    assert done.stdout.strip() == "0", done.stderr[-3000:] + log[-3000:]
    [row] = Store.open(order.store).read("trials").to_pylist()
    return f"{row['weights_sha256']} {row['environment_id']}"


SERVE = """
import json, sys
from pathlib import Path
from orchestrator.slots.child import ForkServer
request = json.load(sys.stdin)
server = ForkServer("workers.trial")
server.start_attempt(Path(request["order"]), Path(request["log"]), request["environment"])
code = None
while code is None:
    code = server.wait(1)
server.close()
print(code)
"""

SURROUNDINGS = {
    "other numbers": (
        {
            "KERAS_BACKEND": "jax",
            "TF_USE_LEGACY_KERAS": "1",
            "TF_DETERMINISTIC_OPS": "0",
            "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
            "TF_SET_ONEDNN_FPMATH_MODE": "BF16",
            "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
        },
        {"image_data_format": "channels_first", "floatx": "float64"},
    ),
    "other threads and processors": (
        {
            "KERAS_BACKEND": "no such backend",
            "TF_NUM_INTRAOP_THREADS": "2",
            "TF_NUM_INTEROP_THREADS": "2",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "NVIDIA_TF32_OVERRIDE": "1",
            "CUBLAS_WORKSPACE_CONFIG": ":16:8",
            "OMP_NUM_THREADS": "3",
            "PYTHONHASHSEED": "7",
            "LC_ALL": "tr_TR.UTF-8",
        },
        {"floatx": "float16", "epsilon": 0.1},
    ),
    "another backend at home": ({}, {"backend": "jax"}),
}
"""Variables, and what `~/.keras/keras.json` holds, which Keras reads as it is imported."""


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """What it comes to where nothing is set."""
    folder = tmp_path_factory.mktemp("straight")
    return trained(folder, HOME=str(folder))


@pytest.mark.slow
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_surroundings_leave_every_bit(tmp_path, straight, name):
    """Same weights, same environment, whatever the variables and the files at home say together."""
    variables, at_home = SURROUNDINGS[name]
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(at_home))
    assert trained(tmp_path, HOME=str(tmp_path), **variables) == straight
