"""Read-only SQL over the store's views, in a database that can reach nothing else.

DuckDB runs in memory with the views as Arrow datasets, of which it scans what the SQL asks for, without access to files, network, extensions
or Python variables, its configuration locked, and takes one statement that reads. What it holds, and
what it answers, has a limit; Ctrl-C ends it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import duckdb
import pyarrow as pa

from analysis.query.interruptible import interruptible, is_abandoned
from analysis.query.scanned_view import ScannedView
from workers.contract.errors import UserError, did_you_mean, user_error
from workers.contract.schema import VIEWS
from workers.contract.store import Store

_SANDBOX = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "memory_limit": "1GB",
}

_LARGEST_RESULT_BYTES = 5 * 10**8
_BATCH_ROWS = 100_000

_WHERE = "the SQL given"

_MEND = "give one statement that reads: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW or EXPLAIN"

_GAP = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"

_EXPLAIN = re.compile(
    rf"{_GAP}*explain{_GAP}+(?:analyze{_GAP}+)?(?:\({_GAP}*(?:format|analyze)\b[^()]*\))?",
    re.IGNORECASE | re.DOTALL,
)
"""Up to the statement that is explained; comments may stand wherever spaces may."""

_SMALLER = (
    "ask for fewer columns or rows, or for aggregates such as count(*) and avg(value); all of a view is "
    "best read from its Parquet files"
)

_BY_COMPUTED_NAME = {"query", "query_table"}
"""Table functions that may name a view by a computed string; with them every view is loaded."""


def query(
    store: Store,
    sql: str,
    limited: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> pa.Table:
    """Run one reading statement over the views of the store.

    Only views whose name occurs in the SQL are read from the store, and of them only columns that the
    statement needs are decoded. Times are UTC.

    Args:
        store: Where the views are.
        sql: The statement.
        limited: Makes a limit on memory in which it is answered, once the views are read: a single text
            that a function makes is in no account of DuckDB's.

    Raises:
        UserError: The SQL is not one reading statement, or DuckDB refuses it.
        StoreError: The store cannot be read.
    """
    _check_reads_only(sql)
    connection = duckdb.connect(":memory:", config=dict(_SANDBOX))
    try:
        connection.execute("set TimeZone = 'UTC'")
        for view, rows in _mentioned_views(store, sql).items():
            connection.register(view, rows)
        connection.execute("set lock_configuration = true")
        with limited():
            found = interruptible(lambda: _answer(connection, sql), connection.interrupt)
    except duckdb.Error as error:
        raise _explained(error, sql) from error
    except MemoryError as error:
        raise user_error("the query needs too much memory", where=_WHERE, mend=_SMALLER) from error
    finally:
        if not is_abandoned():  # else closing would wait for what cannot be interrupted
            connection.close()
    return _with_distinct_names(found)


def _answer(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """Take the rows batch by batch, as what was taken is not in DuckDB's account of memory.

    Raises:
        UserError: They are too many.
    """
    reader: pa.RecordBatchReader = connection.sql(sql).to_arrow_reader(_BATCH_ROWS)
    batches, num_bytes = [], 0
    while (batch := _next_batch(reader)) is not None:
        batches.append(batch)
        num_bytes += batch.nbytes
        if num_bytes > _LARGEST_RESULT_BYTES:
            what = f"the result is larger than {_LARGEST_RESULT_BYTES / 1e6:,.0f} MB"
            raise user_error(what, where=_WHERE, mend=_SMALLER)
    return pa.Table.from_batches(batches, reader.schema)


def _next_batch(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    """Return the next rows, None behind the last.

    Raises:
        duckdb.Error: They cannot be had, which Arrow would tell as an OSError.
    """
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
    except OSError as error:
        raise duckdb.Error(str(error)) from error


def _mentioned_views(store: Store, sql: str) -> dict[str, ScannedView | pa.Table]:
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    is_computed = not words.isdisjoint(_BY_COMPUTED_NAME)
    return {
        view: ScannedView(store.rows(view))
        if is_computed or view in words
        else schema.empty_table()
        for view, schema in VIEWS.items()
    }


def _check_reads_only(sql: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in sql):
        raise user_error("the query is not UTF-8", where=_WHERE, mend=_MEND)
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise _explained(error, sql) from error
    if len(statements) != 1:
        raise user_error(f"{len(statements)} statements in one query", where=_WHERE, mend=_MEND)
    kind = _kind_of(statements[0])
    if kind == duckdb.StatementType.EXPLAIN and (head := _EXPLAIN.match(sql)):
        _check_reads_only(sql[head.end() :])
    elif kind is None:
        raise user_error("a query may not do that", where=_WHERE, mend=_MEND)
    elif kind.name == "MULTI" and re.search(r"\bpivot", sql, re.IGNORECASE):
        raise user_error(
            "PIVOT without an IN list is not supported",
            where=_WHERE,
            mend="list the values: PIVOT … ON column IN (value, …) USING …",
        )
    elif kind != duckdb.StatementType.SELECT:
        raise user_error(f"a query may not {kind.name}", where=_WHERE, mend=_MEND)


def _kind_of(statement: duckdb.Statement) -> duckdb.StatementType | None:
    """Ask DuckDB for the kind of a statement; None for one that its own list does not name."""
    try:
        return statement.type
    except ValueError:
        return None


def _explained(error: duckdb.Error, sql: str) -> UserError:
    message = str(error).strip() or type(error).__name__
    first = message.splitlines()[0]
    # the second of a view's reader
    is_short = first.startswith("Out of Memory") or "failed: Out of memory" in first
    if isinstance(error, duckdb.OutOfMemoryException) or is_short:
        message, mend = f"the query needs more memory than it may have: {first}", _SMALLER
    elif isinstance(error, duckdb.PermissionException):
        mend = f"a query sees the views alone: {', '.join(sorted(VIEWS))}"
    elif table := re.search(r'Table with name "?([^"\s]+)"? does not exist', first):
        mend = did_you_mean(table.group(1), VIEWS)
    elif column := re.search(r'column(?: named)? "([^"]+)"', first):
        mend = did_you_mean(column.group(1), _columns_in_reach(sql))
    elif isinstance(error, duckdb.ParserException):
        mend = _MEND
    else:
        mend = f"see the message of DuckDB; views: {', '.join(sorted(VIEWS))}"
    return user_error(_located(message), where=_WHERE, mend=mend)


def _columns_in_reach(sql: str) -> set[str]:
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    views = [view for view in VIEWS if view in words] or list(VIEWS)
    return {name for view in views for name in VIEWS[view].names}


def _located(message: str) -> str:
    """Return the first line of DuckDB's message and the line it points at."""
    lines = message.splitlines()
    pointed = next((line for line in lines if line.startswith("LINE ")), None)
    return lines[0] if pointed is None else f"{lines[0]} ({pointed})"


def _with_distinct_names(table: pa.Table) -> pa.Table:
    """Number the columns of one name from the second on, by numbers that no other column's name has."""
    taken, names = set(table.schema.names), list[str]()
    for name in table.schema.names:
        numbered = (f"{name}_{number}" for number in itertools.count(1))
        names.append(name if name not in names else next(n for n in numbered if n not in taken))
        taken.add(names[-1])
    return table.rename_columns(names)
