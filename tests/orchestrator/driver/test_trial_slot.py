"""What Ray is asked for is what the task's resources say."""

from __future__ import annotations

import pytest
from ray.util.placement_group import NODE_ID_LABEL_KEY

from orchestrator.driver.trial_slot import TrialSlot


@pytest.mark.parametrize(
    ("changes", "bundle"),
    [
        ({"device_share": 0.0, "num_threads": 2}, {"CPU": 2.0}),
        ({"device_share": 0.5, "num_threads": 1}, {"CPU": 1.0, "GPU": 0.5}),
        (
            {"device_share": 1.0, "num_threads": 1, "memory": 2**32, "accelerator": "H100"},
            {"CPU": 1.0, "GPU": 1.0, "memory": float(2**32), "accelerator_type:H100": 0.001},
        ),
    ],
)
def test_a_slot_asks_for_what_its_task_holds(make_task, changes, bundle):
    """Of nothing that the task does not ask for."""
    task = make_task(0).model_copy(update=changes).model_dump_json()
    asked = TrialSlot.default_resource_request({"task": task, "shunned": ""})
    assert asked.bundles == [bundle]
    elsewhere = TrialSlot.default_resource_request({"task": task, "shunned": "a b"})
    assert elsewhere.bundles == [bundle]
    assert elsewhere._kwargs["bundle_label_selector"] == [{NODE_ID_LABEL_KEY: "!in(a,b)"}]
