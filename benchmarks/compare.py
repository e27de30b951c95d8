"""What a whole comparison costs: `upcycle compare` of one task with no model, killed in the middle and gone on with.

    python benchmarks/compare.py [--task imdb_sentiment] [--student tfidf|smollm2] [--rows N] [--threads 2] [--json]

The command runs as a user runs it, over all sources of the shared data, with three seeds. It is killed (SIGKILL) once a
third of its students are finished, and run again: `again` counts students that were finished and trained once more,
which must be none. `seconds` is both parts together. Asked are 10 minutes with TF-IDF, and 3 hours with the embedded
language model at 200 rows a leg. `--seeds 1 --rows 50` is a quick look.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bench

DATA = Path(os.environ.get("UPCYCLE_DATA") or Path(__file__).parents[2] / "shared" / "data")
MINUTES = {"tfidf": 10.0, "smollm2": 180.0}
KILL_AT = 1 / 3


def main() -> int:
    parser = bench.arguments(__doc__)
    parser.add_argument("--task", default="imdb_sentiment", help="a folder of tasks/ (default: imdb_sentiment)")
    parser.add_argument("--student", default="tfidf", help="tfidf (default) or smollm2")
    parser.add_argument("--rows", type=int, help="rows of each leg (default: the command's)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")
    args = parser.parse_args()
    task = DATA / "tasks" / args.task / "task.json"
    if not task.is_file():
        sys.exit(f"{task} is not there; set UPCYCLE_DATA to the folder that holds tasks/ and hub/")
    with TemporaryDirectory() as folder:
        command = [*bench.UPCYCLE, "compare", str(task), "--source", str(DATA / "hub"), "--source", "stdlib"]
        command += ["--model", "none", "--student", args.student, "--seeds", str(args.seeds), "--json"]
        command += ["-o", str(Path(folder) / "compared"), *(["-n", str(args.rows)] if args.rows else [])]
        env = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
        started = time.monotonic()
        before = killed(command, env)
        measured = bench.checked(bench.measure(command, env=env))
        seconds = time.monotonic() - started
    return told(args, json.loads(measured.out), before, seconds, measured.rss_mb)


def killed(command: list[str], env: dict[str, str]) -> int:
    """Run until a third of the students are finished, kill, and say how many were."""
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            event = json.loads(line) if line.startswith("{") else {"kind": "a library's own line"}
            if event["kind"] == "leg" and event["done"] >= KILL_AT * event["total"]:
                process.send_signal(signal.SIGKILL)
                return event["done"]
    sys.exit("the comparison ended before it could be killed")


def told(args: argparse.Namespace, found: dict[str, Any], before: int, seconds: float, rss: float) -> int:
    again = max(0, before - found["found"])
    legs = [leg for leg in found["legs"] if leg["versus"]]
    sure = sum(leg["versus"]["significant"] for leg in legs)
    asked = MINUTES.get(args.student) if args.seeds >= 3 else None
    lines = [
        bench.Line("minutes", f"{seconds / 60:.1f}", f"under {asked:.0f}" if asked else "",
                   seconds < 60 * asked if asked else None),
        bench.Line("students, of them finished before the kill", f"{found['trained'] + before}, {before}"),
        bench.Line("finished and trained again", str(again), "0", again == 0),
        bench.Line("peak memory, MB", f"{rss:.0f}"),
        bench.Line("legs told from the baseline, of", f"{sure} of {len(legs)}"),
    ]  # fmt: skip
    print(*found["said"], sep="\n")
    facts = {
        "task": args.task, "student": args.student, "seconds": round(seconds, 1), "again": again,
        "trained": found["trained"] + before, "rows": found["rows"], "seeds": found["seeds"],
        "items": found["items"], "significant": sure, "legs": {leg["name"]: leg["value"] for leg in found["legs"]},
        "threads": args.threads,
    }  # fmt: skip
    title = f"upcycle compare {args.task}, {args.student}, {found['rows']:,} rows a leg, {found['seeds']} seeds"
    return bench.finish(title, lines, facts, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
