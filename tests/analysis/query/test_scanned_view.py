"""What DuckDB scans leaves nothing at work behind it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LEFT_EARLY = """
import sys, time
import duckdb
import pyarrow as pa
from analysis.query.scanned_view import ScannedView

class Rows:
    schema = pa.schema([("value", pa.string())])

    def schema_of(self, names):
        return self.schema

    def batches(self, names, wanted=None):
        for _ in range(10_000):
            time.sleep(0.02)  # as long as a piece of a large view takes
            yield pa.record_batch([pa.array(["text"] * 2048)], self.schema)

connection = duckdb.connect(":memory:")
connection.register("rows", ScannedView(Rows()))
try:
    print(connection.sql(sys.argv[1]).fetchall())
except duckdb.Error as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM rows LIMIT 1", "[('text',)]"),
        ("SELECT EXISTS(SELECT 1 FROM rows)", "[(True,)]"),
        ("SELECT value::INT FROM rows", "ConversionException"),
    ],
)
def test_a_query_that_ends_early_lets_the_process_end(sql, said):
    """Nobody decodes on in a thread of its own, in which the interpreter would abort or wait for ever."""
    done = subprocess.run(
        [sys.executable, "-c", _LEFT_EARLY, sql],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr[-500:]
