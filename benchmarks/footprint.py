"""Start-up, memory over a million records, and budgets.

python benchmarks/footprint.py [--records 1000000] [--json]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import (
    MODEL,
    UPCYCLE,
    Line,
    arguments,
    asking,
    build_command,
    checked,
    finish,
    measure,
    served,
    stats,
    write_inputs,
)

RUNS = 7
TOKENS, DOLLARS = 60_000, 0.02
PRICE = (0.5, 1.5)  # dollars per million tokens in and out


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    args = parser.parse_args()
    imported = _median([sys.executable, "-c", "import upcycle"]) - _median([sys.executable, "-c", "pass"])
    helped = _median([*UPCYCLE, "--help"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, args.records, free=True)
        streamed = checked(measure(build_command(folder, "run", args.records, "--model", "none")))
    over = {f"{kind} at {at_once}": overspent(kind, at_once) for kind in ("tokens", "usd") for at_once in (1, 64)}
    facts = {
        "import_s": round(imported, 4),
        "help_s": round(helped, 4),
        "stream_1m_rss_mb": round(streamed.rss_mb, 1),
        "overspend": max(over.values()),
    }
    lines = [
        Line("import upcycle, beyond Python's own start", f"{imported:.3f} s", "< 0.15 s", imported < 0.15),
        Line("upcycle --help, the whole process", f"{helped:.3f} s", "< 0.25 s", helped < 0.25),
        Line(f"{args.records:,} records, peak memory", f"{streamed.rss_mb:.0f} MB", "< 500 MB", streamed.rss_mb < 500),
        Line(f"{args.records:,} records, time", f"{streamed.seconds:.0f} s"),
        *(Line(f"spent beyond a budget in {what}", f"{value:g}", "0", value == 0) for what, value in over.items()),
    ]
    return finish("Footprint", lines, facts, as_json=args.json)


def _median(command: list[str]) -> float:
    return statistics.median(checked(measure(command)).seconds for _ in range(RUNS))


def overspent(kind: str, at_once: int) -> float:
    """What the server counted beyond the budget: tokens, or dollars; 0 where it was kept."""
    with tempfile.TemporaryDirectory() as name, served("--latency", "0.02") as url:
        folder = Path(name)
        write_inputs(folder, 1000)
        (folder / "prices.yaml").write_text(f"{MODEL}: {{input: {PRICE[0]}, output: {PRICE[1]}}}\n", encoding="utf-8")
        budget = f"{TOKENS}tok" if kind == "tokens" else f"{DOLLARS}usd"
        limits = ["--budget", budget, "--prices", str(folder / "prices.yaml")]
        done = subprocess.run(
            build_command(folder, "run", 1000, *asking(url, at_once), *limits), capture_output=True, check=False
        )
        if done.returncode != 1:
            sys.exit(f"a build that meets its budget should end with 1, not {done.returncode}: {done.stderr.decode()}")
        counted = stats(url)
    if kind == "tokens":
        return max(0, counted["tokens"] - TOKENS)
    dollars = (counted["prompt_tokens"] * PRICE[0] + counted["reply_tokens"] * PRICE[1]) / 1e6
    return max(0.0, dollars - DOLLARS)


if __name__ == "__main__":
    sys.exit(main())
