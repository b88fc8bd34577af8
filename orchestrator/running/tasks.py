"""From what is missing to the tasks of slots."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orchestrator.planning.prepare import Options, Prepared
from orchestrator.slots.failures import num_larger_shares
from orchestrator.slots.task import SlotTask
from workers.contract.lacking import Missing


def make_tasks(
    prepared: Prepared,
    options: Options,
    run_id: str,
    work: Sequence[Missing],
    *,
    shares: Mapping[str, float] | None = None,
    presumed_dead: Collection[str] = (),
) -> list[SlotTask]:
    """Make a slot's task of every trial with something missing, in the order given.

    Args:
        prepared: The sweep.
        options: Of the command.
        run_id: Of this run.
        work: What is missing.
        shares: GPU shares of trials that need more than the sweep says.
        presumed_dead: Attempts of other runs that are not waited for.
    """
    resources = prepared.sweep.resources
    failed = _failed_before(prepared)
    first_share = num_larger_shares(resources.gpus)
    return [
        SlotTask(
            sweep=prepared.plan.sweep,
            run_id=run_id,
            planned=item.planned,
            is_trained=item.is_trained,
            statistics=item.statistics,
            store=prepared.store.uri,
            data_dir=options.data_dir,
            num_threads=resources.cpus,
            device_share=(share := (shares or {}).get(item.planned.trial_id, resources.gpus)),
            num_smaller_shares=first_share - num_larger_shares(share),
            memory=resources.memory,
            accelerator=resources.accelerator,
            checkpoint_seconds=options.checkpoint_seconds,
            hang_seconds=options.hang_seconds,
            entry=options.entry,
            earlier_failures=failed.get(item.planned.trial_id, []),
            presumed_dead=sorted(presumed_dead),
        )
        for item in work
    ]


def _failed_before(prepared: Prepared) -> dict[str, list[str]]:
    """List the attempts that had failed before this run, by trial."""
    found: dict[str, list[str]] = {}
    for failure in prepared.state.failures:
        found.setdefault(failure.trial_id, []).append(failure.attempt_id)
    return found
