"""`kill -9` at random moments, twenty times over, then to the end: is every row there once, and what was paid twice?

    python benchmarks/resume.py [--kills 20] [--rows 8000] [--concurrency 32] [--seed 0] [--json]

The same command is started again after each kill. What was in flight at a kill is read from the journal as the dead
process left it; what was paid, and paid twice, is counted by the server.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench import (
    Line,
    arguments,
    asking,
    build_command,
    checked,
    finish,
    kept_rows,
    measure,
    served,
    stats,
    write_inputs,
)

EARLIEST, LATEST = 0.1, 2.5
"""Seconds after the start between which the process is killed: while it loads, replays, asks or writes."""


class Kill(NamedTuple):
    """One kill: when, calls the journal held as in flight, calls the server paid again until the next kill."""

    after: float
    in_flight: int
    paid_twice: int


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, served("--latency", "0.1") as url:
        folder = Path(name)
        write_inputs(folder, args.rows)
        command = build_command(folder, "run", args.rows, *asking(url, args.concurrency))
        kills = list(killed(command, folder / "run", url, args.kills, Random(args.seed)))
        found = Counter(row["input"].partition(":")[0] for row in kept_rows(folder / "run"))
    missing = sum(f"Note {number}" not in found for number in range(args.rows))
    facts = {
        "kills": len(kills),
        "rows": found.total(),
        "missing": missing,
        "duplicates": found.total() - len(found),
        "max_paid_twice_per_kill": max((kill.paid_twice for kill in kills), default=0),
    }
    print("kill  after   in flight  paid twice")
    for number, kill in enumerate(kills, 1):
        print(f"{number:4}  {kill.after:4.2f} s  {kill.in_flight:9}  {kill.paid_twice:10}")
    return finish("kill -9 in a loop until done", told(facts, kills, args.kills, args.rows), facts, as_json=args.json)


def killed(command: list[str], run: Path, url: str, times: int, random: Random) -> Iterator[Kill]:
    """Start and kill so many times, then let it finish."""
    after, in_flight, paid = 0.0, 0, 0
    for number in range(times + 1):
        if number < times:
            after_next = random.uniform(EARLIEST, LATEST)
            in_flight_next = kill_once(command, run, after_next)
        else:
            checked(measure(command))
            after_next, in_flight_next = 0.0, 0
        while (counted := stats(url))["in_flight"]:
            time.sleep(0.02)
        if number:
            yield Kill(after, in_flight, counted["paid_twice"] - paid)
        after, in_flight, paid = after_next, in_flight_next, counted["paid_twice"]


def kill_once(command: list[str], run: Path, after: float) -> int:
    """Start, kill after so many seconds; the calls the journal then holds as in flight."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
    else:
        sys.exit("the run was done before the last kill; give more --rows")
    process.wait()
    return lost_calls(run)


def lost_calls(run: Path) -> int:
    """Calls that were in flight when the process died, as its journal has them.

    Those of an earlier kill count until they are asked again, which a process killed while it loads does not come to.
    """
    try:
        with sqlite3.connect(f"file:{run / 'run.db'}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM calls WHERE state IN ('in-flight', 'lost')").fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # killed before the journal was there


def told(facts: dict[str, int], kills: list[Kill], asked: int, rows: int) -> list[Line]:
    most = max((kill.in_flight for kill in kills), default=0)
    above = [kill for kill in kills if kill.paid_twice > kill.in_flight]
    return [
        Line("kills", str(len(kills)), str(asked), len(kills) == asked),
        Line("rows in the dataset", f"{facts['rows']:,}", f"{rows:,}", facts["rows"] == rows),
        Line("rows missing", str(facts["missing"]), "0", facts["missing"] == 0),
        Line("rows there twice", str(facts["duplicates"]), "0", facts["duplicates"] == 0),
        Line(
            "most calls paid twice after one kill",
            str(facts["max_paid_twice_per_kill"]),
            f"<= {most}, the most in flight at one",
            facts["max_paid_twice_per_kill"] <= most,
        ),
        Line("kills after which more was paid twice than was in flight", str(len(above)), "0", not above),
    ]


if __name__ == "__main__":
    sys.exit(main())
