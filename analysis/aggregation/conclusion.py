"""What is told of a sweep at the end of a run, kept with the derived views, and told again while it is still true.

Kept is a mark of what it was computed from: the plan's revision, the digest of the records that were read, the
digest of the code, and the digests of the files that hold the derived views. It is true while all are as marked.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from analysis.findings.lacking import LackingStatistic
from analysis.findings.table1 import Table1
from analysis.records.load import SweepData
from workers.contract.commits import DERIVED_VIEWS
from workers.contract.errors import UnreadableFile
from workers.contract.parquet_file import decode
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store
from workers.process.code_digest import HOME, code_digest


@dataclass(frozen=True)
class Conclusion:
    """What is told of a sweep.

    Attributes:
        table: Table 1.
        lacking: What no law can do without and is lacking.
        num_excess_seeds: Seeds with a measured excess loss.
        predictions: The derived view.
        validity: The derived view.
    """

    table: Table1
    lacking: Sequence[LackingStatistic]
    num_excess_seeds: int
    predictions: pa.Table
    validity: pa.Table


class _Computed(BaseModel):
    """What a conclusion was computed from.

    Attributes:
        revision: Of the plan.
        records: Digest of which records were read.
        code: Digest of the code that averaged them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str
    records: str
    code: str


class _KeptConclusion(BaseModel):
    """A conclusion as the store keeps it, in JSON that has NaN and Infinity.

    Attributes:
        mark: What it was computed from.
        views: Digest of the file of each derived view.
        table: Table 1.
        lacking: What laws lack.
        num_excess_seeds: Seeds with a measured excess loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    mark: _Computed
    views: dict[str, str]
    table: Table1
    lacking: tuple[LackingStatistic, ...]
    num_excess_seeds: int


def keep(store: Store, data: SweepData, told: Conclusion, derived: Mapping[str, bytes]) -> None:
    """Keep what is told of a sweep whose derived views were just written, `derived` being their files.

    Raises:
        StoreError: The store cannot be written.
    """
    mark = _Computed(revision=data.plan.revision, records=data.records, code=averaging_code())
    kept = _KeptConclusion(
        mark=mark,
        views=_digests(derived),
        table=told.table,
        lacking=tuple(told.lacking),
        num_excess_seeds=told.num_excess_seeds,
    )
    store.write_bytes(store.conclusion_path(data.plan.sweep), kept.model_dump_json().encode())


def kept_conclusion(store: Store, plan: PlanDocument, records: str) -> Conclusion | None:
    """Return what is kept of a sweep if it is of this plan, these records and this code; else None.

    Args:
        store: That holds it.
        plan: The sweep's.
        records: Digest of the records that stand in the store, as `record_digest` makes it.

    Raises:
        StoreError: The store cannot be read.
    """
    kept = _read(store, plan.sweep)
    mark = _Computed(revision=plan.revision, records=records, code=averaging_code())
    if kept is None or kept.mark != mark:
        return None
    files = {view: _content(store, store.derived_path(view, plan.sweep)) for view in DERIVED_VIEWS}
    if _digests(files) != kept.views:
        return None
    predictions, validity = (
        decode(view, files[view]).table for view in ("predictions", "validity")
    )
    return Conclusion(kept.table, kept.lacking, kept.num_excess_seeds, predictions, validity)


@functools.cache
def averaging_code() -> str:
    """Return the digest of the code that averages, and of what items declare, as first found by this process."""
    return code_digest(HOME, ("analysis", "workers"))


def _read(store: Store, sweep: str) -> _KeptConclusion | None:
    try:
        return _KeptConclusion.model_validate_json(_content(store, store.conclusion_path(sweep)))
    except ValidationError:  # none is there, it is damaged, or of another version
        return None


def _content(store: Store, path: str) -> bytes:
    try:
        return store.read_bytes(path) or b""
    except UnreadableFile:
        return b""


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {view: hashlib.sha256(content).hexdigest() for view, content in files.items()}
