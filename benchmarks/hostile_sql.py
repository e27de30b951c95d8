"""Five hundred statements that want something else than an answer from a table: what the benchmark and the tests try.

`hostile_statements(folder)` gives (family, statement) pairs over a table `t` with columns a (integer), b (text) and c
(real); `folder` holds the files they reach for. Each family is one idea in as many disguises as it takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

WANTED = 500


class Hostile(NamedTuple):
    """One statement; `slow` ones run until something ends them."""

    family: str
    sql: str
    slow: bool = False


def hostile_statements(folder: Path) -> list[Hostile]:
    """The statements, all different, a fixed list for a folder."""
    found = list(dict.fromkeys(_all(folder)))
    assert len({one.sql for one in found}) == len(found)
    assert len(found) >= WANTED, len(found)
    return found[:WANTED]


def _all(folder: Path) -> Iterator[Hostile]:
    # In turns, so that the first five hundred hold every family.
    families = [_files(folder), _pragmas(), _writes(), _functions(folder), _catalog(), _control(), _stacked(folder)]
    heavy = [_recursion(), _products(), _blobs(), _patterns(), _deep(), _doubling(), _sorts(), _disguised(folder)]
    for row in itertools.zip_longest(*families, *heavy):
        yield from (one for one in row if one is not None)


def _files(folder: Path) -> Iterator[Hostile]:
    paths = [folder / "victim.db", folder / "new.db", Path("/etc/passwd"), Path("/tmp/upcycle-hostile.db")]
    for path, form in itertools.product(
        paths,
        (
            "ATTACH '{}' AS x", "attach database '{}' as y", "ATTACH DATABASE 'file:{}?mode=rwc' AS z",
            "/* a question */ ATTACH '{}' AS x", "-- select\nATTACH '{}' AS x", "VACUUM INTO '{}'",
            "VACUUM main INTO '{}'", "ATTACH ('{}') AS x KEY 'k'",
        ),
    ):  # fmt: skip
        yield Hostile("files", form.format(path))
    for text in ("ATTACH ':memory:' AS x", "ATTACH '' AS x", "DETACH main", "DETACH DATABASE temp", "VACUUM"):
        yield Hostile("files", text)


def _pragmas() -> Iterator[Hostile]:
    settings = {
        "writable_schema": 1, "query_only": 0, "trusted_schema": 1, "journal_mode": "wal", "user_version": 7,
        "temp_store_directory": "'/tmp'", "hard_heap_limit": 0, "soft_heap_limit": 0, "recursive_triggers": 1,
        "mmap_size": 1 << 30, "threads": 8, "page_size": 65536, "cache_size": -1000000, "secure_delete": 0,
    }  # fmt: skip
    for name, value in settings.items():
        yield Hostile("pragma", f"PRAGMA {name} = {value}")
        yield Hostile("pragma", f"pragma main.{name}({value})")
    for name in ("table_info", "index_list", "database_list", "compile_options", "function_list", "module_list"):
        yield Hostile("pragma", f"PRAGMA {name}(t)")
        yield Hostile("pragma", f"SELECT * FROM pragma_{name}")
        yield Hostile("pragma", f"SELECT count(*) FROM t, pragma_{name} p")


def _writes() -> Iterator[Hostile]:
    for text in (
        "INSERT INTO t VALUES (1, 'x', 2.0)", "INSERT INTO t SELECT * FROM t", "REPLACE INTO t VALUES (1, 'x', 2.0)",
        "INSERT OR REPLACE INTO t DEFAULT VALUES", "UPDATE t SET a = 0", "UPDATE OR IGNORE t SET b = NULL WHERE a > 1",
        "DELETE FROM t", "DELETE FROM t WHERE a = 1 RETURNING *", "UPDATE t SET a = 5 RETURNING a",
        "INSERT INTO t VALUES (9, 'y', 1) RETURNING b", "DROP TABLE t", "DROP TABLE IF EXISTS t",
        "ALTER TABLE t RENAME TO u", "ALTER TABLE t ADD COLUMN d", "ALTER TABLE t DROP COLUMN b",
        "ALTER TABLE t RENAME COLUMN a TO z", "CREATE TABLE u (x)", "CREATE TABLE u AS SELECT * FROM t",
        "CREATE TEMP TABLE u AS SELECT * FROM t, t", "CREATE VIEW v AS SELECT * FROM t", "CREATE INDEX i ON t (a)",
        "CREATE UNIQUE INDEX IF NOT EXISTS i ON t (a, b)", "CREATE TEMP VIEW v AS SELECT 1", "REINDEX", "ANALYZE",
        "ANALYZE t", "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t; END",
        "CREATE TEMP TRIGGER r BEFORE UPDATE ON t BEGIN SELECT 1; END", "CREATE VIRTUAL TABLE f USING fts5(x)",
        "CREATE VIRTUAL TABLE f USING fts4(x)", "CREATE VIRTUAL TABLE r USING rtree(i, a, b)",
        "CREATE VIRTUAL TABLE d USING dbstat", "INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)",
        "UPDATE sqlite_master SET sql = 'x'", "DELETE FROM sqlite_schema",
    ):  # fmt: skip
        yield Hostile("write", text)
    for prefix, text in itertools.product(
        ("WITH x AS (SELECT 1)", "WITH x AS (SELECT a FROM t)", "with q(n) as (select 2)", "/**/WITH x AS (VALUES (1))",
        ),
        ("INSERT INTO t SELECT *, 1, 1 FROM {x}", "DELETE FROM t WHERE a IN (SELECT * FROM {x})",
         "UPDATE t SET a = (SELECT * FROM {x} LIMIT 1)", "REPLACE INTO t SELECT *, '', 0 FROM {x}"),
    ):  # fmt: skip
        yield Hostile("write", f"{prefix} {text}".replace("{x}", "q" if "q(n)" in prefix else "x"))


def _functions(folder: Path) -> Iterator[Hostile]:
    secret = folder / "secret.txt"
    for call in (
        "load_extension('evil')", "load_extension('/tmp/evil.so', 'init')", f"readfile('{secret}')",
        f"writefile('{folder / 'written.txt'}', 'x')", f"edit('x', 'touch {folder / 'edited'}')",
        "fts3_tokenizer('simple')", "fts3_tokenizer('simple', x'4141414141414141')", "random()", "randomblob(8)",
        "zeroblob(100)", "sqlite_version()", "sqlite_source_id()", "sqlite_compileoption_get(0)",
        "last_insert_rowid()", "changes()", "total_changes()", "date('now')", "datetime()", "julianday('now')",
        "strftime('%s', 'now')", "unixepoch()", "time('now', 'localtime')", "current_timestamp", "current_date",
        "rtreecheck('t')", "fts5(x'00')", "printf('%s', b)", "format('%d', a)", "char(65, 66)", "hex(b)", "quote(b)",
        "unicode(b)", "soundex(b)", "json(b)", "json_object('a', b)", "json_group_array(b)", "sqlite_log(1, 'x')",
        "getenv('HOME')", "system('id')", "eval('select 1')", "lo_import('/etc/passwd')", "pg_sleep(10)", "sleep(10)",
        "shell('id')", "xp_cmdshell('dir')", "benchmark(1000000000, 1)", "glob('*', b)", "instr(b, 'x')",
        "replace(b, 'a', 'aaaa')", "match(b, 'x')", "bm25(t)", "highlight(t, 0, 'x', 'y')", "likelihood(a, 0.5)",
    ):  # fmt: skip
        yield Hostile("function", f"SELECT {call} FROM t")
        yield Hostile("function", f"SELECT b FROM t WHERE {call} IS NOT NULL ORDER BY a LIMIT 1")


def _catalog() -> Iterator[Hostile]:
    for name in (
        "sqlite_master", "sqlite_schema", "sqlite_temp_master", "main.sqlite_master", "sqlite_temp_schema",
        "sqlite_sequence", "sqlite_stat1", "dbstat", "sqlite_stmt", "sqlite_dbpage", "json_each('[1]')",
        "json_tree('{}')", "generate_series(1, 1000000000)", "fsdir('/')", "temp.t2", "other",
    ):  # fmt: skip
        yield Hostile("catalog", f"SELECT * FROM {name}")
        yield Hostile("catalog", f"SELECT a FROM t WHERE a IN (SELECT 1 FROM {name})")
        yield Hostile("catalog", f"SELECT a FROM t UNION SELECT 1 FROM {name}")
    for column in ("rowid", "oid", "_rowid_", "t.rowid"):
        yield Hostile("catalog", f"SELECT {column} FROM t")


def _control() -> Iterator[Hostile]:
    for text in (
        "BEGIN", "BEGIN EXCLUSIVE", "COMMIT", "ROLLBACK", "END", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s",
        "EXPLAIN SELECT * FROM t", "EXPLAIN QUERY PLAN SELECT * FROM t", "explain delete from t", ".shell id",
        ".read /etc/passwd", ".load evil", "\\copy t to 'x'", "COPY t TO '/tmp/x'",
        "SELECT * INTO OUTFILE '/tmp/x' FROM t",
        "CALL system('id')", "EXEC xp_cmdshell 'id'", "SET x = 1", "SHOW TABLES", "GRANT ALL ON t TO me", "USE other",
        "SELECT", "", ";", "--", "/*", "'", '"', "SELECT '", "SELECT \0 FROM t", "\0", "SELECT a FROM t WHERE b = '\0'",
        "SELECT \ud800 FROM t", "SELECT ? FROM t", "SELECT :x FROM t", "SELECT @x", "SELECT $x FROM t",
        "SELECT x'00ff'", "SELECT CAST(b AS BLOB) FROM t", "SELECT 9e999 FROM t", "SELECT -9e999",
        "SELECT abs(-9223372036854775808)",
    ):  # fmt: skip
        yield Hostile("control", text)


def _stacked(folder: Path) -> Iterator[Hostile]:
    firsts = ("SELECT a FROM t", "select count(*) from t", "WITH x AS (SELECT 1) SELECT * FROM x")
    seconds = (
        "DROP TABLE t", "DELETE FROM t", f"ATTACH '{folder / 'new.db'}' AS x", "PRAGMA query_only = 0",
        "SELECT load_extension('x')", "INSERT INTO t VALUES (1, 'x', 1)", "SELECT 1",
    )  # fmt: skip
    for first, second, between in itertools.product(firsts, seconds, ("; ", ";;\n", " ; /* */ ")):
        yield Hostile("stacked", f"{first}{between}{second}")


def _recursion() -> Iterator[Hostile]:
    rest = "FROM r) SELECT"
    for step, union, ask in itertools.product(
        ("n + 1", "n * 2", "n"),
        ("UNION ALL", "UNION"),
        ("count(*)", "max(n)", "sum(n)", "n", "group_concat(n)"),
    ):
        yield Hostile("recursion", f"WITH RECURSIVE r(n) AS (SELECT 1 {union} SELECT {step} {rest} {ask} FROM r")
    yield Hostile("recursion", "WITH r(x) AS (VALUES ('a') UNION ALL SELECT x || x FROM r) SELECT length(x) FROM r")
    yield Hostile("recursion", "WITH RECURSIVE r(n) AS (SELECT a FROM t UNION ALL SELECT 1 FROM r, t) SELECT n FROM r")
    yield Hostile("recursion", "SELECT * FROM (WITH r AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT * FROM r)")


def _products() -> Iterator[Hostile]:
    for count in (8, 12, 20, 40, 60, 64, 65, 200):
        joined = ", ".join(f"t t{number}" for number in range(count))
        for ask in ("count(*)", "sum(t0.a * t1.a)", "*"):
            yield Hostile("product", f"SELECT {ask} FROM {joined}", slow=True)
    for word in ("CROSS JOIN", "JOIN", "LEFT JOIN"):
        joined = f" {word} ".join(f"t t{number}" for number in range(10))
        yield Hostile("product", f"SELECT max(t0.b || t1.b) FROM {joined} WHERE t3.a + t4.a > -1", slow=True)
    inner = "SELECT count(*) FROM t"
    for depth in range(7, 11):
        for _ in range(depth):
            inner = f"SELECT count(*) FROM t x{depth} WHERE ({inner} WHERE a <> x{depth}.a) >= 0"
        yield Hostile("product", inner, slow=True)


def _blobs() -> Iterator[Hostile]:
    for size in (10**5, 10**7, 10**9, 2**31 - 1, 2**63 - 1):
        for call in (
            "zeroblob({})",
            "randomblob({})",
            "hex(zeroblob({}))",
            "printf('%*d', {}, 1)",
            "printf('%.{}c', 'x')",
        ):
            yield Hostile("blob", f"SELECT {call.format(size)}")
    for times in (6, 12, 20):
        text = "b"
        for _ in range(times):
            text = f"({text} || {text})"
        yield Hostile("blob", f"SELECT max({text}) FROM t" if times > 6 else f"SELECT {text} || randomblob(9) FROM t")
    grown = "(SELECT 'xxxxxxxxxxxxxxxx' AS s)"
    for _ in range(12):
        grown = f"(SELECT s || s || s || s AS s FROM {grown})"
    yield Hostile("blob", f"SELECT s FROM {grown}")
    yield Hostile("blob", f"SELECT length(s) FROM {grown}")
    yield Hostile("blob", "SELECT group_concat(x.b || y.b || z.b) FROM t x, t y, t z, t u, t v", slow=True)
    yield Hostile("blob", "SELECT count(*) FROM t, (SELECT randomblob(1000000) FROM t x, t y, t z)")


def _patterns() -> Iterator[Hostile]:
    long = "(SELECT group_concat(x.b || y.b || z.b, '') FROM t x, t y, t z)"
    for count in (8, 16, 30, 60):
        pattern, longer = "%a" * count + "%zz", "x.b || y.b || z.b NOT LIKE"
        yield Hostile(
            "pattern",
            f"SELECT count(*) FROM t x, t y, t z, t u, t v WHERE {longer} '{pattern}'",
            slow=True,
        )
        yield Hostile("pattern", f"SELECT {long} || {long} LIKE '{pattern}' || hex('a') FROM t")
        yield Hostile("pattern", f"SELECT glob('{'*a' * count}', {long})")
        yield Hostile("pattern", f"SELECT instr({long}, '{'a' * count}b')")
        yield Hostile("pattern", f"SELECT replace({long}, 'a', '{'b' * count}')")
        yield Hostile("pattern", f"SELECT count(*) FROM t WHERE b LIKE '{'%_' * (60 * count)}'")
    yield Hostile("pattern", "SELECT b FROM t WHERE b REGEXP '(a+)+$'")
    yield Hostile("pattern", "SELECT b FROM t WHERE b MATCH 'x'")


def _deep() -> Iterator[Hostile]:
    for depth in (200, 1000, 3900):
        yield Hostile("deep", "SELECT " + "(" * depth + "a" + ")" * depth + " FROM t, u")
        yield Hostile("deep", "SELECT " + "NOT " * depth + "a FROM t WHERE a IN u")
        yield Hostile("deep", "SELECT " + "-~" * depth + "a FROM t")
        yield Hostile("deep", "SELECT a" + " + 1" * depth + " FROM t")
        yield Hostile("deep", "SELECT a FROM t WHERE a = 1" + " OR a = 2" * depth)
        yield Hostile("deep", "SELECT 1" + " UNION ALL SELECT 1" * depth)
        yield Hostile("deep", "SELECT " + ", ".join(["a"] * depth * 3) + " FROM t")
        yield Hostile("deep", "SELECT " + "CASE WHEN a THEN " * depth + "1" + " END" * depth + " FROM t")
        yield Hostile("deep", "SELECT * FROM " + "(SELECT * FROM " * depth + "t" + ")" * depth)
        yield Hostile("deep", "SELECT a FROM t WHERE a IN (" + ", ".join(map(str, range(depth * 3))) + ", x)")
        yield Hostile("deep", "SELECT coalesce(" + ", ".join(["a"] * depth) + ") FROM t")
    yield Hostile("deep", "SELECT '" + "x" * 2_000_000 + "'")
    yield Hostile("deep", "SELECT a FROM t --" + "x" * 1_000_000)
    yield Hostile("deep", "SELECT " + "1, " * 400_000 + "1")


def _doubling() -> Iterator[Hostile]:
    for depth in (16, 18, 20, 22, 26, 30, 40):
        for form in ("SELECT x.a FROM {0} x, {0} y", "SELECT a FROM {0} UNION ALL SELECT a FROM {0}"):
            names = ["t", *(f"w{number}" for number in range(depth))]
            parts = [f"{new} AS ({form.format(old)})" for old, new in itertools.pairwise(names)]
            yield Hostile("doubling", f"WITH {', '.join(parts)} SELECT count(*) FROM {names[-1]}", slow=True)
            parts = [f"{new} AS MATERIALIZED ({form.format(old)})" for old, new in itertools.pairwise(names)]
            yield Hostile("doubling", f"WITH {', '.join(parts)} SELECT count(*) FROM {names[-1]}", slow=True)


def _sorts() -> Iterator[Hostile]:
    joined = "t x, t y, t z, t u, t v, t w"
    for text in (
        f"SELECT x.b || y.b || z.b || u.b AS s FROM {joined} ORDER BY s DESC LIMIT 1",
        f"SELECT DISTINCT x.b || y.b || z.b || u.b || v.b || w.b FROM {joined}",
        f"SELECT count(DISTINCT x.b || y.b || z.b || u.b || v.b || w.b) FROM {joined}",
        f"SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY x.b || w.b) AS n FROM {joined})",
        f"SELECT sum(s) FROM (SELECT sum(x.a) OVER (PARTITION BY y.b ORDER BY z.b) AS s FROM {joined})",
        f"SELECT count(*) FROM (SELECT 1 FROM {joined} GROUP BY x.b || y.b, z.b || u.b, v.b || w.b)",
        f"SELECT x.a FROM {joined} LIMIT 1000000000",
        f"SELECT group_concat(x.b || y.b) FROM {joined}",
        f"SELECT x.b, y.b, z.b FROM {joined} UNION SELECT y.b, z.b, u.b FROM {joined}",
        f"SELECT count(*) FROM (SELECT x.a FROM {joined} EXCEPT SELECT y.a + u.a FROM {joined})",
    ):
        yield Hostile("sort", text, slow=True)


def _disguised(folder: Path) -> Iterator[Hostile]:
    for before, after in itertools.product(
        (
            "\ufeff",
            "\u00a0",
            "SELECT 1 -- \n; ",
            "/*/**/",
            "(",
            "\\",
            "`",
            "[",
            "s\u0065lect 1; ",
            "\u202e",
            "EXPLAIN ",
        ),
        ("DROP TABLE t", f"ATTACH '{folder / 'new.db'}' AS x", "PRAGMA query_only = 0", "DELETE FROM t"),
    ):
        yield Hostile("disguise", f"{before}{after}")
