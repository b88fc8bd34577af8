from __future__ import annotations

import pyarrow as pa
import pytest

from workers.contract.commits import decode_commits
from workers.contract.parquet_file import DamagedFile, Part, encode
from workers.contract.schema import VIEWS
from workers.contract.soundness import NEVER_NULL, commit_fault, key_fault, label_fault

AT = "2026-01-01T00:00:00+00:00"


def test_columns_without_gaps_are_columns_of_their_view():
    """Ids in every view of facts, and none that a later version added with a default."""
    for view, names in NEVER_NULL.items():
        assert set(names) <= set(VIEWS[view].names)
    assert "converged_at_epoch" not in NEVER_NULL["trials"]
    assert "value" not in NEVER_NULL["measurements"]
    assert {"trial_id", "statistic_id"} <= set(NEVER_NULL["measurements"])


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", ".hidden", "a b", "a\n", "ä"])
def test_an_id_can_name_a_file(key):
    """Whatever cannot is told as it was seen."""
    assert key_fault(("t1", key)) == f"{key!r} cannot be an id"
    assert key_fault(("t1", "a-b_c.9")) is None


def test_a_commit_has_a_time_and_an_attempt():
    """Derived and merged files have no attempt."""
    assert commit_fault(AT, "") is None
    assert commit_fault("", "a1") == "it was committed at '', which is no time"
    assert commit_fault(AT, "a/1") == "'a/1' cannot be an attempt"
    assert label_fault({}) == "the label 'view' is missing"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([Part(("t1",), AT, "a1", 1), Part(("t3",), AT, "a1", 1)], "rows of another trial_id"),
        ([Part(("t1",), AT, "a1", 1)], "its parts have 1 rows, and it has 2"),
        ([Part(("t1", "s"), AT, "a1", 2)], "its parts have other ids than the view"),
    ],
)
def test_a_merged_file_holds_what_its_parts_say(trial_rows, parts, told):
    """Else its rows would be believed to be another trial's."""
    rows = pa.concat_tables([trial_rows("t1"), trial_rows("t2")])
    content = encode("trials", rows, committed_at=AT, attempt_id="", parts=parts)
    found = decode_commits("trials", "trials/compacted-x.parquet", content)
    assert isinstance(found, DamagedFile)
    assert told in str(found)
