"""Questions over tables: how fast they are made, whether every answer is what its statement comes to, and what hostile
statements get done.

    python benchmarks/tables.py [--data DIR] [--rows 1000] [--seconds 5] [--limit 0.5] [--gb 2] [--json]

`--data` holds tables (a folder of WikiSQL tables by default, else made-up ones). Answers are compared with what a plain
sqlite3 connection makes of the same statements over the same tables. Each part is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from bench import UPCYCLE, Line, arguments, checked, finish, kept_rows, measure
from dump import read_dump, told_dump
from hostile_sql import Hostile, hostile_statements
from upcycle.config import Source2Synth
from upcycle.methods.source2synth.application import Grounded, Unit, Writer
from upcycle.methods.source2synth.filter import filtered
from upcycle.methods.source2synth.intermediate import Said
from upcycle.methods.source2synth.lessons import asked
from upcycle.methods.source2synth.matching import soft_match
from upcycle.methods.source2synth.sql import Result, Sql
from upcycle.methods.source2synth.sql_checks import answer_text
from upcycle.methods.source2synth.sql_grammar import sketches
from upcycle.methods.source2synth.tables import open_tables
from upcycle.sources.tables.folder import TableFolder
from upcycle.sources.tables.table import Table, make_table
from upcycle.task import make_task
from upcycle.training.chains import ANSWER_MARK

SHARED = Path(os.environ.get("UPCYCLE_DATA", Path(__file__).parents[2] / "shared" / "data"))
BATCH = 200
INSTRUCTION = "Answer a question about a table."


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, help="a folder of tables (default: the shared WikiSQL tables)")
    parser.add_argument("--rows", type=int, default=1000, help="examples made (default: 1000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for which SQL is executed (default: 5)")
    parser.add_argument("--limit", type=float, default=0.5, help="seconds a hostile statement may take (default: 0.5)")
    parser.add_argument("--gb", type=float, default=2.0, help="size of the MediaWiki dump that is read (default: 2)")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(PARTS[args.part](args)))
        return 0
    lines: list[Line] = []
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        args.data = args.data or _some_tables(Path(folder))
        for name, told in TOLD.items():
            command = [sys.executable, __file__, "--part", name, "--data", str(args.data), "--rows", str(args.rows)]
            command += ["--seconds", str(args.seconds), "--limit", str(args.limit), "--gb", str(args.gb)]
            read = checked(measure(command))
            facts |= json.loads(read.out.splitlines()[-1])
            lines += told(facts, args)
    return finish("Questions over tables", lines, facts, as_json=args.json)


def _some_tables(folder: Path) -> Path:
    shared = SHARED / "tables" / "wikisql_join"
    if shared.is_dir():
        return shared
    random = Random(0)
    for number in range(500):
        lines = ["name,group,amount,year"]
        lines += [f"n{number}-{row},g{random.randint(1, 4)},{random.randint(1, 900)},{1990 + row}" for row in range(12)]
        (folder / f"{number}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


# -- examples ----------------------------------------------------------------------------------------------------------


def examples(args: argparse.Namespace) -> dict[str, Any]:
    """Examples by the command a user would give, with no model, each answer executed again."""
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder) / "task.yaml"
        settings = {"application": "tables", "intermediate": "none"}
        task.write_text(json.dumps({"instruction": INSTRUCTION, "methods": {"source2synth": settings}}))
        out = Path(folder) / "run"
        command = [*UPCYCLE, "build", str(task), "--source", str(args.data), "--model", "none", "-n", str(args.rows)]
        made = checked(measure([*command, "-o", str(out)]))
        rows = kept_rows(out)
        right = _reproduced(rows, out, args.data)
    return {"s_1000": made.seconds * 1000 / len(rows), "examples": len(rows), "answers_reproduced": right}


def _reproduced(rows: list[dict[str, Any]], out: Path, data: Path) -> float:
    """Share of the rows whose answer a plain connection gives too."""
    import pyarrow.parquet as pq

    files = sorted((out / "provenance").glob("*.parquet"))
    record = {
        row["id"]: row["record"] for file in files for row in pq.read_table(file, columns=["id", "record"]).to_pylist()
    }
    tables = {table.id: table for table in TableFolder([data]).tables() if isinstance(table, Table)}
    right = sum(independent(tables[record[row["id"]]], row["rationale"]) == row["output"] for row in rows)
    return right / len(rows)


def independent(table: Table, statement: str) -> str:
    """What a statement comes to on a connection that shares nothing with the product's."""
    with closing(sqlite3.connect(":memory:")) as opened:
        kinds = {"integer": "INTEGER", "real": "REAL"}
        columns = ", ".join(f'"{column.name}" {kinds.get(column.kind, "TEXT")}' for column in table.columns)
        opened.execute(f"CREATE TABLE t ({columns})")
        opened.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(table.columns))})", table.rows)
        return answer_text(opened.execute(statement).fetchall())


def told_examples(facts: dict[str, Any], args: argparse.Namespace) -> list[Line]:
    seconds, right = facts["s_1000"], facts["answers_reproduced"]
    return [
        Line(
            f"{facts['examples']:,} examples, none by a model, per 1,000",
            f"{seconds:.1f} s",
            "under 60 s",
            seconds < 60,
        ),
        Line("answers an independent connection reproduces", f"{right:.2%}", "100 %", right == 1),
    ]


# -- executions --------------------------------------------------------------------------------------------------------


def executions(args: argparse.Namespace) -> dict[str, Any]:
    """Statements as the grammar draws them, executed for some seconds on as many workers as there are cores."""
    random = Random(0)
    tables = [table for table in TableFolder([args.data]).tables(0) if isinstance(table, Table)][:400]
    work = [
        (table, [one.sql for one, _ in zip(sketches(table, random), range(BATCH), strict=False)]) for table in tables
    ]
    work = [(table, statements) for table, statements in work if statements]
    workers = os.cpu_count() or 1
    with Sql(workers=workers, seconds=2.0) as sql:
        for table, statements in work[:workers]:
            sql.run(table, statements)
        done, seconds = asyncio.run(_sustained(sql, work, workers, args.seconds))
    return {"sql_per_s": done / seconds, "sql_executed": done}


async def _sustained(sql: Sql, work: list[tuple[Table, list[str]]], workers: int, wanted: float) -> tuple[int, float]:
    turns = iter(range(10**9))
    done = 0
    began = time.perf_counter()

    async def keep_going() -> None:
        nonlocal done
        while time.perf_counter() - began < wanted:
            table, statements = work[next(turns) % len(work)]
            outcomes = await sql.arun(table, statements)
            done += sum(isinstance(one, Result) for one in outcomes)

    await asyncio.gather(*(keep_going() for _ in range(workers)))
    return done, time.perf_counter() - began


def told_executions(facts: dict[str, Any], args: argparse.Namespace) -> list[Line]:
    rate = facts["sql_per_s"]
    what = f"statements executed a second, {facts['sql_executed']:,} in all, each on two orders of rows"
    return [Line(what, f"{rate:,.0f}", "10,000", rate >= 10_000)]


# -- hostile statements ------------------------------------------------------------------------------------------------


def hostile(args: argparse.Namespace) -> dict[str, Any]:
    """Whether any of them gets anything done, or takes longer than its limit."""
    table = make_table("t", ["a", "b", "c"], [[n, f"name {n} aaaa", n / 2] for n in range(40)])
    assert isinstance(table, Table)
    slowest, passed = 0.0, []
    with tempfile.TemporaryDirectory() as folder, Sql(seconds=args.limit) as sql:
        victim = Path(folder) / "victim.db"
        victim.write_bytes(b"untouched")
        tried = hostile_statements(Path(folder))
        for one in tried:
            before = sql.run(table, ["SELECT count(*), sum(a), max(b) FROM t"])  # there is a worker, and it is whole
            began = time.perf_counter()
            (outcome,) = sql.run(table, [one.sql])
            seconds = time.perf_counter() - began
            slowest = max(slowest, seconds)
            after = sql.run(table, ["SELECT count(*), sum(a), max(b) FROM t"])
            changed = after != before or victim.read_bytes() != b"untouched" or len(list(Path(folder).iterdir())) > 1
            if isinstance(outcome, Result) or changed or seconds > args.limit:
                passed.append(_named(one))
    return {"hostile_tried": len(tried), "hostile_passed": len(passed), "hostile_slowest_s": slowest, "passed": passed}


def _named(one: Hostile) -> str:
    return f"{one.family}: {one.sql[:80]}"


def told_hostile(facts: dict[str, Any], args: argparse.Namespace) -> list[Line]:
    passed, tried = facts["hostile_passed"], facts["hostile_tried"]
    return [
        Line(f"of {tried} hostile statements got anything done, or past {args.limit} s", f"{passed}", "0", passed == 0),
        Line("  the slowest", f"{facts['hostile_slowest_s']:.2f} s"),
    ]


# -- the filter --------------------------------------------------------------------------------------------------------


class NineInTen:
    """A scripted intermediate model: right 9 times in 10, else it says another answer of the same table."""

    name, writes = "a scripted model", False

    def __init__(self, truth: dict[str, str], others: dict[str, list[str]], random: Random) -> None:
        self._truth, self._others, self._random = truth, others, random

    async def answer(self, prompts: Sequence[str], *, samples: int) -> list[Said]:
        return [Said(tuple(self._said(prompt) for _ in range(samples))) for prompt in prompts]

    def _said(self, prompt: str) -> str:
        right = self._random.random() < 0.9
        return f"{ANSWER_MARK} {self._truth[prompt] if right else self._random.choice(self._others[prompt])}"

    async def likelihood(self, text: str) -> float | None:
        return None


def filtering(args: argparse.Namespace) -> dict[str, Any]:
    """Every third of 900 examples gets another answer of its table; the filter of three tries is to tell them apart."""
    return asyncio.run(_filtering(args))


async def _filtering(args: argparse.Namespace) -> dict[str, Any]:
    settings, random = Source2Synth(per_unit=3), Random(1)
    application = open_tables([str(args.data)], settings)
    task, made = make_task(INSTRUCTION), []
    try:
        for unit in application.units(0):
            if isinstance(unit, Unit) and len(made) < 900:
                built = await application.construct(unit, Writer(unit, task=task, model=None, seed=0, wanted=3))
                made += [(unit, one) for one in built if isinstance(one, Grounded)]
        others = {asked(one, settings): _others(unit, one, made) for unit, one in made}
        made = [(unit, one) for unit, one in made if others[asked(one, settings)]]
        model = NineInTen({asked(one, settings): one.answer for _, one in made}, others, random)
        planted: list[tuple[Unit, Grounded]] = []
        for number, (unit, one) in enumerate(made):
            other = random.choice(others[asked(one, settings)])
            planted.append((unit, replace(one, answer=other) if number % 3 == 0 else one))
        tried = await filtered(planted, application, model, settings)
    finally:
        await application.close()
    kept = [isinstance(one.result, Grounded) for one in tried]
    bad, good = kept[::3], [one for number, one in enumerate(kept) if number % 3]
    return {"filter_removed_bad": 1 - sum(bad) / len(bad), "filter_kept_good": sum(good) / len(good),
            "filter_planted": len(bad), "filter_sound": len(good)}  # fmt: skip


def _others(unit: Unit, example: Grounded, made: Sequence[tuple[Unit, Grounded]]) -> list[str]:
    """Answers to the other questions about a table that are not the answer to this one."""
    found = {one.answer for other, one in made if other.id == unit.id}
    return sorted(answer for answer in found if not soft_match(answer, example.answer))


def told_filtering(facts: dict[str, Any], args: argparse.Namespace) -> list[Line]:
    removed, kept = facts["filter_removed_bad"], facts["filter_kept_good"]
    return [
        Line(
            f"of {facts['filter_planted']} wrong answers the filter removes", f"{removed:.1%}", "80 %", removed >= 0.8
        ),
        Line(f"of {facts['filter_sound']} sound examples it keeps", f"{kept:.1%}", "80 %", kept >= 0.8),
    ]


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "examples": examples,
    "executions": executions,
    "hostile": hostile,
    "filter": filtering,
    "dump": read_dump,
}
"""What is measured, each in a process of its own."""

TOLD: dict[str, Callable[[dict[str, Any], argparse.Namespace], list[Line]]] = {
    "examples": told_examples,
    "executions": told_executions,
    "hostile": told_hostile,
    "filter": told_filtering,
    "dump": told_dump,
}
"""How each is told; in this order."""

if __name__ == "__main__":
    sys.exit(main())
