"""A server that refuses, fails and talks nonsense, beside the same server without faults: all rows, and in what time?

    python benchmarks/faults.py [--rows 3000] [--concurrency 64] [--pairs 3] [--json]

5 % of the requests are answered 429 with `Retry-After: 1`, 5 % HTTP 500, and 3 % of the replies are paid for and are
not the JSON asked for. Clean and faulty runs take turns; medians of whole processes are compared.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from bench import (
    Line,
    Measured,
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

FAULTS = ("--rate-limited", "0.05", "--retry-after", "1", "--failing", "0.05", "--invalid", "0.03")
LATENCY = ("--latency", "0.1")
ASKED = 2.0


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each, in turns")
    args = parser.parse_args()
    clean: list[Measured] = []
    faulty: list[Measured] = []
    rows: list[int] = []
    with tempfile.TemporaryDirectory() as name, served(*LATENCY) as good, served(*LATENCY, *FAULTS) as bad:
        folder = Path(name)
        write_inputs(folder, args.rows)
        for _ in range(args.pairs):
            for url, runs in ((good, clean), (bad, faulty)):
                runs.append(checked(measure(build_command(folder, "run", args.rows, *asking(url, args.concurrency)))))
                rows.append(len({row["input"] for row in kept_rows(folder / "run")}))
                shutil.rmtree(folder / "run")
        counted = stats(bad)["statuses"]
    ratio = statistics.median(one.seconds for one in faulty) / statistics.median(one.seconds for one in clean)
    facts = {"rows": min(rows), "ratio_to_clean": round(ratio, 3)}
    answers = ", ".join(f"{count:,} x {status}" for status, count in counted.items())
    lines = [
        Line("rows, the fewest of any run", f"{min(rows):,}", f"{args.rows:,}", min(rows) == args.rows),
        Line("without faults", _seconds(clean)),
        Line("with faults", _seconds(faulty), f"({answers})"),
        Line("times the time without", f"{ratio:.2f}", f"<= {ASKED}", ratio <= ASKED),
    ]
    title = f"5 % 429, 5 % 500, 3 % invalid replies; {args.concurrency} at a time; medians of {args.pairs}"
    return finish(title, lines, facts, as_json=args.json)


def _seconds(runs: list[Measured]) -> str:
    return f"{statistics.median(one.seconds for one in runs):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
