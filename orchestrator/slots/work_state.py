"""How one piece of work stands in the store, looked up just before it is done."""

from __future__ import annotations

from orchestrator.slots.task import Work
from workers.contract.lacking import is_trained
from workers.contract.store import Store


def is_committed(store: Store, work: Work) -> bool:
    """Return whether nothing is left to do, as another run or a lost slot did it meanwhile.

    Raises:
        StoreError: The store cannot be read.
    """
    if work.is_repeated:
        return False
    if work.statistic_id is not None:
        key = (work.trial_id, work.statistic_id)
        return any(commit.key == key for commit in store.commits_of("measurements", work.trial_id))
    commits = store.commits_of("trials", work.trial_id)
    if not commits:
        return False
    return is_trained(
        commits[0].table.column("outcome")[0].as_py(),
        has_model=bool(store.names("models", beginnings=Store.beginnings([work.trial_id]))),
        is_needed=bool(work.task.statistics),
    )


def failure_classes(store: Store, work: Work) -> list[str]:
    """List the classes of the failures of this work in this run, in order.

    Raises:
        StoreError: The store cannot be read.
    """
    rows = [
        row
        for commit in store.commits_of("failures", work.trial_id)
        for row in commit.table.to_pylist()
        if row["statistic_id"] == work.statistic_id
        and row["attempt_id"] not in work.task.earlier_failures
    ]
    by_attempt = {row["attempt_id"]: row["failure_class"] for row in rows}
    return [by_attempt[attempt_id] for attempt_id in sorted(by_attempt)]
