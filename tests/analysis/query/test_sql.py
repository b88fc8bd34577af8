from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from analysis.aggregation.aggregate import aggregate
from analysis.query.sql import _explained, query
from workers.contract.errors import UserError
from workers.contract.schema import VIEWS
from workers.contract.store import Store

README = Path(__file__).parents[3] / "README.md"


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_an_empty_store_has_every_view(store, view):
    """No folder exists, yet each view has its columns and no rows."""
    found = query(store, f"select * from {view}")  # noqa: S608 - a constant name
    assert found.schema.names == VIEWS[view].names
    assert found.num_rows == 0


def test_views_are_joined_and_averaged(store, synthetic_sweep):
    """The example a user begins with: a mean over seeds from the records themselves."""
    synthetic_sweep().fill()
    found = query(
        store,
        "select batch_size, count(*) as seeds, avg(value) as trace from trials join measurements"
        " using (trial_id) where quantity = 'gradient_noise_trace' and layer is null and"
        " objective = 'data' group by all order by all",
    )
    assert found.to_pylist() == [
        {"batch_size": 100, "seeds": 3, "trace": pytest.approx(101.0)},
        {"batch_size": 200, "seeds": 3, "trace": pytest.approx(401.0)},
    ]


def test_derived_views_are_read(store, synthetic_sweep):
    """What the aggregation job wrote is there, lists included."""
    synthetic_sweep().fill()
    aggregate(store, "toy")
    found = query(store, "SELECT environment_ids[1] AS e, complete FROM Cells LIMIT 1")
    assert found.to_pylist() == [{"e": "env-a", "complete": True}]


def test_an_environment_is_read_into(store, synthetic_sweep):
    """As the README asks for it: the versions behind a hash, nothing of a record without them."""
    sweep = synthetic_sweep()
    sweep.plan()
    for trial, recorded in zip(sweep.trials(), ['{"tensorflow": "2.21.0"}', None], strict=False):
        sweep.train(trial, environment=recorded, code_commit="c")
    [sql] = re.findall(r"`(SELECT DISTINCT environment[^`]*)`", README.read_text(encoding="utf-8"))
    found = query(store, f"{sql} ORDER BY ALL").to_pylist()
    assert [list(row.values()) for row in found] == [["2.21.0", "c"], [None, "c"]]


def test_only_the_views_in_the_sql_are_read(store, synthetic_sweep, monkeypatch):
    """A query over one view does not pay for the others."""
    synthetic_sweep().fill()
    rows = Store.rows
    seen = []
    monkeypatch.setattr(Store, "rows", lambda self, view: (seen.append(view), rows(self, view))[1])
    query(store, 'select count(*) from "TRIALS", (select 1)')
    assert seen == ["trials"]


def test_a_view_named_by_a_computed_text_is_not_empty(store, synthetic_sweep):
    """query_table('tri' || 'als') reads the records, not an empty stand-in."""
    synthetic_sweep().fill()
    found = query(store, "select count(*) as n from query_table('tri' || 'als')")
    assert found.to_pylist() == [{"n": 6}]


@pytest.mark.parametrize(
    "sql",
    [
        "with t as (select * from trials) select count(*) from t",
        "from trials select seed",
        "values (1), (2)",
        "describe cells",
        "show tables",
        "summarize trials",
        "explain select * from trials",
        "EXPLAIN ANALYZE select 1",
        "explain (format json) select 1",
        "select 1;",
        "select * from trials -- a comment; drop table trials",
        "select date_trunc('day', started_at), started_at::date from trials",
    ],
)
def test_statements_that_read_are_run(store, sql):
    """One statement that reads, in any of SQL's forms."""
    assert isinstance(query(store, sql), pa.Table)


def test_all_views_are_listed(store):
    """SHOW TABLES knows the views that the SQL does not name."""
    assert query(store, "show tables").column("name").to_pylist() == sorted(VIEWS)


def test_times_are_utc(store, synthetic_sweep):
    """A time reads the same on every machine."""
    synthetic_sweep(pairs=[(100, 0.1)], seeds=[0]).fill()
    found = query(store, "select started_at::varchar as t from trials")
    assert found.to_pylist() == [{"t": "2026-01-02 03:04:05+00"}]


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("copy trials to '{out}'", "a query may not COPY"),
        ("select '\udcff'", "the query is not UTF-8"),
        ("copy (select 1) to '{out}' (format parquet)", "a query may not COPY"),
        ("attach '{out}' as other", "a query may not ATTACH"),
        ("export database '{out}'", "a query may not EXPORT"),
        ("install httpfs", "a query may not LOAD"),
        ("load httpfs", "a query may not LOAD"),
        ("pragma version", "a query may not PRAGMA"),
        ("set threads = 1", "a query may not SET"),
        ("set lock_configuration = false", "a query may not SET"),
        ("reset lock_configuration", "a query may not SET|a query may not VARIABLE_SET"),
        ("create table x as select 1", "a query may not CREATE"),
        ("create macro f(x) as x", "a query may not CREATE"),
        ("insert into trials select * from trials", "a query may not INSERT"),
        ("update trials set seed = 0", "a query may not UPDATE"),
        ("delete from trials", "a query may not DELETE"),
        ("drop view trials", "a query may not DROP"),
        ("call pragma_version()", "a query may not CALL"),
        ("prepare p as select 1", "a query may not PREPARE"),
        ("begin", "a query may not TRANSACTION"),
        ("explain copy trials to '{out}'", "a query may not COPY"),
        ("explain analyze copy trials to '{out}'", "a query may not COPY"),
        ("explain analyze create table x as select 1", "a query may not CREATE"),
        ("/* */ explain analyze copy trials to '{out}'", "a query may not COPY"),
        ("update extensions", "a query may not do that"),
        ("select 1; copy trials to '{out}'", "2 statements in one query"),
        ("select 1; select 2", "2 statements in one query"),
        ("", "0 statements in one query"),
        ("-- nothing", "0 statements in one query"),
    ],
)
def test_statements_that_do_more_than_read_are_refused(store, tmp_path, sql, what):
    """Nothing is run, and the cure says what may be given."""
    out = tmp_path / "out"
    with pytest.raises(UserError, match=what) as caught:
        query(store, sql.format(out=out))
    assert caught.value.faults[0].mend.startswith("give one statement that reads")
    assert not out.exists()


@pytest.mark.parametrize(
    "source",
    [
        "read_csv('{file}')",
        "read_csv_auto('{file}')",
        "read_text('{file}')",
        "read_blob('{file}')",
        "read_json('{file}')",
        "read_parquet('{file}')",
        "parquet_metadata('{file}')",
        "sniff_csv('{file}')",
        "glob('{file}')",
        "glob('/*')",
        "read_parquet('s3://bucket/key')",
        "read_csv('http://127.0.0.1:1/x')",
        "which_secret('s3://bucket', 's3')",
    ],
)
def test_functions_that_reach_files_are_refused(store, tmp_path, source):
    """External access is off: neither local files nor the network."""
    secret = tmp_path / "secret.csv"
    secret.write_text("word\nabracadabra\n")
    with pytest.raises(UserError) as caught:
        query(store, f"select * from {source.format(file=secret)}")  # noqa: S608 - an attack
    assert "abracadabra" not in str(caught.value)


@pytest.mark.parametrize("quoted", ["'{file}'", '"{file}"'])
def test_a_file_is_not_a_table(store, tmp_path, quoted):
    """A path in the place of a table is not opened."""
    secret = tmp_path / "secret.csv"
    secret.write_text("word\nabracadabra\n")
    with pytest.raises(UserError, match="Cannot access file"):
        query(store, f"select * from {quoted.format(file=secret)}")  # noqa: S608 - an attack


def test_python_variables_are_not_tables(store):
    """Frames of the calling program cannot be selected from."""
    hidden = pa.table({"word": ["abracadabra"]})
    with pytest.raises(UserError, match="Table with name hidden does not exist"):
        query(store, "select * from hidden")
    assert hidden.num_rows == 1


@pytest.mark.parametrize("sql", ["select getenv('HOME')", "select * from arrow_scan(1, 2, 3)"])
def test_the_process_is_out_of_reach(store, sql):
    """Neither environment variables nor memory addresses."""
    with pytest.raises(UserError) as caught:
        query(store, sql)
    assert os.environ.get("HOME", "/none") not in str(caught.value)


def test_the_configuration_is_what_it_should_be(store):
    """Read back from inside: external access off, locked, no automatic extensions."""
    found = query(store, "select name, value from duckdb_settings()").to_pylist()
    values = {row["name"]: row["value"] for row in found}
    assert values["enable_external_access"] == "false"
    assert values["lock_configuration"] == "true"
    assert values["autoinstall_known_extensions"] == "false"
    assert values["autoload_known_extensions"] == "false"
    assert values["python_enable_replacements"] == "false"
    assert values["allowed_directories"] == "[]"


@pytest.mark.parametrize(
    ("sql", "what", "mend"),
    [
        ("select * from trails", "Table with name trails does not exist", "did you mean 'trials'?"),
        ("select batchsize from trials", 'column "batchsize" not found', "mean 'batch_size'?"),
        ("select c.lossess from cells c", "lossess", "did you mean 'loss'?"),
        ("selec 1", "syntax error", "give one statement that reads"),
        ("select nothing(1)", "nothing does not exist", "views: cell_measurements, cells"),
        ("select loss + 1 from trials", "No function matches", "views: cell_measurements, cells"),
        ("select cast('x' as int)", "Could not convert", "see the message of DuckDB"),
    ],
)
def test_bad_sql_is_told_with_a_cure(store, sql, what, mend):
    """The message of DuckDB in one line, and the nearest view or column."""
    with pytest.raises(UserError) as caught:
        query(store, sql)
    (fault,) = caught.value.faults
    assert what in fault.what
    assert "\n" not in fault.what
    assert mend in fault.mend
    assert fault.where == "the SQL given"


def test_an_unknown_column_is_looked_for_in_the_views_named(store):
    """Candidates come from the views of the query, not from all."""
    with pytest.raises(UserError) as caught:
        query(store, "select sead from trials")
    assert "did you mean 'seed'?" in caught.value.faults[0].mend
    assert "statistic_id" not in caught.value.faults[0].mend


def test_columns_of_one_name_are_told_apart(store):
    """A result always has distinct columns, so that no format loses one."""
    assert query(store, "select 1 as a, 2 as a").schema.names == ["a", "a_1"]
    found = query(store, "select 1 as a, 2 as a, 3 as a_1, 4 as a, 5 as a_1")
    assert found.schema.names == ["a", "a_2", "a_1", "a_3", "a_1_1"]
    with pytest.raises(duckdb.Error):
        duckdb.sql("select * from no_such_table")


@pytest.mark.parametrize(
    "sql",
    ["pivot trials on seed using count(*)", "from (PIVOT trials ON seed USING count(*))"],
)
def test_a_pivot_over_values_not_listed_is_refused_by_name(store, sql):
    """DuckDB makes several statements of it."""
    with pytest.raises(UserError) as caught:
        query(store, sql)
    assert str(caught.value) == (
        "PIVOT without an IN list is not supported\n"
        "  where: the SQL given\n"
        "  mend:  list the values: PIVOT … ON column IN (value, …) USING …"
    )
    listed = query(store, "pivot (select 1 as a, 2 as b) on a in (1) using sum(b)")
    assert listed.to_pylist() == [{"1": 2}]


@pytest.mark.parametrize(
    "message",
    [
        "Out of Memory Error: failed to allocate data of size 1.0 GiB",
        "Invalid Input Error: reading the stream registered as 'measurements' failed: Out of memory: malloc of size 9",
    ],
)
def test_a_want_of_memory_is_told_as_one_wherever_it_arose(message):
    """In DuckDB, or in what it reads from; the cure is to ask for less."""
    error = _explained(duckdb.InvalidInputException(message), "SELECT 1")
    (fault,) = error.faults
    assert fault.what.startswith("the query needs more memory than it may have: ")
    assert fault.mend.startswith("ask for fewer columns or rows")
