"""Random plan documents in a store: one that is believed can be shown, any other is passed over."""

from __future__ import annotations

import copy
import json
import random
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.monitor.status import sweep_status
from workers.contract.plans import newest_plan
from workers.contract.store import Store

KEPT = Path(__file__).parents[2] / "orchestrator"


def test_plan_documents(tmp_path, fuzz, changed, scrambled):
    """Changed as documents, and as texts."""
    store = Store.open(str(tmp_path / "store"))
    sound = json.loads(sorted((KEPT / "kept_store/sweeps/small").iterdir())[-1].read_text())

    def draw_case(draw: random.Random) -> str:
        document = copy.deepcopy(sound)
        for _ in range(draw.choice([1, 1, 2, 4])):
            document = changed(document, draw)
        text = json.dumps(document)
        return scrambled(text, draw) if draw.random() < 0.3 else text

    def attempt(text: str) -> None:
        content = text.encode("utf-8", "surrogatepass")
        store.write_bytes(Store.plan_path("small", "r"), content)
        plan = newest_plan(store, "small")
        if plan is not None:
            sweep_status(store, plan, datetime.now(UTC))

    fuzz("plan documents", draw_case, attempt)
