"""A fork server starts one child after another, tells how each ended, and outlives none of them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[4]
ENTRY = '''
import json, os, signal, sys, tempfile, threading, time
from pathlib import Path

tempfile.gettempdir()
done = 0

def run_child(order_path):
    """Do what the order says."""
    order = json.loads(Path(order_path).read_text())
    if order == "murmur":
        print("kept back")
        return 0
    if order == "print":
        print("kept back until the end")
        return 5
    print("out", os.environ.get("COLOUR"), flush=True)
    print("err", file=sys.stderr, flush=True)
    if order == "cores":
        return sum(1 << core for core in os.sched_getaffinity(0))
    if order == "count":
        global done
        done += 1
        signal.signal(signal.SIGTERM, lambda *_: os._exit(99))
        signal.signal(signal.SIGINT, lambda *_: os._exit(98))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if done == 1:  # as TensorFlow's, which hold no signal back
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        print("order", done, "of", os.getpid(), flush=True)
        return 0
    if order == "folder":
        print(tempfile.gettempdir(), flush=True)
        return 0
    if order == "close":
        os.closerange(3, 256)
        Path(order_path).with_name("waiting").write_text(str(os.getpid()))
        time.sleep(1)
        return 0
    if order == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(order_path).with_name("waiting").write_text(str(os.getpid()))
        time.sleep(0.5)
        return 0
    if order == "raise":
        raise ArithmeticError("no sum")
    note = Path(order_path).with_name("waiting")
    if order == "begin late":
        note.write_text(str(os.getpid()))
        while signal.SIGTERM not in signal.sigpending():
            time.sleep(0.02)
    if order in ("save", "begin late"):
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        note.write_text(str(os.getpid()))
        while not asked:
            time.sleep(0.02)
        return 3
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if order == "wait":
        note.write_text(str(os.getpid()))
        time.sleep(600)
    return order
'''
FORKING = "import workers.process.children.fork_server as server; server.serve('entry_of_the_test')"
SPAWNING = """
import workers.process.children.child as child
import workers.process.children.fork_server as server
child.can_fork = server.can_fork = lambda: False
server.serve('entry_of_the_test')
"""

both_ways = pytest.mark.parametrize(
    "code", [pytest.param(FORKING, id="fork"), pytest.param(SPAWNING, id="spawn")]
)
on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at /proc, and forks"
)
pytestmark = on_linux


class Server:
    """A server in a process of its own, spoken to line by line."""

    def __init__(self, code: str, folder: Path) -> None:
        self.folder, self.log, self.rest = folder, folder / "log", b""
        (folder / "entry_of_the_test.py").write_text(ENTRY)
        path = os.pathsep.join([str(HOME), str(folder)])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path, "COLOUR": "the server's", "PYTHONUNBUFFERED": ""},
            bufsize=0,
        )

    def order(self, what: object, *, kind: str = "", **variables: str) -> int:
        """Order something; the process id of the child that does it."""
        (self.folder / "order.json").write_text(json.dumps(what))
        place = str(self.folder / "order.json")
        environment = {"COLOUR": "green", **variables}
        request = {"order": place, "log": str(self.log), "environment": environment}
        self.tell({**request, "kind": kind})
        return self.answer()["pid"]

    def tell(self, message: dict[str, object]) -> None:
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def answer(self) -> dict[str, object]:
        """Wait for the next line."""
        while b"\n" not in self.rest:
            assert select.select([self.process.stdout], [], [], 30)[0], "no answer"
            part = os.read(self.process.stdout.fileno(), 65536)
            assert part, "the server is gone"
            self.rest += part
        line, self.rest = self.rest.split(b"\n", maxsplit=1)
        return json.loads(line)

    def wait_for_child(self) -> int:
        """Wait until a child that was told to wait does; its process id."""
        note = self.folder / "waiting"
        assert wait_until(lambda: note.exists() and note.read_text() != "")
        return int(note.read_text())


@pytest.fixture
def start(tmp_path):
    """Start servers that end with the test."""
    servers = []

    def make(code: str) -> Server:
        servers.append(Server(code, tmp_path))
        assert set(servers[0].answer()) == {"ready"}
        return servers[0]

    yield make
    for server in servers:
        server.process.kill()
        server.process.wait()
        server.process.stdin.close()
        server.process.stdout.close()


def wait_until(condition) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def count(server: Server) -> int:
    """Have an order of the kind `one` done; the process id of the child that did it."""
    child = server.order("count", kind="one")
    assert server.answer() == {"exit": 0}
    return child


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@both_ways
def test_each_order_is_a_process_of_its_own(start, code):
    """Whose exit code is told, whose log grows, and whose environment is its own."""
    server = start(code)
    pids = []
    for wanted in (0, 3):
        pids.append(server.order(wanted))
        assert server.answer() == {"exit": wanted}
    assert len({*pids, server.process.pid}) == 3
    assert server.log.read_text() == "out green\nerr\n" * 2


def test_orders_of_one_kind_are_done_by_one_child_in_turn(start):
    """Which has what it built; each with its own log and environment. Others have children of their own."""
    server, seen = start(FORKING), []
    for number, kind in enumerate(["one", "one", "two", "", "", "one"]):
        server.log = server.folder / f"log{number}"
        seen.append(server.order("count", kind=kind, COLOUR=f"colour{number}"))
        assert server.answer() == {"exit": 0}
    first, second, third, *others = seen
    assert first == second
    assert len({first, third, *others}) == 5
    assert all(is_gone(pid) for pid in seen[:-1])
    logs = [(server.folder / f"log{number}").read_text() for number in range(6)]
    counts = [1, 2, 1, 1, 1, 1]
    for number, (pid, count, log) in enumerate(zip(seen, counts, logs, strict=True)):
        assert log == f"out colour{number}\nerr\norder {count} of {pid}\n"


def test_where_forking_is_not_safe_each_order_is_a_process_of_its_own(start):
    """Whatever its kind."""
    server = start(SPAWNING)
    assert count(server) != count(server)


@pytest.mark.parametrize("what", [3, "raise", "save"])
def test_a_child_whose_order_was_not_done_does_no_other(start, what):
    """A failure may have left anything behind; whoever was told to stop has ended."""
    server = start(FORKING)
    first = server.order(what, kind="one")
    if what == "save":
        server.wait_for_child()
        server.tell({"signal": int(signal.SIGTERM)})
    assert server.answer()["exit"] != 0
    assert is_gone(first)
    assert count(server) != first


def test_a_child_that_was_sent_a_signal_does_no_other_order(start):
    """It has ended its work before it heard of it: a stop must not reach the next order."""
    server = start(FORKING)
    first = server.order("deaf", kind="one")
    server.wait_for_child()
    server.tell({"signal": int(signal.SIGTERM)})
    assert server.answer() == {"exit": 0}
    assert is_gone(first)
    assert count(server) != first


def test_a_stop_that_comes_between_orders_is_for_the_next(start):
    """A batch system's, say, whichever thread gets it: the child lives on, and the order that follows is told."""
    server = start(FORKING)
    child = count(server)
    os.kill(child, signal.SIGINT)  # the driver alone answers it
    os.kill(child, signal.SIGTERM)
    assert server.order("save", kind="one") == child
    assert server.answer() == {"exit": 3}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_that_dies_between_orders_is_replaced(start, number):
    """As one that the kernel ends for lack of memory, or that is stopped: no order is lost, however soon it comes."""
    patched = "import workers.process.children.child as c; c._TAKES_SECONDS = 1.0; " + FORKING
    server = start(patched)
    child = count(server)
    os.kill(child, number)
    assert count(server) != child
    assert is_gone(child)


def test_an_order_that_closes_all_files_is_done_all_the_same(start):
    """The pipes too; the server does not listen to them any more, and takes no time."""
    server = start(FORKING)
    child = server.order("close", kind="one")
    server.wait_for_child()
    before = cpu_ticks(server.process.pid)
    assert server.answer() == {"exit": 0}
    assert cpu_ticks(server.process.pid) - before <= 3
    assert count(server) != child


def test_what_a_full_disk_did_not_take_is_in_no_other_log(start):
    """Each order has its own, from its first word."""
    server = start(FORKING)
    server.log = Path("/dev/full")
    child = server.order("murmur", kind="one")
    assert server.answer() == {"exit": 0}
    server.log = server.folder / "log"
    assert server.order("murmur", kind="one") == child
    assert server.answer() == {"exit": 0}
    assert server.log.read_text() == "kept back\n"


def test_a_child_that_waits_for_long_ends(start):
    """Others may need its memory; the next order has a new one."""
    server = start(FORKING.replace("server.serve", "server._IDLE_SECONDS = 0.3; server.serve"))
    child = count(server)
    assert wait_until(lambda: is_gone(child))
    assert count(server) != child


def test_a_waiting_child_takes_no_time_and_ends_with_the_server(start):
    """Neither polls; whoever closes or kills the server leaves nobody behind."""
    server = start(FORKING)
    child = count(server)
    before = cpu_ticks(child) + cpu_ticks(server.process.pid)
    time.sleep(0.5)
    assert cpu_ticks(child) + cpu_ticks(server.process.pid) - before <= 1
    server.process.kill()
    assert wait_until(lambda: is_gone(child))


@both_ways
def test_a_childs_temporary_files_lie_where_its_order_says(start, code, tmp_path):
    """Though the server, which has asked before, has a folder of its own."""
    server = start(code)
    server.order("folder", TMPDIR=str(tmp_path))
    assert server.answer() == {"exit": 0}
    assert server.log.read_text().splitlines()[-1] == str(tmp_path)


@both_ways
def test_an_exception_ends_in_the_log(start, code):
    """With code 1; the server goes on."""
    server = start(code)
    server.order("raise")
    assert server.answer() == {"exit": 1}
    assert "ArithmeticError: no sum" in server.log.read_text()
    server.order(0)
    assert server.answer() == {"exit": 0}


@pytest.mark.parametrize("what", ["print", "raise"])
def test_a_log_that_takes_no_more_ends_nobody_but_its_child(start, what):
    """On a full disk: the child leaves with its code, and never goes on as a second server."""
    server = start(FORKING)
    server.log = Path("/dev/full")
    server.order(what)
    assert server.answer()["exit"] in {1, 5}
    server.log = server.folder / "log"
    server.order(0)
    assert server.answer() == {"exit": 0}
    assert server.process.poll() is None


@both_ways
def test_a_signal_is_passed_on(start, code):
    """A child ended by it is told by its number; without a child nothing happens."""
    server = start(code)
    server.tell({"signal": int(signal.SIGTERM)})
    server.order("wait")
    server.wait_for_child()
    server.tell({"signal": int(signal.SIGTERM)})
    assert server.answer() == {"exit": -signal.SIGTERM}


@both_ways
def test_closing_ends_the_child_and_the_server(start, code):
    """The slot died or closed: nobody is left."""
    server = start(code)
    assert server.order("wait") == (child := server.wait_for_child())
    server.process.stdin.close()
    assert server.process.wait(20) == 0
    assert wait_until(lambda: is_gone(child))


@both_ways
def test_a_killed_server_takes_its_child_along(start, code):
    """Though nobody can close anything any more."""
    server = start(code)
    server.order("wait")
    child = server.wait_for_child()
    server.process.kill()
    assert wait_until(lambda: is_gone(child))


@both_ways
def test_a_terminals_interrupt_is_not_for_us(start, code):
    """Ctrl-C reaches everything in the foreground; the driver alone answers it."""
    server = start(code)
    server.order("wait")
    child = server.wait_for_child()
    os.kill(child, signal.SIGINT)
    server.process.send_signal(signal.SIGINT)
    server.tell({"signal": int(signal.SIGKILL)})
    assert server.answer() == {"exit": -signal.SIGKILL}


@both_ways
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_what_ends_every_process_of_a_job_lets_the_child_save(start, code, number):
    """As a batch system's end, which reaches the server too: it tells how its child left, and serves on."""
    server = start(code)
    server.order("save")
    child = server.wait_for_child()
    for pid in (server.process.pid, child):
        os.kill(pid, number)
    server.tell({"signal": int(signal.SIGTERM)})  # the slot asks as well
    assert server.answer() == {"exit": 3}
    server.order(0)
    assert server.answer() == {"exit": 0}


@both_ways
def test_a_child_is_told_of_a_stop_that_came_before_it_listened(start, code):
    """From its first moment: it neither dies of the signal nor goes on as if there had been none."""
    server = start(code)
    os.kill(server.order("begin late"), signal.SIGTERM)
    assert server.answer() == {"exit": 3}


WATCHED = """
import os, subprocess, sys, time
if sys.argv[1:] == ["child"]:
    sys.platform = "darwin"
    from workers.process.children.forked import end_with_parent
    end_with_parent(os.getppid())
    print(os.getpid(), flush=True)
else:
    subprocess.Popen([sys.executable, "-c", open(sys.argv[1]).read(), "child"])
time.sleep(600)
"""


def test_without_a_parent_death_signal_the_child_looks_itself(tmp_path):
    """As on macOS: gone within about a second of its parent."""
    (tmp_path / "script").write_text(WATCHED)
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(tmp_path / "script")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(HOME)},
    ) as parent:
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.kill()
    assert wait_until(lambda: is_gone(child))


@both_ways
def test_a_child_keeps_to_its_cores(start, code):
    """The one named, where any is; the next child may use all again."""
    server = start(code)
    allowed = os.sched_getaffinity(0)
    if max(allowed) > 6:
        pytest.skip("an exit code tells of seven cores only")
    core = max(allowed)
    for cores, seen in ((str(core), {core}), ("", allowed), ("7777", allowed)):
        server.order("cores", MINIMA_CORES=cores)
        assert server.answer() == {"exit": sum(1 << number for number in seen)}
