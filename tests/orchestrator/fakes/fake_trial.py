"""A trial that takes no time: it does what the order's learning rate tells it to do.

Behaviour by seed: 0 commits, 1 fails as a bug, 2 is killed, 3 waits for SIGTERM and drains, 4 hangs,
5 is killed the first time only, 7 has lost its model until it is trained, 8 wants at least half a GPU, 9 ignores SIGTERM,
10 and above wait until as many trials as their batch size
have begun, and half a second more. Each notes when it ran on which devices in the store's folder `seen`.
"""

import json
import os
import signal
import time
from pathlib import Path


def run_child(order_path: str) -> int:
    """Do one attempt."""
    order = json.loads(Path(order_path).read_text())
    scratch = Path(order["scratch"])
    store = Path(order["store"])
    (store / "seen").mkdir(parents=True, exist_ok=True)
    name = order["statistic"]["name"] if order["statistic"] else "train"
    seen = store / "seen" / f"{order['trial_id']}.{name}.{order['attempt_id']}"
    note = {"pid": os.getpid(), "devices": os.environ["CUDA_VISIBLE_DEVICES"], "began": time.time()}
    note["cores"] = os.environ.get("MINIMA_CORES", "")
    note["may_use"] = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    seen.write_text(json.dumps(note))
    seed = order["trial"]["seed"]
    print("the log of an attempt")
    if seed == 1:
        return _answer(
            scratch, 1, status="failed", failure_class="bug", signature="ValueError", message="no"
        )
    if seed == 7 and name != "train" and not list(seen.parent.glob("*.train.*")):
        return _answer(scratch, 1, status="failed", failure_class="model_lost", message="gone")
    if seed == 2 or (seed == 5 and len(list((store / "seen").iterdir())) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 3:
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        (scratch / "progress.json").write_text('{"phase": "training", "done": 3, "total": 9}')
        while not asked:
            time.sleep(0.02)
        return _answer(scratch, 3, status="drained")
    if seed == 8 and order["device_share"] < 0.5:
        return _answer(scratch, 1, status="failed", failure_class="gpu_out_of_memory", message="")
    if seed == 9:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if seed in {4, 9}:
        time.sleep(600)
    if seed >= 10:
        deadline = time.monotonic() + 90
        while len(list(seen.parent.iterdir())) < order["trial"]["batch_size"]:
            if time.monotonic() > deadline:
                return _answer(scratch, 1, status="failed", failure_class="bug", message="alone")
            time.sleep(0.05)
        time.sleep(0.5)
        seen.write_text(json.dumps(note | {"ended": time.time()}))
    return _answer(scratch, 0, status="committed")


def _answer(scratch: Path, code: int, **answer: str) -> int:
    (scratch / "answer.json").write_text(json.dumps(answer))
    return code
