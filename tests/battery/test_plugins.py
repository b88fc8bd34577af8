"""Whatever a user's own code does, the command tells it as that code's fault, and never as success."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.planning import checks
from workers.contract import plugin_call
from workers.contract.store import Store
from workers.process.children import plugin_facts

SWEEP = (Path(__file__).parent / "small.yaml").read_text()
SOUND = """
import numpy as np
from workers.datasets.dataset import Dataset, Split, digest_of, one_hot

def load(settings, data_dir):
    labels = np.arange(20) % 2
    inputs = np.linspace(0, 1, 40, dtype=np.float32).reshape(20, 2)
    split = Split(inputs, one_hot(labels, 2))
    return Dataset(split, split, np.float32([0]), np.float32([1]), is_classification=True,
                   digest=digest_of(split, split))

def measure(context, settings):
    return []
"""
ENDS = {
    "raise LookupError('no such key')": "LookupError: no such key",
    "raise BaseException('the last resort')": "BaseException: the last resort",
    "import sys; sys.exit()": "SystemExit: ",
    "import sys; sys.exit(0)": "SystemExit: 0",
    "import sys; sys.exit('enough')": "SystemExit: enough",
    "raise KeyboardInterrupt": "KeyboardInterrupt: ",
    "import os; os._exit(0)": "exit code 0",
    "import os; print('so long', flush=True); os._exit(3)": "exit code 3 while it was imported; the last it said: so long",
    "import os; os._exit(7)": "exit code 7",
    "import os; os.abort()": "SIGABRT",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "SIGSEGV",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": "SIGTERM",
    "import os, signal; os.killpg(0, signal.SIGKILL)": "SIGKILL",
    "import os; os.close(1); os.closerange(0, 256); os._exit(0)": "exit code 0",
    "f = lambda: f(); f()": "RecursionError: maximum recursion depth exceeded",
    "class E(Exception):\n    def __str__(self): raise self\nraise E": "E: (no text: its __str__ raised E)",
    "raise ValueError('x' * 10**6)": "ValueError: xxxx",
}  # fmt: skip
"""What a module does as it is imported, and what is told of it."""

HARMLESS = [
    "print('one'); print('two')",
    "import os; os.write(1, b'{\"answer\": 1}\\n'); os.system('echo three')",
    "import os; os.chdir('/')",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()",
    "import subprocess; subprocess.Popen(['sleep', '600'])",
    "import atexit, time; atexit.register(time.sleep, 600)",
    "import os, sys; sys.stdout.close(); sys.stderr.close()",
    "import warnings; warnings.warn('old')",
    "import os\nif os.fork() == 0:\n    os.setsid(); __import__('time').sleep(20)",
]
"""What a module may do as it is imported: the plan is the same."""

STATISTIC = ("--set", "measure=[losses, {name: 'own_battery:measure'}]")
DATASET = ("--set", "dataset={name: 'own_battery:load'}")
TRIAL = ("trial", "own.yaml", "--batch-size=10", "--learning-rate=0.1", "--seed=0", "--json")
COMMANDS = {
    "plan": ("plan", "own.yaml", "--json"),
    "run": ("run", "own.yaml", "--json"),
    "trial": TRIAL,
    "verify": ("verify", "own.yaml", "--sample=1", "--json"),
}


@pytest.fixture
def minima(tmp_path, monkeypatch, capfd):
    """Run the command beside a module of the user's own, in a folder without a store: code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own.yaml").write_text(SWEEP)

    def call(source: str, *arguments: str) -> tuple[int, str, str]:
        (tmp_path / "own_battery.py").write_text(source)
        monkeypatch.setattr(sys, "argv", ["minima", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert not (tmp_path / "minima-store").exists()
        assert "own_battery" not in sys.modules
        return left.value.code, out, err

    return call


def check(said: tuple[int, str, str], told: str, key: str) -> None:
    code, out, err = said
    assert (code, out) == (2, "")
    assert told in err
    assert "own_battery:" in err
    assert f"\n  where: own.yaml, {key}\n" in err
    assert "\n  mend:  " in err
    assert len(err) < 10_000


@pytest.mark.slow
@pytest.mark.parametrize(("code", "told"), ENDS.items())
def test_a_module_that_ends_the_process_is_told(code, told, minima):
    """Whatever it raises or ends with: exit code 2, its name, file and key."""
    check(minima(f"{code}\n{SOUND}", *COMMANDS["plan"], *STATISTIC), told, "measure[1]")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_plans_tells_it(command, minima):
    """And starts nothing."""
    source = f"import os; os._exit(0)\n{SOUND}"
    check(minima(source, *COMMANDS[command], *STATISTIC), "exit code 0", "measure[1]")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "told"),
    {
        "raise LookupError('no such key')": "cannot be loaded: LookupError: no such key",
        "import sys; sys.exit(0)": "cannot be loaded: SystemExit: 0",
        "import os; os._exit(0)": "ended the process with exit code 0 while it was called",
        "import os; os.abort()": "ended the process with SIGABRT while it was called",
        "return load(settings, data_dir)": "cannot be loaded: RecursionError",
        "return 5": "returned int, not a Dataset",
        "import os; os.chdir('/'); os.close(2); raise OSError(28, 'full')": "[Errno 28] full",
    }.items(),
)  # fmt: skip
def test_data_that_end_the_process_are_told(code, told, minima):
    """As they are loaded to be digested."""
    source = f"{SOUND}\ndef load(settings, data_dir):\n    {code}\n"
    check(minima(source, *COMMANDS["plan"], *DATASET), told, "dataset.name")


@pytest.mark.slow
@pytest.mark.parametrize("code", HARMLESS)
def test_what_does_no_harm_changes_no_plan(code, minima):
    """One JSON document on standard output, and no waiting for what was started."""
    started = time.monotonic()
    code, out, err = minima(f"{code}\n{SOUND}", *COMMANDS["plan"], *STATISTIC)
    assert (code, len(json.loads(out)["trials"])) == (0, 1), err
    assert time.monotonic() - started < 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "source", "told"),
    [
        ("measure[1]", f"while True: pass\n{SOUND}", "the statistic 'own_battery:measure' was still being imported after 2 s, and was ended"),
        ("dataset.name", f"{SOUND}\ndef load(settings, data_dir):\n    while True: print('on')", "the data set 'own_battery:load' was still being called after 2 s"),
    ],
)  # fmt: skip
def test_what_never_returns_is_ended(where, source, told, minima, monkeypatch):
    """After the time that is said."""
    monkeypatch.setattr(plugin_call, "IMPORT_SECONDS", 2.0)
    monkeypatch.setattr(plugin_call, "CALL_SECONDS", 2.0)
    arguments = DATASET if where == "dataset.name" else STATISTIC
    check(minima(source, *COMMANDS["plan"], *arguments), told, where)


@pytest.mark.parametrize("package", ["import os; os._exit(0)", "raise LookupError", "1 +"])
def test_packages_above_a_module_are_not_run_to_digest_it(package, minima, tmp_path, monkeypatch):
    """They are imported with it, in a process of its own."""
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package/__init__.py").write_text(package)
    (tmp_path / "own_package/measures.py").write_text(SOUND)
    monkeypatch.setattr(checks, "import_faults", lambda _: [])
    named = ("--set", "measure=[{name: 'own_package.measures:measure'}]")
    code, out, _ = minima("", *COMMANDS["plan"], *named)
    assert (code, len(json.loads(out)["trials"])) == (0, 1)
    named = ("--set", "measure=[{name: 'own_package.none:measure'}]")
    code, _, err = minima("", *COMMANDS["plan"], *named)
    assert code == 2
    assert "no module with a file named 'own_package.none'" in err


def test_a_sweep_without_plugins_starts_no_process(minima, monkeypatch, tmp_path):
    """So that it is as fast as ever."""

    def fail(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(plugin_facts, "ask_apart", fail)
    assert minima("", *COMMANDS["plan"])[0] == 0


ENDINGS = {
    "raises": ("raise LookupError('no such key')", "the statistic 'own_battery:raises' raised LookupError: no such key"),
    "exits": ("import sys; sys.exit(0)", "the statistic 'own_battery:exits' raised SystemExit: 0"),
    "leaves": ("import os; os._exit(0)", "the statistic 'own_battery:leaves' ended the process with exit code 0 while it was called"),
    "fails_alike": ("import os; os._exit(4)", "the statistic 'own_battery:fails_alike' ended the process with exit code 4 while it was called"),
    "aborts": ("import os; os.abort()", "the statistic 'own_battery:aborts' ended the process with SIGABRT while it was called"),
    "interrupts": ("raise KeyboardInterrupt", "the statistic 'own_battery:interrupts' raised KeyboardInterrupt"),
    "yields": ("yield from [1 / 0]", "the statistic 'own_battery:yields'"),
}  # fmt: skip
"""What a statistic does as it is called, and what is recorded of it."""
KINDLY = """
def kindly(context, settings):
    import os, signal
    from workers.contract.records import Measurement
    print("so it goes")
    os.chdir("/")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return [Measurement(quantity="answer", value=42.0, stderr=None, num_samples=1, method="known",
                        bn_mode="frozen", split="train", objective="data")]
"""


@pytest.mark.slow
def test_a_trial_records_each_end_as_the_users_error(tmp_path, monkeypatch, capfd):
    """Once each, by name; what does no harm is measured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    functions = [
        f"def {name}(context, settings):\n    {code}\n" for name, (code, _) in ENDINGS.items()
    ]
    (tmp_path / "own_battery.py").write_text("".join([*functions, KINDLY]))
    names = ", ".join(f"{{name: 'own_battery:{name}'}}" for name in [*ENDINGS, "kindly"])
    (tmp_path / "own.yaml").write_text(SWEEP.replace("[losses]", f"[{names}]"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["minima", *TRIAL])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capfd.readouterr()
    assert left.value.code == 1, err
    assert "Traceback" not in err
    store = Store.open(str(tmp_path / "minima-store"))
    failed = store.read("failures").to_pylist()
    assert len(failed) == len(ENDINGS)
    assert {row["failure_class"] for row in failed} == {"user_error"}
    for _, told in ENDINGS.values():
        assert sum(told in row["message"] for row in failed) == 1, (told, failed)
    assert store.read("measurements").column("value").to_pylist() == [42.0]
    assert json.loads(out)["exit_code"] == 1


NETS = """
import keras

class Own(keras.layers.Layer):
    calls = 0
    def call(self, x):
        Own.calls += 1
        if Own.calls > {calls}:
            {code}
        return x

keras.saving.register_keras_serializable("own")(Own)

def build(settings, input_shape, num_outputs, seed):
    inputs = keras.Input(input_shape)
    x = Own()(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))

def loss():
    {code}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told", "key"),
    [
        (("--set", "model={name: 'own_battery:build'}"), "the model 'own_battery:build' ended the process with exit code 0", "model.name"),
        (("--set", "loss=own_battery:loss"), "the loss 'own_battery:loss' ended the process with exit code 0", "loss"),
    ],
)  # fmt: skip
def test_networks_and_losses_that_end_the_process_are_told(arguments, told, key, minima):
    """As the network is built and the loss is tried, before anything is started."""
    source = NETS.format(calls=0, code="__import__('os')._exit(0)")
    check(minima(source, *COMMANDS["plan"], *arguments), told, key)
