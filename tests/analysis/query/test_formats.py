from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.query.formats import FORMATS, as_csv, as_json, as_parquet, as_text
from workers.contract.errors import UserError

_TABLE = pa.table(
    {
        "name": ["a,b\n", None],
        "value": [0.1 + 0.2, float("nan")],
        "count": [1, None],
        "many": [["x", "y"], []],
        "time": pa.array([datetime(2026, 1, 2, tzinfo=UTC), None], pa.timestamp("us", tz="UTC")),
    }
)


def test_json_is_valid_and_exact():
    """Floats survive exactly; NaN is null, as JSON has no other word for it."""
    rows = json.loads(as_json(_TABLE))
    assert rows == [
        {
            "name": "a,b\n",
            "value": 0.1 + 0.2,
            "count": 1,
            "many": ["x", "y"],
            "time": "2026-01-02T00:00:00+00:00",
        },
        {"name": None, "value": None, "count": None, "many": [], "time": None},
    ]


def test_csv_is_read_back():
    """Commas and line breaks are quoted, floats exact, nulls empty, lists JSON."""
    rows = list(csv.DictReader(io.StringIO(as_csv(_TABLE))))
    assert rows[0]["name"] == "a,b\n"
    assert float(rows[0]["value"]) == 0.1 + 0.2
    assert json.loads(rows[0]["many"]) == ["x", "y"]
    assert (rows[1]["name"], rows[1]["value"], rows[1]["count"]) == ("", "nan", "")


def test_text_is_laid_out_in_columns():
    """Line breaks do not break the table, nulls are dashes, the count stands below."""
    lines = as_text(_TABLE).splitlines()
    assert lines[0].split() == ["name", "value", "count", "many", "time"]
    assert lines[2].split()[:3] == ["a,b⏎", "0.3", "1"]
    assert lines[-1] == "2 rows"
    assert as_text(_TABLE.slice(0, 1)).splitlines()[-1] == "1 row"


def test_parquet_is_read_back():
    """A whole Parquet file with the same values."""
    found = pq.read_table(pa.BufferReader(as_parquet(_TABLE)))
    assert found.schema.names == _TABLE.schema.names
    assert repr(found.to_pylist()) == repr(_TABLE.to_pylist())


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_empty_result_is_written_too(name):
    """No rows, but the columns where the format has a place for them."""
    written = FORMATS[name](_TABLE.slice(0, 0))
    assert written
    if name != "json":
        assert b"value" in (written if isinstance(written, bytes) else written.encode())


def test_every_kind_of_value_that_sql_gives_is_written():
    """Decimals, dates, intervals, structs, booleans and bytes."""
    table = pa.table(
        {
            "decimal": [Decimal("1.5")],
            "sum": [Decimal("12")],
            "date": [date(2026, 1, 2)],
            "span": [timedelta(seconds=1.5)],
            "struct": [{"a": [1.0]}],
            "flag": [True],
            "bytes": [b"x"],
        }
    )
    assert json.loads(as_json(table)) == [
        {
            "decimal": 1.5,
            "sum": 12,
            "date": "2026-01-02",
            "span": 1.5,
            "struct": {"a": [1.0]},
            "flag": True,
            "bytes": "x",
        }
    ]
    assert as_csv(table).splitlines()[1] == '1.5,12,2026-01-02,1.5,"{""a"": [1.0]}",True,x'
    assert "true" in as_text(table)


@pytest.mark.parametrize("name", ["table", "csv", "json"])
@pytest.mark.parametrize(
    "column",
    [
        pa.array([106_751_991], pa.date32()),
        pa.array([[106_751_991]], pa.list_(pa.date32())),
        pa.array([2**63 - 1], pa.timestamp("us")),
        pa.array([2**63 - 1], pa.timestamp("us", tz="UTC")),
        pa.array([-800_000], pa.date32()),
    ],
)
def test_a_time_beyond_pythons_is_a_fault(name, column):
    """The year 294247 and those before Christ can be read as text."""
    with pytest.raises(UserError) as caught:
        FORMATS[name](pa.table({"seed": [1], "when": column}))
    assert str(caught.value) == (
        "the column 'when' holds a value that cannot be shown: date value out of range\n"
        "  where: the SQL given\n"
        "  mend:  cast it to text: CAST(… AS VARCHAR)"
    )


def test_a_type_that_parquet_does_not_have_is_a_fault():
    """An interval of months."""
    span = pa.array([pa.MonthDayNano([1, 0, 0])])
    with pytest.raises(UserError) as caught:
        as_parquet(pa.table({"span": span}))
    (fault,) = caught.value.faults
    assert fault.what.startswith("the result cannot be written as Parquet: Unhandled type")
    assert fault.mend == "cast it to text: CAST(… AS VARCHAR)"


def test_numbers_stand_to_the_right_and_texts_to_the_left():
    """Small ones with a power of ten, minus as U+2212; CSV has them as they are."""
    table = pa.table({"name": ["a", "long"], "value": [-6.94e-5, 12.5], "count": [1, -200]})
    lines = as_text(table).splitlines()
    assert lines[0] == "name       value  count"
    assert lines[2:4] == ["a     −6.94×10⁻⁵      1", "long        12.5   −200"]
    assert as_csv(table).splitlines()[1:] == ["a,-6.94e-05,1", "long,12.5,-200"]


def test_a_column_of_nulls_is_left_out_and_named():
    """Of the table alone; with nothing but nulls all stay, and CSV keeps every column."""
    table = pa.table({"seed": [1, 2], "none": pa.array([None, None], pa.float64())})
    text = as_text(table)
    assert text.splitlines()[0] == "seed"
    assert text.splitlines()[-2:] == ["2 rows", "Left out, as no row has a value: none."]
    assert as_csv(table).startswith("seed,none\n")
    assert as_text(table.select(["none"])).splitlines()[0] == "none"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_wide_row_is_a_block_of_lines_that_fit(width):
    """Fifty columns do not fit side by side; each value stands whole on a line of its own."""
    names = [f"quantity_{number}_mean" for number in range(50)]
    table = pa.table({name: [number / 7] for number, name in enumerate(names)})
    lines = as_text(table, width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("─ 1 of 1 ─")
    found = dict(line.split() for line in lines[1:-1])
    assert found == {name: f"{number / 7:.6g}" for number, name in enumerate(names)}


@pytest.mark.parametrize(
    "sql",
    [
        "TIMESTAMP_NS '2020-01-01 00:00:00.123456789'",
        "[TIMESTAMP_NS '2020-01-01 00:00:00.123456789']",
    ],
)
def test_nanoseconds_are_told_by_a_query_that_began_without_pandas(sql):
    """For which PyArrow needs it."""
    code = (
        "from workers.process.surroundings import without\n"
        "with without('pandas'):\n"
        "    import duckdb; from analysis.query import formats, sql\n"
        "import sys; assert 'pandas' not in sys.modules\n"
        f"rows = duckdb.sql({'SELECT ' + sql + ' AS t'!r}).to_arrow_table()\n"
        "for write in (formats.as_text, formats.as_csv, formats.as_json): print(write(rows))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2020-01-01T00:00:00.123456789") >= 2
