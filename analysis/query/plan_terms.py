"""What the queries of figures say of a sweep, as SQL: its name and revision, its cells, its statistics."""

from __future__ import annotations

from string import Template

from workers.contract.plan_document import PlanDocument

CELL = "loss, batch_size, learning_rate"

_LISTED = Template("listed(statistic_id, place, rank) AS (VALUES $values)")
"""Every identity under which a statistic of the plan may be recorded, the planned one before earlier ones."""


def plan_terms(plan: PlanDocument) -> dict[str, str]:
    """Return what all queries say of a sweep, as SQL."""
    listed = (
        f"({quoted(identity)}, {place}, {rank})"
        for place, item in enumerate(plan.statistics)
        for rank, identity in enumerate(item.accepted_ids)
    )
    return {
        "cell": CELL,
        "sweep": quoted(plan.sweep),
        "revision": quoted(plan.revision),
        "listed": _LISTED.substitute(values=", ".join(listed)),
        "statistics": ", ".join(quoted(item.statistic_id) for item in plan.statistics),
    }


def quoted(text: str) -> str:
    """Return a name of a plan as SQL has it; none of them may hold a quote."""
    return f"'{text}'"
