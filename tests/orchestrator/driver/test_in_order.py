"""The tasks that Tune is given: one after the other, each with where it may not go."""

from __future__ import annotations

from orchestrator.driver.callbacks import InOrder
from orchestrator.running.driver import Refusal
from orchestrator.slots.task import SlotTask
from workers.process.code_digest import running_code


def test_tasks_come_in_order_with_what_a_slot_of_other_code_must_read(make_task):
    """The digest of the driver's code, and the nodes to keep away from."""
    tasks = [make_task(0), make_task(1)]
    in_order = InOrder(tasks, {"b", "a"})
    given = [in_order.suggest("x"), in_order.suggest("y")]
    assert [SlotTask.model_validate_json(config.pop("task")) for config in given] == tasks
    assert given == [{"code_digest": running_code(), "shunned": "a b"}] * 2


def test_a_node_that_has_refused_gets_none_of_the_tasks_to_come(make_task):
    """Not only in the next wave, which may be hours away."""
    told: list[Refusal] = []

    def shun(refusal: Refusal) -> frozenset[str]:
        told.append(refusal)
        return frozenset({refusal.node_id})

    in_order = InOrder([make_task(seed) for seed in range(3)], (), shun)
    assert in_order.suggest("x")["shunned"] == ""
    in_order.on_trial_complete("x", {"done": True, "result": "{}"})
    in_order.on_trial_complete("x", None, error=True)
    assert in_order.suggest("y")["shunned"] == ""
    in_order.on_trial_complete("y", {"refusal": "node late holds other code", "node_id": "late"})
    assert told == [Refusal("late", "node late holds other code")]
    assert in_order.suggest("z")["shunned"] == "late"
