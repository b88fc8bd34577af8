"""Done trials trained and measured again: within one environment every value has the same bits."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from orchestrator.machine.scratch import own_folders_removed, scratch_folder
from orchestrator.planning.prepare import Options, Prepared
from orchestrator.planning.store_state import read_state
from orchestrator.running.foreground import Difference, compare, run_on, start
from orchestrator.running.tasks import make_tasks
from orchestrator.slots.slot import Slot
from workers.contract.lacking import Missing
from workers.contract.store import Store


@dataclass
class VerifyResult:
    """What a second training showed.

    Attributes:
        compared: Trials compared value by value, or that failed where they were done before.
        differences: Between them.
        elsewhere: Trials recorded under another environment: their bits cannot be expected here.
        not_compared: Statistics that only an earlier numerics version measured, of a trial or more.
        environment_id: This machine's; None when no training ended.
    """

    compared: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    environment_id: str | None = None


def verify(
    prepared: Prepared, drawn: Sequence[Missing], num_sample: int, options: Options
) -> VerifyResult:
    """Train and measure done trials again, each in a store of its own, and compare every value.

    What an earlier numerics version measured is not compared: this one need not come to equal values.
    Bits are promised within one environment. The first trial done again tells this machine's; from
    then on those recorded under another are told apart without training them.

    Args:
        prepared: The sweep.
        drawn: Done trials, at least one, in the order to try them.
        num_sample: How many to compare; fewer where fewer are done, or comparable here.
        options: The command's.

    Raises:
        KeyboardInterrupt: An attempt was told to leave.
        UserError: TensorFlow does not start.
    """
    result = VerifyResult()
    with own_folders_removed(), contextlib.closing(Slot()) as slot:
        start(slot, make_tasks(prepared, options, "verify", drawn[:1])[0])
        for item in drawn:
            if len(result.compared) == num_sample:
                break
            trial_id = item.planned.trial_id
            recorded = prepared.state.trials[trial_id].environment_id
            if result.environment_id not in {None, recorded}:
                result.elsewhere.append(trial_id)
                continue
            _verify_one(prepared, item, options, slot, result)
    return result


def _verify_one(
    prepared: Prepared, item: Missing, options: Options, slot: Slot, result: VerifyResult
) -> None:
    trial_id = item.planned.trial_id
    measured = prepared.state.measured
    statistics = [
        each for each in prepared.plan.statistics if (trial_id, each.statistic_id) in measured
    ]
    asked = {statistic.statistic_id for statistic in statistics}
    with scratch_folder() as scratch:
        again = Store.open(str(scratch / "store"))
        fresh = replace(item, is_trained=False, statistics=statistics)
        apart = replace(prepared, store=again)
        status = run_on(make_tasks(apart, options, "verify", [fresh])[0], slot).status
        if status == "drained":
            raise KeyboardInterrupt
        here = read_state(again).trials.get(trial_id)
        if here is not None:
            result.environment_id = here.environment_id
        if here and here.environment_id != prepared.state.trials[trial_id].environment_id:
            result.elsewhere.append(trial_id)
            return
        result.compared.append(trial_id)
        result.not_compared += [name for name in item.earlier if name not in result.not_compared]
        if status == "done":
            result.differences += compare(prepared.store, again, trial_id, asked)
        else:
            result.differences.append(Difference(trial_id, "trials", "status", "done", status))
