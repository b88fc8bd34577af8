"""The plan that a sweep's records belong to."""

from __future__ import annotations

from workers.contract.errors import StoreError, did_you_mean, user_error
from workers.contract.plan_document import PlanDocument
from workers.contract.plans import list_revisions, list_sweeps, newest_plan, read_plan
from workers.contract.store import Store


def load_plan(store: Store, sweep: str, revision: str | None = None) -> PlanDocument:
    """Load one revision of a sweep's plan, by default the current one: the last that is valid.

    Raises:
        UserError: There is no such sweep or revision in the store.
        StoreError: The document exists and is not a plan; by default, none of them is one.
    """
    revisions = list_revisions(store, sweep)
    if not revisions:
        known = list_sweeps(store)
        mend = did_you_mean(sweep, known) if known else "run a sweep into this store first"
        raise user_error(f"no sweep {sweep!r} in the store", where=store.uri, mend=mend)
    if revision is not None and revision not in revisions:
        mend = did_you_mean(revision, revisions)
        raise user_error(f"no revision {revision!r} of {sweep!r}", where=store.uri, mend=mend)
    plan = newest_plan(store, sweep) if revision is None else read_plan(store, sweep, revision)
    if isinstance(plan, PlanDocument):
        return plan
    path = store.plan_path(sweep, revision or revisions[-1])
    raise StoreError(f"{path} in the store {store.uri} is not a plan: {plan or 'it is damaged'}")
