"""SQL that a model wrote is executed on one table and can do nothing else, and what it came to is looked at."""

from __future__ import annotations

import doctest
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from upcycle.errors import ConfigError
from upcycle.methods.source2synth import sql_checks, sql_worker
from upcycle.methods.source2synth.sql import Refused, Result, Sql
from upcycle.methods.source2synth.sql_checks import canonical, leaks, rejection, statement_in
from upcycle.sources.tables.table import Column, Table, make_table

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from hostile_sql import Hostile, hostile_statements

SECONDS = 0.4


def table(rows: int = 40) -> Table:
    found = make_table("t", ["a", "b", "c"], [[n, f"name {n} aaaa", n / 2] for n in range(rows)])
    assert isinstance(found, Table)
    return found


def cities() -> Table:
    rows = [
        ["Oslo", "Norway", 700],
        ["Rome", "Italy", 2800],
        ["Milan", "Italy", 1300],
        ["Bern", "Swiss", 134],
        ["X", "-", "-"],
    ]
    found = make_table("c", ["city", "country", "people"], rows)
    assert isinstance(found, Table)
    return found


@pytest.fixture(scope="module")
def sql() -> Iterator[Sql]:
    with Sql(seconds=SECONDS) as opened:
        yield opened


def result(sql: Sql, statement: str, asked: Table | None = None) -> Result:
    (outcome,) = sql.run(asked or cities(), [statement])
    assert isinstance(outcome, Result), outcome
    return outcome


def refused(sql: Sql, statement: str) -> Refused:
    (outcome,) = sql.run(table(), [statement])
    assert isinstance(outcome, Refused), outcome
    return outcome


# -- what is executed --------------------------------------------------------------------------------------------------


def test_a_statement_comes_to_its_rows_and_says_what_it_read(sql: Sql):
    found = result(sql, "SELECT city, people FROM t WHERE people > 1000 ORDER BY people DESC")
    assert found.names == ("city", "people")
    assert found.rows == (("Rome", 2800), ("Milan", 1300))
    assert found.read == ("city", "people")


def test_outcomes_come_in_the_order_of_the_statements(sql: Sql):
    outcomes = sql.run(cities(), ["SELECT 1 FROM t LIMIT 1", "nonsense", "SELECT count(*) FROM t", "DROP TABLE t"])
    kinds = [one.kind if isinstance(one, Refused) else one.rows for one in outcomes]
    assert kinds == [((1,),), "refused", ((5,),), "refused"]


@pytest.mark.parametrize(
    "statement",
    [
        "WITH x AS (SELECT * FROM t WHERE people > 500) SELECT count(*) FROM x AS one, x AS two",
        "SELECT upper(city) FROM t GROUP BY country HAVING sum(people) > 5 ORDER BY 1 LIMIT 2",
        "SELECT city FROM t WHERE people = (SELECT max(people) FROM t)",
        "SELECT city, rank() OVER (ORDER BY people) FROM t WHERE city LIKE '%o%'",
        "select round(avg(people), 2) from t where country in ('Italy', 'Norway') -- two of them",
    ],
)
def test_what_questions_are_made_of_is_allowed(sql: Sql, statement: str):
    assert result(sql, statement).rows


def test_an_answer_that_hangs_on_the_order_of_rows_is_known_as_such(sql: Sql):
    assert result(sql, "SELECT city FROM t LIMIT 1").unsettled
    assert result(sql, "SELECT city FROM t WHERE country = 'Italy' ORDER BY country LIMIT 1").unsettled
    assert not result(sql, "SELECT city FROM t ORDER BY people DESC LIMIT 1").unsettled
    assert not result(sql, "SELECT city FROM t UNION SELECT country FROM t ORDER BY 1 LIMIT 2").unsettled
    assert not result(sql, "SELECT city FROM t").unsettled
    assert not result(sql, "SELECT sum(c * 0.1) FROM t", table()).unsettled


@pytest.mark.parametrize("statement", [
    "SELECT a FROM t GROUP BY a ORDER BY COUNT(*) DESC LIMIT 1",
    "SELECT a FROM t GROUP BY a ORDER BY COUNT(*) DESC, SUM(b) LIMIT 1",
    "SELECT b FROM t WHERE a = (SELECT a FROM t GROUP BY a ORDER BY COUNT(*) DESC LIMIT 1) LIMIT 1",
    "SELECT a FROM t GROUP BY a LIMIT 1",
    "SELECT a FROM (SELECT a, COUNT(*) AS n FROM t GROUP BY a) ORDER BY n DESC LIMIT 1 OFFSET 0",
])  # fmt: skip
def test_groups_that_tie_before_a_limit_are_no_answer(sql: Sql, statement: str):
    columns = (Column("a", "a", "text"), Column("b", "b", "integer"))
    ties = (("x", 1), ("x", 2), ("y", 1), ("y", 2), ("z", 7))
    clear = (*ties, ("y", 3))
    assert result(sql, statement, Table("t", "", columns, ties, "s", "ties")).unsettled
    if "LIMIT 1)" not in statement and "COUNT" in statement:
        assert not result(sql, statement, Table("t", "", columns, clear, "s", "clear")).unsettled


@pytest.mark.parametrize("end", ["LIMIT 1 OFFSET 1", "LIMIT 1, 1", "limit 1 offset 1;"])
def test_what_ties_behind_an_offset_is_no_answer(sql: Sql, end: str):
    columns = (Column("a", "a", "text"), Column("b", "b", "integer"))
    ties = (("y", 1), ("x", 1), ("z", 1), ("w", 0))  # the second of the three is "y" upwards and downwards
    clear = (("y", 3), ("x", 2), ("z", 1), ("w", 0))
    statement = f"SELECT a FROM t ORDER BY b DESC {end}"
    assert result(sql, statement, Table("t", "", columns, ties, "s", "three tie")).unsettled
    found = result(sql, statement, Table("t", "", columns, clear, "s", "none tie"))
    assert (found.rows, found.unsettled) == ((("x",),), False)


def test_what_ties_behind_an_offset_inside_a_statement_is_no_answer(sql: Sql):
    columns = (Column("a", "a", "text"), Column("b", "b", "integer"))
    statement = "SELECT b FROM t WHERE a = (SELECT a FROM t ORDER BY b LIMIT 1 OFFSET 1)"
    ties = (("x", 1), ("y", 2), ("z", 2), ("w", 3))
    assert result(sql, f"{statement} LIMIT 1", Table("t", "", columns, ties, "s", "tie of one value")).rows == ((2,),)
    named = statement.replace("SELECT b", "SELECT a", 1)
    assert result(sql, named, Table("t", "", columns, ties, "s", "tie of two names")).unsettled


def test_a_table_of_many_thousand_rows_is_asked(sql: Sql):
    assert result(sql, "SELECT count(*), sum(a) FROM t", table(50_000)).rows == ((50_000, 1_249_975_000),)


def test_a_worker_asked_of_many_tables_knows_them_apart(sql: Sql):
    many = [table(rows) for rows in range(2, 30)]
    for _ in range(2):
        assert [result(sql, "SELECT count(*) FROM t", one).rows[0][0] for one in many] == list(range(2, 30))


# -- what is not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "kind", "reason"),
    [
        ("SELEC a FROM t", "refused", "it is not a SELECT"),
        ("SELECT missing FROM t", "invalid", "no such column: missing"),
        ("SELECT a FROM t; SELECT b FROM t", "refused", "it is more than one statement"),
        ("SELECT * FROM sqlite_master", "refused", "it does more than SELECT from t"),
        ("SELECT randomblob(10) FROM t", "refused", "not authorized to use function: randomblob"),
        ("SELECT x.a FROM t x, t y, t z", "too-big", "more than 1,000 rows"),
        ("SELECT x'00' FROM t", "too-big", "neither text nor a finite number"),
        ("SELECT '" + "x" * 9000 + "' FROM t", "invalid", "longer than 8,000 characters"),
        ("SELECT count(*) FROM t a, t b, t c, t d, t e, t f, t g", "out-of-time", f"longer than {SECONDS:g} s"),
    ],
)
def test_a_refusal_has_its_kind_and_its_reason(sql: Sql, statement: str, kind: str, reason: str):
    found = refused(sql, statement)
    assert found.kind == kind
    assert reason in found.reason


def all_hostile() -> list[Hostile]:
    return hostile_statements(Path("/tmp/upcycle-hostile"))


def one_of_each() -> list[Hostile]:
    return list({one.family: one for one in reversed(all_hostile())}.values())


@pytest.mark.parametrize("one", one_of_each(), ids=lambda one: one.family)
def test_a_hostile_statement_of_each_family_is_refused_and_changes_nothing(sql: Sql, one: Hostile):
    before = result(sql, "SELECT count(*), sum(a), max(b) FROM t", table())
    assert refused(sql, one.sql)
    assert result(sql, "SELECT count(*), sum(a), max(b) FROM t", table()) == before


@pytest.mark.slow
def test_five_hundred_hostile_statements_get_nothing_done(tmp_path: Path):
    (tmp_path / "victim.db").write_bytes(b"")
    (tmp_path / "secret.txt").write_text("secret")
    tried = hostile_statements(tmp_path)
    assert len(tried) == 500
    with Sql(seconds=0.1) as sql:
        outcomes = sql.run(table(), [one.sql for one in tried])
    with Sql() as calm:
        assert result(calm, "SELECT count(*), sum(a) FROM t", table()).rows == ((40, 780),)
    assert [one.sql[:80] for one, outcome in zip(tried, outcomes, strict=True) if isinstance(outcome, Result)] == []
    assert not any("secret" in outcome.reason for outcome in outcomes if isinstance(outcome, Refused))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["secret.txt", "victim.db"]
    assert (tmp_path / "victim.db").read_bytes() == b""
    assert not Path("/tmp/upcycle-hostile.db").exists()


def test_a_worker_that_is_killed_costs_no_statement_its_result():
    with Sql() as sql:
        result(sql, "SELECT 1 FROM t LIMIT 1")
        for _ in range(3):
            os.kill(worker_of(sql), signal.SIGSEGV)
            assert result(sql, "SELECT count(*) FROM t").rows == ((5,),)


def test_nothing_is_left_running_when_it_is_closed():
    with Sql(workers=2) as sql:
        result(sql, "SELECT count(*) FROM t")
        pid = worker_of(sql)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ConfigError, match="closed"):
        sql.run(cities(), ["SELECT 1"])


def test_it_closes_while_answers_lie_unread_as_after_ctrl_c():
    sql = Sql(workers=1)
    result(sql, "SELECT count(*) FROM t")
    worker = sql._all[0]._process
    assert worker is not None
    assert worker.stdin is not None
    assert worker.stdout is not None
    asked = {"table": cities().revision, "statements": ["SELECT count(*) FROM t"], "careful": True}
    worker.stdin.write(json.dumps(asked).encode() + b"\n")
    worker.stdin.flush()
    select.select([worker.stdout], [], [])
    closing = threading.Thread(target=sql.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()


async def test_statements_run_beside_the_event_loop():
    import asyncio

    with Sql(workers=2) as sql:
        many = [sql.arun(table(rows), ["SELECT count(*) FROM t"] * 20) for rows in (3, 5, 7, 9)]
        found = await asyncio.gather(*many)
    assert [{one.rows for one in outcomes if isinstance(one, Result)} for outcomes in found] == [
        {((rows,),)} for rows in (3, 5, 7, 9)
    ]


def worker_of(sql: Sql) -> int:
    return next(one._process.pid for one in sql._all if one._process is not None)


# -- what a result is worth --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT city FROM t WHERE people > 9999", sql_checks.EMPTY),
        ("SELECT max(people) FROM t WHERE people > 9999", sql_checks.NULLS),
        ("SELECT people FROM t WHERE city = 'X'", sql_checks.NULLS),
        ("SELECT 5 FROM t LIMIT 1", sql_checks.CONSTANT),
        ("SELECT 'yes' FROM t WHERE 1 = 1 LIMIT 1", sql_checks.CONSTANT),
        ("SELECT city FROM t", sql_checks.WHOLE),
        ("SELECT * FROM t WHERE city <> ''", sql_checks.NULLS),
        ("SELECT city FROM t ORDER BY country LIMIT 1 OFFSET 2", sql_checks.UNSETTLED),
        ("SELECT country FROM t WHERE country = 'Norway'", sql_checks.TELLS),
        ("SELECT people FROM t WHERE people = 134", sql_checks.TELLS),
        ("SELECT sum(country) FROM t", sql_checks.WORDS),
        ("SELECT max(city) FROM t", sql_checks.WORDS),
        ("SELECT city FROM t WHERE country > 5 AND people = 134", sql_checks.WORDS),
        ("SELECT city FROM t ORDER BY city LIMIT 1", sql_checks.WORDS),
        ("SELECT count(*) FROM t WHERE country = 'Italy'", None),
        ("SELECT count(*) FROM t", None),
        ("SELECT city FROM t WHERE city IN ('Rome', 'Oslo') ORDER BY people LIMIT 1", None),
        ("SELECT max(people) FROM t WHERE country = 'Italy'", None),
        ("SELECT city FROM t WHERE country = 'Italy'", None),
    ],
)
def test_a_result_nobody_would_ask_for_is_rejected_with_a_reason(sql: Sql, statement: str, reason: str | None):
    assert rejection(cities(), statement, result(sql, statement)) == reason


def test_a_result_longer_than_an_answer_is_rejected(sql: Sql):
    statement = "SELECT b FROM t WHERE a < 30"
    assert rejection(table(), statement, result(sql, statement, table())) == sql_checks.LONG


def test_a_question_may_name_what_to_choose_among_and_not_the_answer():
    chosen = "SELECT city FROM t WHERE city IN ('Rome', 'Oslo') ORDER BY people LIMIT 1"
    assert not leaks(chosen, "Rome", "Which is smaller, Rome or Oslo?")
    assert leaks("SELECT city FROM t WHERE people = 2800", "Rome", "What has 2800 people in Rome?")
    assert not leaks("SELECT city FROM t WHERE people = 2800", "Rome", "Which has Romeo?")


def test_statements_that_differ_in_dress_only_are_the_same():
    assert canonical('SELECT "a" FROM t -- x') == canonical("select a\nfrom T;")
    assert canonical("SELECT a FROM t WHERE b = 'X'") != canonical("SELECT a FROM t WHERE b = 'x'")


@pytest.mark.parametrize(
    ("reply", "statement"),
    [
        ("```sql\nSELECT a FROM t;\n```", "SELECT a FROM t"),
        ("Here it is:\n\nSELECT a\nFROM t\nWHERE b = 1\n\nThis counts.", "SELECT a\nFROM t\nWHERE b = 1"),
        ("SQL: with x as (select 1 from t) select * from x", "with x as (select 1 from t) select * from x"),
        ("SELECT a FROM t\nAnswer: 5", "SELECT a FROM t"),
        ("SELECT a FROM t WHERE b = 'x; y' -- so; it is", "SELECT a FROM t WHERE b = 'x; y' -- so"),
        ("SELECT a FROM t WHERE b = 'it is open; SELECT", "SELECT a FROM t WHERE b = 'it is open"),
        ("I would select the best player and count the wins.", None),
        ("Select a good city and be happy.", None),
        ("The table shows cities.", None),
        ("", None),
    ],
)
def test_a_query_is_found_in_a_reply_and_prose_is_none(reply: str, statement: str | None):
    assert statement_in(reply) == statement


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(sql_checks).failed == 0
    assert doctest.testmod(sql_worker).failed == 0
