"""Statements at the sandbox of `minima query`: refused or harmless, nothing written, nothing read outside."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from analysis.query import sql as sandbox
from analysis.query.formats import FORMATS, as_csv, as_json, as_text
from analysis.query.sql import query
from workers.contract.errors import UserError
from workers.contract.store import Store

WORD = "abracadabra"

WRITING = """
copy trials to '{out}'
copy (select 1) to '{out}' (format parquet)
copy (select 1) to '{out}' (format csv, header)
copy trials from '{secret}'
/* a comment */ copy trials to '{out}'
-- a comment
 copy trials to '{out}'
export database '{out}'
import database '{out}'
attach '{out}' as other
attach ':memory:' as other
attach 'host=127.0.0.1' as pg (type postgres)
detach memory
use memory
install httpfs
load httpfs
force install sqlite
load '{out}'
update extensions
pragma version
pragma database_list
pragma enable_profiling
pragma disable_verification
set threads = 1
set memory_limit = '1TB'
set lock_configuration = false
set enable_external_access = true
set temp_directory = '{out}'
set variable x = 1
set home_directory = '{out}'
set profiling_output = '{out}'
set log_query_path = '{out}'
set secret_directory = '{out}'
set global threads = 2
reset lock_configuration
reset all
create table x as select 1
create temp table x (a int)
create or replace view trials as select 1
create view x as select 1
create macro f(x) as x
create function f(x) as x
create schema s
create sequence q
create type t as enum ('a')
create index i on trials (seed)
create secret s (type s3, key_id 'a', secret 'b')
create persistent secret s (type s3, key_id 'a', secret 'b')
insert into trials select * from trials
insert into trials default values
with t as (select 1) insert into trials select * from t
update trials set seed = 0
delete from trials
truncate trials
merge into trials using trials t on true when matched then delete
drop view trials
drop table if exists trials
drop schema main cascade
alter table trials add column x int
alter view trials rename to x
comment on view trials is 'x'
call pragma_version()
call duckdb_settings()
call force_checkpoint()
call enable_logging()
call enable_profiling()
checkpoint
force checkpoint
vacuum
analyze
prepare p as select 1
execute p
deallocate p
begin
begin; select 1; commit
commit
rollback
abort
explain copy trials to '{out}'
explain analyze copy trials to '{out}'
/* */ explain /* */ analyze -- x
 copy trials to '{out}'
explain (format json) copy trials to '{out}'
explain analyze create table x as select 1
explain analyze insert into trials select * from trials
explain analyze delete from trials
explain explain copy trials to '{out}'
select 1; copy trials to '{out}'
select 1; select 2
;
;;
select
selec 1
select (
select '
select /*
from
(
with t as (select 1)
\\copy trials to '{out}'
.shell touch {out}
!touch {out}
\x00
\udcff
"""

READING = """
select * from read_csv('{secret}')
select * from read_csv_auto('{secret}')
select * from read_text('{secret}')
select * from read_blob('{secret}')
select * from read_json('{secret}')
select * from read_json_auto('{secret}')
select * from read_ndjson('{secret}')
select * from read_json_objects('{secret}')
select * from read_parquet('{secret}')
select * from parquet_scan('{secret}')
select * from parquet_metadata('{secret}')
select * from parquet_schema('{secret}')
select * from parquet_file_metadata('{secret}')
select * from parquet_kv_metadata('{secret}')
select * from parquet_bloom_probe('{secret}', 'a', 1)
select * from sniff_csv('{secret}')
select * from glob('{secret}')
select * from glob('/*')
select * from '{secret}'
select * from "{secret}"
from '{secret}'
from read_text(['{secret}'])
(select * from read_text('{secret}'))
with t as (from read_text('{secret}')) from t
select (select content from read_text('{secret}'))
select * from trials, lateral (select * from read_text('{secret}'))
select * from query('from read_text(''{secret}'')')
select * from query_table('{secret}')
select * from query_table(['{secret}'])
describe select * from '{secret}'
summarize '{secret}'
show tables from '{secret}'
explain analyze select * from read_text('{secret}')
select * from read_text('{secret}') union all select * from read_text('{secret}')
select * from json_execute_serialized_sql(json_serialize_sql('from read_text(''{secret}'')'))
select getenv('MINIMA_BATTERY_WORD')
select getvariable('x')
select * from read_parquet('s3://bucket/key')
select * from read_csv('http://127.0.0.1:1/x')
select * from 'https://127.0.0.1:1/x.parquet'
select * from iceberg_scan('{secret}')
select * from delta_scan('{secret}')
select * from sqlite_scan('{secret}', 't')
select * from postgres_query('x', 'select 1')
select * from st_read('{secret}')
select * from read_xlsx('{secret}')
select * from which_secret('s3://bucket', 's3')
select * from duckdb_secrets()
select * from arrow_scan(1, 2, 3)
select * from arrow_scan_dumb(1, 2, 3)
select * from pandas_scan(1)
select * from python_map_function(1)
select * from hidden
select * from hidden_frame
select current_setting('home_directory')
select * from duckdb_settings()
select * from duckdb_databases()
select * from duckdb_temporary_files()
select * from duckdb_logs
select * from pragma_database_list()
select * from pg_catalog.pg_class
select version()
select current_user
"""

RIGHT = """
select count(*) from trials
\t select count(*) from trials
-- a comment
 select count(*) from trials
/* a comment */ select count(*) from trials
/* one /* inside */ another */ select count(*) from trials
(select count(*) from trials)
((select count(*) from trials))
with t as (select * from trials) select count(*) from t
/* a comment */ with t as (from trials) from t select count(*)
from trials select count(*)
select count(*) from trials;
select count(*) from trials -- the end
select count(*) from trials /* the end */ ;
"""

EXPLAINED = """
explain select 1
-- a comment
 explain select 1
/* a comment */ explain /* another */ analyze (select 1)
explain (select 1)
explain (format json) select 1
explain (format json) (select 1)
explain with t as (select 1) from t
"""


def statements(text: str) -> list[str]:
    """Split a table of statements: one a line, a line that begins with a space goes on."""
    return re.sub(r"\n(?= )", "\0", text).strip("\n\0").replace("\n", "\1").replace(
        "\0", "\n"
    ).split("\1")  # fmt: skip


@pytest.fixture
def store(tmp_path):
    """An empty store beside a secret."""
    (tmp_path / "secret.csv").write_text(f"word\n{WORD}\n")
    (tmp_path / "store/sweeps").mkdir(parents=True)
    return Store.open(str(tmp_path / "store"))


def listed(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def filled(statement: str, folder: Path) -> str:
    return statement.replace("{out}", str(folder / "out")).replace(
        "{secret}", str(folder / "secret.csv")
    )


@pytest.mark.parametrize("statement", statements(WRITING))
def test_what_does_more_than_read_is_refused(store, tmp_path, statement):
    """Before anything of it is done, with what, where and the cure."""
    before = listed(tmp_path)
    with pytest.raises(UserError) as caught:
        query(store, filled(statement, tmp_path))
    (fault,) = caught.value.faults
    assert fault.where == "the SQL given"
    assert fault.mend
    assert listed(tmp_path) == before


@pytest.mark.parametrize("statement", statements(READING))
def test_nothing_outside_is_read(store, tmp_path, statement, monkeypatch):
    """Neither files, the network, the environment nor variables of Python: refused, or harmless."""
    monkeypatch.setenv("MINIMA_BATTERY_WORD", WORD)
    hidden = pa.table({"word": [WORD]})
    before = listed(tmp_path)
    try:
        told = str(query(store, filled(statement, tmp_path)).to_pylist())
    except UserError as error:
        told = str(error)
    assert WORD not in told
    assert listed(tmp_path) == before
    assert hidden.num_rows == 1


@pytest.mark.parametrize("statement", statements(RIGHT))
def test_one_reading_statement_however_it_begins(store, statement):
    """With comments, spaces, parentheses or WITH."""
    assert query(store, statement).to_pylist() == [{"count_star()": 0}]


@pytest.mark.parametrize("statement", statements(EXPLAINED))
def test_what_is_explained_is_judged_as_itself(store, statement):
    """However comments and parentheses stand about it."""
    assert query(store, statement).num_rows >= 1


@pytest.mark.parametrize(
    "statement",
    [
        "select list(i) from range(1000000000) t(i)",
        "select count(distinct (i, i + 1)) from range(1000000000) t(i)",
        "select i, count(*) from range(1000000000) t(i) group by i",
        "select * from range(1000000000) order by hash(range)",
        "select * from range(1000000000)",
        "select string_agg(i::varchar, '') from range(1000000000) t(i)",
    ],
)
def test_memory_has_a_limit(store, statement, monkeypatch):
    """Of what DuckDB holds, and of the rows taken from it: an error of the user, with the cure."""
    monkeypatch.setitem(sandbox._SANDBOX, "memory_limit", "100MB")
    monkeypatch.setattr(sandbox, "_LARGEST_RESULT_BYTES", 10**8)
    with pytest.raises(
        UserError, match=r"needs more memory than it may have|larger than"
    ) as caught:
        query(store, statement)
    assert caught.value.faults[0].mend.startswith("ask for fewer columns or rows")


def start(place, *arguments, **streams):
    """Start Python on our packages in a folder with an empty store."""
    (place / "minima-store/sweeps").mkdir(parents=True)
    environment = os.environ | {"PYTHONPATH": str(Path(sandbox.__file__).parents[2])}
    return subprocess.Popen([sys.executable, *arguments], cwd=place, env=environment, **streams)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize(
    "statement",
    [
        "select repeat('a', 400000000)",
        "select repeat('a', 2000000000)",
        "select list(range) from range(20000000)",
        "select string_agg(repeat('a', 1000000), '') from range(3000)",
    ],
)
def test_a_single_value_has_a_limit_too(tmp_path, statement):
    """Of texts that functions make DuckDB keeps no account: the command itself takes below 1.5 GB."""
    asked = (sys.executable, "-m", "orchestrator", "query", statement)
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = start(tmp_path, "-c", _WITH_PEAK, *asked, stdout=out, stderr=err)
        assert process.wait(180) == 2
    told, peak = (tmp_path / "err").read_text().rsplit("\n", 1)
    assert (tmp_path / "out").read_bytes() == b""
    assert "needs more memory than it may have" in told or "too large to be written" in told
    assert "Traceback" not in told
    assert int(peak) * 1024 < 1.5e9


_WITH_PEAK = """
import resource, subprocess, sys
exit_code = subprocess.call(sys.argv[1:])
sys.stderr.write("\\n%d" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(exit_code)
"""
"""Runs a command and tells its largest resident set, which else is at least that of the process it was started from."""


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) from range(10000000) a, range(10000000) b where (a.range * b.range) = -1",
        "with recursive t(n) as (select 1 union all select n + 1 from t) select max(n) from t",
        "select sum(len(list_sort(list_transform(range(300000), lambda x: hash(x + i))))) from range(1000) t(i)",
        "select * from range(100000000000) where range < 0",
    ],
)
def test_an_interrupt_ends_any_query_within_a_second(tmp_path, statement):
    """With 3, as it ends every command."""
    process = start(
        tmp_path, "-c", START, "query", statement,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline() == "asking\n"
    time.sleep(0.3)  # DuckDB is at it
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    seconds = time.monotonic() - began
    assert (process.returncode, out, err) == (3, "", "interrupted; the same command resumes\n")
    assert seconds < 2.0  # one, and as much again for a machine that does other things


START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from analysis.query import sql
from orchestrator.machine import console
console._QUIET_SECONDS = 60.0  # a slow machine would tell that it reads the store
answer = sql._answer
def told(*arguments):
    print("asking", file=sys.stderr, flush=True)
    return answer(*arguments)
sql._answer = told
from orchestrator.cli import main
main()
"""

VALUES = {  # SQL, and what it is in a table, in CSV and in JSON
    "interval '1 year 2 months 3 days 04:05:06.7'": "1 year 2 months 3 days 04:05:06.7",
    "interval '-1 day'": "-1 day",
    "interval '0 days'": "00:00:00",
    "interval '-90 minutes'": "-01:30:00",
    "'ab\\xAA\\x00'::blob": "ab\\xAA\\x00",
    "'1b4e28ba-2fa1-11d2-883f-0016d3cca427'::uuid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    "map {'a': 1}": {"a": 1},
    "map {[1]: 2}": [[[1], 2]],
    "[interval '1 day', null]": ["1 day", None],
    "{'a': {'b': ['x'::blob]}}": {"a": {"b": ["x"]}},
    "[[1, 2], []]": [[1, 2], []],
    "date '2026-01-02'": "2026-01-02",
    "time '03:04:05'": "03:04:05",
}


@pytest.mark.parametrize("expression", VALUES)
def test_every_kind_of_value_is_readable(store, expression):
    """The same in a table, in CSV and in JSON."""
    rows, value = query(store, f"select {expression} as x"), VALUES[expression]
    assert json.loads(as_json(rows)) == [{"x": value}]
    text = value if isinstance(value, str) else json.dumps(value)
    assert as_text(rows).splitlines()[2].rstrip() == text
    ((cell,),) = list(csv.reader(io.StringIO(as_csv(rows))))[1:]
    assert cell == text or (text.startswith("-") and cell == f"'{text}")


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"parquet"}))
def test_no_value_steers_the_terminal(store, form):
    """Nor the name of a column; JSON has the value all the same."""
    evil = "\x1b[31m\x07\x9b\u202e\r"
    rows = query(store, f"select '{evil}' as \"{evil}\", ['{evil}'] as list")
    written = FORMATS[form](rows)
    assert not set(written) & set(evil.replace("[31m", ""))
    if form == "json":
        assert json.loads(written) == [{evil: evil, "list": [evil]}]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("'=1+1'", "'=1+1"), ("'+1+1'", "'+1+1"), ("'-1+1'", "'-1+1"), ("'@x'", "'@x"),
        ("'\t=1'", "'\t=1"), ("'-1.5'", "-1.5"), ("'+1e-3'", "+1e-3"), ("-1.5::double", "-1.5"),
        ("-3", "-3"), ("'-inf'::double", "-inf"), ("'a=b'", "a=b"), ("-1.50::decimal(9, 2)", "-1.5"),
    ],
)  # fmt: skip
def test_no_text_is_a_formula_and_numbers_stay_numbers(store, value, cell):
    """A text that a spreadsheet would compute has ' before it in CSV; a text that is a number has not."""
    ((found,),) = list(csv.reader(io.StringIO(as_csv(query(store, f"select {value} as x")))))[1:]
    assert found == cell
