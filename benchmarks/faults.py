"""Rows and time against a server that fails: 5 % HTTP 500, 5 % 429 with `Retry-After: 1`, 3 % invalid JSON.

    python benchmarks/faults.py [--rows 3000] [--pairs 2] [--json]

The same build against the same server without faults, in turns; medians are compared.
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
    write_inputs,
)

AT_ONCE = 64
ASKED = 2.0
FAULTS = ("--failing", "0.05", "--rate-limited", "0.05", "--retry-after", "1", "--invalid", "0.03")


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--pairs", type=int, default=2, help="runs of each, in turns")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds until the server replies")
    args = parser.parse_args()
    latency = ("--latency", str(args.latency))
    runs: dict[str, list[Measured]] = {"clean": [], "faulty": []}
    rows: list[int] = []
    with tempfile.TemporaryDirectory() as name, served(*latency) as clean, served(*latency, *FAULTS) as faulty:
        folder = Path(name)
        write_inputs(folder, args.rows)
        for _ in range(args.pairs):
            for kind, url in (("clean", clean), ("faulty", faulty)):
                command = build_command(folder, "run", args.rows, *asking(url, AT_ONCE))
                runs[kind].append(checked(measure(command)))
                if kind == "faulty":
                    rows.append(len({row["id"] for row in kept_rows(folder / "run")}))
                shutil.rmtree(folder / "run")
    seconds = {kind: statistics.median(one.seconds for one in found) for kind, found in runs.items()}
    ratio = seconds["faulty"] / seconds["clean"]
    facts = {"rows": min(rows), "ratio_to_clean": round(ratio, 3)}
    lines = [
        Line("without faults", f"{seconds['clean']:.2f} s"),
        Line("with faults", f"{seconds['faulty']:.2f} s"),
        Line("rows", f"{min(rows):,}", f"{args.rows:,}", min(rows) == args.rows),
        Line("times the time without", f"{ratio:.2f}", f"<= {ASKED}", ratio <= ASKED),
    ]
    return finish(f"{args.rows:,} rows at {AT_ONCE} calls at once, 13 % of them refused or unreadable", lines, facts,
                  as_json=args.json)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
