"""The plans that a store holds: which sweeps there are, and of each the current plan, the last that is sound."""

from __future__ import annotations

from workers.contract.commits import warn_of_damage
from workers.contract.documents import read_document
from workers.contract.parquet_file import DamagedFile
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store


def list_sweeps(store: Store) -> list[str]:
    """List the sweeps that were ever planned in this store, sorted.

    Raises:
        StoreError: The store cannot be read.
    """
    found = map(Store.plan_parts, store.names("sweeps", recursive=True))
    return sorted({sweep for sweep, _ in filter(None, found)})


def list_revisions(store: Store, sweep: str) -> list[str]:
    """List the revisions of a sweep's plan, the last one last.

    Raises:
        StoreError: The store cannot be read.
    """
    found = map(Store.plan_parts, store.names(Store.plan_folder(sweep)))
    return sorted(revision for _, revision in filter(None, found))


def newest_plan(store: Store, sweep: str) -> PlanDocument | None:
    """Read the last revision of a sweep that is sound; None when there is none. Damaged ones are told.

    Raises:
        StoreError: The store cannot be read.
    """
    damaged: dict[str, DamagedFile] = {}
    for revision in reversed(list_revisions(store, sweep)):
        plan = read_plan(store, sweep, revision)
        if isinstance(plan, PlanDocument):
            break
        if plan is not None:
            damaged[store.plan_path(sweep, revision)] = plan
    else:
        plan = None
    warn_of_damage(damaged)
    return plan


def read_plan(store: Store, sweep: str, revision: str) -> PlanDocument | DamagedFile | None:
    """Read one revision: what is wrong when it is damaged, None when it is not there.

    Raises:
        StoreError: The store cannot be read.
    """
    path = store.plan_path(sweep, revision)
    plan = read_document(store, path, PlanDocument, "plan")
    if isinstance(plan, PlanDocument) and plan.sweep != sweep:
        return DamagedFile(f"it is a plan of {plan.sweep!r}")
    return plan
