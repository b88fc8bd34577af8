"""Whatever surrounds the command, it says the same: variables, files at home, umask, streams, widths."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # every case starts a process, or two

HOME = Path(__file__).resolve().parents[2]
KEPT = HOME / "tests/orchestrator"

VERSION = ("--version",)
SWEEPS = ("sweeps", "--json")
PLAN = ("plan", "kept_store.yaml", "--json")
STATUS = ("status", "--json")
QUERY = ("query", "SELECT trial_id, train_loss FROM trials ORDER BY 1", "--format", "csv")

VARIABLES = [
    (
        PLAN,
        {
            "KERAS_BACKEND": "jax",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONHASHSEED": "7",
            "OMP_NUM_THREADS": "many",
        },
    ),
    (PLAN, {"KERAS_BACKEND": "no such backend", "KERAS_HOME": "/nowhere", "PYTHONOPTIMIZE": "2"}),
    (
        PLAN,
        {
            "TF_USE_LEGACY_KERAS": "1",
            "XLA_FLAGS": "--no_such_flag",
            "RAY_ADDRESS": "",
            "RAY_AUTH_MODE": "disabled",
        },
    ),
    (STATUS, {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    (STATUS, {"MATPLOTLIBRC": "/nowhere"}),
    (STATUS, {"LC_ALL": "C", "LANG": "C"}),
    (STATUS, {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "COLUMNS": "1"}),
    (STATUS, {"TZ": "no such zone", "COLUMNS": "wide", "LINES": "-3"}),
    (QUERY, {"PYTHONUTF8": "0", "LC_ALL": "C"}),
    (QUERY, {"PYTHONIOENCODING": "ascii"}),
    (QUERY, {"PYTHONUNBUFFERED": "1", "PYTHONDEVMODE": ""}),
    (QUERY, {"ARROW_NUM_THREADS": "1", "ARROW_IO_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}),
    (SWEEPS, {"TERM": "dumb", "USER": "", "LOGNAME": ""}),
    (SWEEPS, {"TERM": "", "NO_COLOR": "1"}),
    (SWEEPS, {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}),
    (SWEEPS, {"HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"}),
    (VERSION, {"COLUMNS": "0", "PYTHONWARNINGS": "default", "TMPDIR": "/nowhere"}),
]
"""What is set, of variables that have nothing to do with each other, and the command that is asked."""

FOREIGN = b"raise ImportError('foreign')\n"
AT_HOME = [
    (PLAN, {".keras/keras.json": b'{"image_data_format": "channels_first", "backend": "jax"}'}),
    (PLAN, {".keras/keras.json": b"no JSON", ".aws/config": b"no configuration"}),
    (STATUS, {".config/matplotlib/matplotlibrc": b"text.usetex: True\n"}),
    (STATUS, {".config/matplotlib/matplotlibrc": b"font.family: \xff\n"}),
    (QUERY, {".duckdbrc": b"no SQL;\n"}),
    (SWEEPS, {".config/rich": b""}),
]
"""Files at home, and the command that is asked."""

BESIDE = [
    (STATUS, {"matplotlibrc": b"font.family: \xff\n"}),
    (PLAN, {"workers.py": FOREIGN, "keras.py": FOREIGN}),
    (QUERY, {"yaml.py": FOREIGN}),
    (QUERY, {".env": b"PYTHONPATH=/nowhere\n"}),
]
"""Files in the working folder, and the command that is asked."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a sweep and its store, which no command here writes to, and a home."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(KEPT / "kept_store", folder / "minima-store")
    shutil.copy(KEPT / "kept_store.yaml", folder)
    (folder / "home").mkdir()
    return folder


def minima(
    place: Path, arguments: tuple[str, ...], variables: Mapping[str, str], **options: object
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end in a bare environment with some variables."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HOME), "HOME": str(place / "home")}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator", *arguments],
        cwd=place,
        env=bare | variables,
        timeout=60,
        check=False,
        **(streams | options),
    )


@pytest.fixture(scope="module")
def plainly(place) -> Callable[[tuple[str, ...]], bytes]:
    """Give what a command says where nothing surrounds it; each is run once."""
    said: dict[tuple[str, ...], bytes] = {}

    def say(arguments: tuple[str, ...]) -> bytes:
        if arguments not in said:
            done = minima(place, arguments, {})
            assert done.returncode == 0, done.stderr
            assert done.stdout
            said[arguments] = done.stdout
        return said[arguments]

    return say


def same(first: bytes, second: bytes) -> bool:
    """Compare answers; a JSON document without the time it was planned at."""
    if not first.startswith((b"{", b"[")):
        return first == second
    moving = {"revision"}

    def still(value: object) -> object:
        if isinstance(value, dict):
            return {name: still(each) for name, each in value.items() if name not in moving}
        return [still(each) for each in value] if isinstance(value, list) else value

    return still(json.loads(first)) == still(json.loads(second))


@contextlib.contextmanager
def written(folder: Path, files: Mapping[str, bytes]) -> Iterator[None]:
    """Write files that are gone afterwards."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    try:
        yield
    finally:
        for name in files:
            (folder / name).unlink()


def check(done: subprocess.CompletedProcess[bytes], expected: bytes) -> None:
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    assert done.returncode == 0, done.stderr
    assert same(done.stdout, expected), (done.stdout, expected)


@pytest.mark.parametrize(
    ("command", "variables"), VARIABLES, ids=[" ".join(each) for _, each in VARIABLES]
)
def test_variables_change_no_answer(place, plainly, command, variables):
    """Same bytes, code 0."""
    check(minima(place, command, variables), plainly(command))


@pytest.mark.parametrize(("command", "files"), AT_HOME)
def test_files_at_home_change_no_answer(place, plainly, command, files):
    """Readable or not."""
    with written(place / "home", files):
        check(minima(place, command, {}), plainly(command))


@pytest.mark.parametrize(("command", "files"), BESIDE)
def test_files_in_the_working_folder_change_no_answer(place, plainly, command, files):
    """A module of the user's that is called as one of ours or of a library is not imported."""
    with written(place, files):
        check(minima(place, command, {}), plainly(command))


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_umask_changes_no_answer(place, plainly, umask):
    """Whatever new files may be read by."""
    check(minima(place, PLAN, {}, umask=umask), plainly(PLAN))


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_is_no_fault(place, closed):
    """As under a supervisor that gives none; what can be said is said."""
    done = minima(place, QUERY, {}, preexec_fn=lambda: os.close(closed))
    assert b"Traceback" not in (done.stderr or b"")
    assert done.returncode == 0


def test_a_full_disk_behind_a_stream_is_told(place):
    """No traceback, and not the code of success."""
    with Path("/dev/full").open("wb") as full:
        done = minima(place, QUERY, {}, stdout=full)
    assert b"Traceback" not in done.stderr
    assert done.returncode not in {0, 4}
