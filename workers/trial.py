"""The entry point of a child process: carry out one order, answer, and exit with a code.

Everything that happens is answered: a commit, a user's mistake, a drain, or a failure with its class
and signature. Which failures are tried again is not decided here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from workers.attempts.attempt import Attempt, check_data, check_identities, check_loss, make_loss
from workers.attempts.failure import classify, signature
from workers.attempts.measure import measure_and_commit
from workers.attempts.plugin_call import as_fault_of_plugin
from workers.attempts.train import train_and_commit
from workers.contract.errors import Drained, UserError
from workers.contract.frozen import Frozen
from workers.contract.orders import (
    ANSWER_FILE,
    EXIT_DONE,
    EXIT_DRAINED,
    EXIT_FAILED,
    EXIT_UNANSWERED,
    EXIT_USER_ERROR,
    PLUGIN_FILE,
    PROGRESS_FILE,
    Answer,
    Order,
    Progress,
)
from workers.contract.plugin_call import PluginCall, message_of, watched
from workers.contract.store import Store
from workers.datasets.checked.loading import load_dataset
from workers.process import environment
from workers.process.built import Built
from workers.process.gpu_memory import wait_for_share
from workers.resumable.pulse import Pulse

_BUILT = Built()
"""Of this process, for the orders that it carries out in turn."""

_EXIT_CODES = {
    "committed": EXIT_DONE,
    "failed": EXIT_FAILED,
    "user_error": EXIT_USER_ERROR,
    "drained": EXIT_DRAINED,
}


def run_order(order: Order, should_stop: Callable[[], bool]) -> Answer:
    """Train a trial or take one statistic of it, and commit the result.

    Before TensorFlow runs its first operation in this process, unless threads were set as ordered.

    Args:
        order: What to do; its folder `scratch` gets `progress.json`.
        should_stop: Asked between chunks; True means save and leave.
    """
    try:
        with watched(_plugin_teller(Path(order.scratch))):
            _carry_out(order, should_stop)
    except Drained as drained:
        return Answer(status="drained", message=str(drained))
    except (Exception, SystemExit) as raised:  # noqa: BLE001 - every failure of a child is an answer
        with contextlib.suppress(OSError):  # the log may be on the disk that is full
            traceback.print_exc()
        error = as_fault_of_plugin(raised, order.trial)
        return Answer(
            status="user_error" if isinstance(error, UserError) else "failed",
            failure_class=classify(error),
            signature=signature(error),
            message=message_of(error),
        )
    return Answer(status="committed")


def run_child(order_json_path: str) -> int:
    """Carry out the order in a file; SIGTERM and SIGINT ask it to save and leave.

    Before the first step there is nothing to save: then it leaves at once, whatever is being compiled.
    Writes `progress.json` and at last `answer.json` into the order's `scratch`.

    Returns:
        The process' exit code, one of `workers.contract.orders.EXIT_*`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    order = Order.model_validate_json(Path(order_json_path).read_text())
    scratch = Path(order.scratch)
    stop_requests: list[int] = []

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        stop_requests.append(number)
        if not _has_begun(scratch):
            _write_json(scratch / ANSWER_FILE, Answer(status="drained", message="nothing begun"))
            os._exit(EXIT_DRAINED)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # which the fork server holds back
    answer = run_order(order, lambda: bool(stop_requests))
    try:
        _write_json(scratch / ANSWER_FILE, answer)
    except OSError:
        return EXIT_UNANSWERED
    return _EXIT_CODES[answer.status]


def main() -> None:
    """Run `python -m workers.trial ORDER_FILE`."""
    sys.exit(run_child(sys.argv[1]))


def _carry_out(order: Order, should_stop: Callable[[], bool]) -> None:
    pulse = _pulse(order, should_stop)
    pulse.report(Progress(phase="starting"))
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    limit = wait_for_share(order.device_share, devices, should_stop)
    found = environment.prepare(
        order.num_threads, uses_gpu=order.device_share > 0, gpu_limit_bytes=limit
    )
    check_identities(order)
    built = (
        Built() if order.trial.plugin_digests else _BUILT
    )  # of a user's own code nothing is known
    dataset = built.get(
        ("data", order.trial.dataset.model_dump_json(), order.trial.data_digest, order.data_dir),
        lambda: load_dataset(order.trial.dataset, order.data_dir),
    )
    check_data(order, dataset)
    loss = make_loss(order.trial.loss)
    check_loss(loss, order.trial.loss, dataset)
    attempt = Attempt(order, Store.open(order.store), found, dataset, loss, pulse, built)
    if order.statistic is None:
        train_and_commit(attempt)
    else:
        measure_and_commit(attempt, order.statistic, str(order.statistic_id))


def _plugin_teller(scratch: Path) -> Callable[[PluginCall | None], None]:
    """Write down which plugin is called, for the slot: it may end this process, or never return."""

    def tell(call: PluginCall | None) -> None:
        with contextlib.suppress(OSError):
            if call is None:
                (scratch / PLUGIN_FILE).unlink(missing_ok=True)
            else:
                _write_json(scratch / PLUGIN_FILE, call)

    return tell


def _has_begun(scratch: Path) -> bool:
    try:
        progress = Progress.model_validate_json((scratch / PROGRESS_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return progress.phase != "starting"


def _pulse(order: Order, should_stop: Callable[[], bool]) -> Pulse:
    path = Path(order.scratch) / PROGRESS_FILE
    return Pulse(
        should_stop=should_stop,
        report=lambda progress: _write_json(path, progress),
        clock=time.monotonic,
        chunk_seconds=order.chunk_seconds,
        checkpoint_seconds=order.checkpoint_seconds,
    )


def _write_json(path: Path, value: Frozen) -> None:
    """Replace a file at once, so that a reader sees a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(value.model_dump(mode="json")))
    unfinished.replace(path)


if __name__ == "__main__":
    main()
