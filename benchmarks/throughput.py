"""Wall time and CPU of `upcycle build` with one call a row, beside a bare asyncio+aiohttp loop over the same requests.

    python benchmarks/throughput.py [--rows 3000] [--pairs 3] [--latency 0.1] [--json]

Process against process, start-up and imports included, in turns (A B A B) so that a busy machine troubles both;
medians are compared. The bare loop sends the very bodies the build sends, read out of a first build's journal.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench import (
    MODEL,
    Line,
    Measured,
    arguments,
    asking,
    build_command,
    checked,
    finish,
    measure,
    served,
    write_inputs,
)

BARE = Path(__file__).with_name("bare_loop.py")
ASKED = {64: 1.25, 256: 2.0}
ASKED_CPU = 0.4


class Pairs(NamedTuple):
    """Runs of both at one concurrency."""

    upcycle: list[Measured]
    bare: list[Measured]

    def ratio(self) -> float:
        return _seconds(self.upcycle) / _seconds(self.bare)

    def cpu_ms_per_call(self, rows: int) -> float:
        cpu = [statistics.median(one.cpu for one in runs) for runs in self]
        return (cpu[0] - cpu[1]) / rows * 1000


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each, in turns")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds until the server replies")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, served("--latency", str(args.latency)) as url:
        folder = Path(name)
        write_inputs(folder, args.rows)
        write_requests(folder, args.rows, url)
        found = {at_once: compare(folder, args.rows, url, at_once, args.pairs) for at_once in ASKED}
    facts = {
        "ratio_64": round(found[64].ratio(), 3),
        "ratio_256": round(found[256].ratio(), 3),
        "cpu_ms_per_call": round(max(pairs.cpu_ms_per_call(args.rows) for pairs in found.values()), 3),
    }
    lines = [line for at_once, pairs in found.items() for line in told(at_once, pairs, args.rows)]
    title = f"{args.rows:,} rows, one call each, {args.latency * 1000:g} ms a reply; medians of {args.pairs}"
    return finish(title, lines, facts, as_json=args.json)


def write_requests(folder: Path, rows: int, url: str) -> None:
    """`requests.jsonl`: the bodies that a build sends, out of its journal (this also warms every file cache)."""
    checked(measure(build_command(folder, "first", rows, *asking(url, 256))))
    with sqlite3.connect(folder / "first" / "run.db") as db, (folder / "requests.jsonl").open("w") as file:
        for (stored,) in db.execute("SELECT request FROM calls"):
            request = json.loads(stored)
            form = {"name": "reply", "schema": request["schema"], "strict": True}
            body = {
                "model": MODEL.partition("/")[2],
                "response_format": {"type": "json_schema", "json_schema": form},
                "messages": request["messages"],
                "max_tokens": request["max_tokens"],
                "temperature": request["temperature"],
            }
            file.write(json.dumps(body) + "\n")


def compare(folder: Path, rows: int, url: str, at_once: int, pairs: int) -> Pairs:
    """Run both in turns."""
    found = Pairs([], [])
    bare = [sys.executable, str(BARE), str(folder / "requests.jsonl"), str(folder / "bare.jsonl"), url, str(at_once)]
    for _ in range(pairs):
        found.upcycle.append(checked(measure(build_command(folder, "run", rows, *asking(url, at_once)))))
        shutil.rmtree(folder / "run")
        found.bare.append(checked(measure(bare)))
    return found


def told(at_once: int, pairs: Pairs, rows: int) -> list[Line]:
    ratio, cpu = pairs.ratio(), pairs.cpu_ms_per_call(rows)
    return [
        Line(f"at {at_once}: bare loop", f"{_seconds(pairs.bare):.2f} s", _spread(pairs.bare)),
        Line(f"at {at_once}: upcycle build", f"{_seconds(pairs.upcycle):.2f} s", _spread(pairs.upcycle)),
        Line(f"at {at_once}: times the loop's time", f"{ratio:.2f}", f"<= {ASKED[at_once]}", ratio <= ASKED[at_once]),
        Line(f"at {at_once}: CPU added per call", f"{cpu:.2f} ms", f"<= {ASKED_CPU} ms", cpu <= ASKED_CPU),
    ]


def _seconds(runs: list[Measured]) -> float:
    return statistics.median(one.seconds for one in runs)


def _spread(runs: list[Measured]) -> str:
    low, high = min(one.seconds for one in runs), max(one.seconds for one in runs)
    return f"({low:.2f} to {high:.2f}; CPU {statistics.median(one.cpu for one in runs):.2f} s)"


if __name__ == "__main__":
    sys.exit(main())
