"""Start-up time, memory over a million records, and whether a budget is ever overshot.

    python benchmarks/footprint.py [--records 1000000] [--runs 9] [--json]

Start-up is the median over fresh processes, interpreter included. The million records stream through a plan that asks
no model. A budget is given in tokens and in money, at concurrency 1 and 64, to a server that takes a while and fails
now and then; what it counted as paid is compared with the cap.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import (
    MODEL,
    UPCYCLE,
    Line,
    Measured,
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

HEAVY = ("torch", "transformers", "datasets", "pyarrow", "openai", "anthropic")
ASKED_IMPORT, ASKED_HELP, ASKED_RSS = 0.15, 0.25, 500
DOLLARS = 1.0
"""Per million prompt and reply tokens, which is what the fake server counts by."""
FAULTS = ("--latency", "0.02", "--failing", "0.03", "--invalid", "0.03", "--torn", "0.02")


class Spent(NamedTuple):
    """What the server counted beside what it was allowed, in the budget's unit (tokens, or millionths of a dollar)."""

    budget: str
    concurrency: int
    cap: int
    used: int
    code: int


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=9, help="fresh processes per start-up time")
    args = parser.parse_args()
    imported = started([sys.executable, "-c", "import upcycle"], args.runs)
    helped = started([*UPCYCLE, "--help"], args.runs)
    heavy = heavy_modules()
    with tempfile.TemporaryDirectory() as name:
        streamed = stream(Path(name), args.records)
        spent = list(spendings(Path(name)))
    over = max(one.used - one.cap for one in spent)
    facts = {
        "import_s": round(imported, 3),
        "help_s": round(helped, 3),
        "stream_1m_rss_mb": round(streamed.rss_mb),
        "overspend": max(0, over),
    }
    lines = [
        Line("import upcycle", f"{imported:.3f} s", f"<= {ASKED_IMPORT} s", imported <= ASKED_IMPORT),
        Line("upcycle --help", f"{helped:.3f} s", f"<= {ASKED_HELP} s", helped <= ASKED_HELP),
        Line("heavy packages these import", heavy or "none", "none", not heavy),
        Line(f"{args.records:,} records, peak memory", f"{streamed.rss_mb:.0f} MB", f"< {ASKED_RSS} MB",
             streamed.rss_mb < ASKED_RSS),
        Line(f"{args.records:,} records, time", f"{streamed.seconds:.0f} s"),
        *(Line(f"budget of {one.budget} at concurrency {one.concurrency}, used", f"{one.used:,}", f"<= {one.cap:,}",
               one.used <= one.cap and one.code == 1) for one in spent),
    ]  # fmt: skip
    return finish(f"Footprint; medians of {args.runs}", lines, facts, as_json=args.json)


def started(command: list[str], runs: int) -> float:
    """Median seconds of fresh processes; the first, which fills the file caches, is not counted."""
    checked(measure(command))
    return statistics.median(checked(measure(command)).seconds for _ in range(runs))


def heavy_modules() -> str:
    """Which of the packages nobody wants at start-up are loaded by the import and by the help."""
    code = (
        "import sys, contextlib, io, upcycle, upcycle.cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    upcycle.cli.main(['--help'])\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    return checked(measure([sys.executable, "-c", code])).out.strip()


def stream(folder: Path, records: int) -> Measured:
    """A build over so many records that asks no model."""
    write_inputs(folder, records, free=True)
    return checked(measure(build_command(folder, "streamed", records, "--model", "none")))


def spendings(folder: Path) -> Iterator[Spent]:
    """Builds that their budget stops, each against a server of its own."""
    write_inputs(folder, 3000)
    prices = folder / "prices.yaml"
    prices.write_text(f"{MODEL}: {{input: {DOLLARS}, output: {DOLLARS}}}\n", encoding="utf-8")
    for number, (budget, cap) in enumerate({"100ktok": 100_000, "0.1usd": 100_000}.items()):
        for at_once in (1, 64):
            with served(*FAULTS) as url:
                more = ["--budget", budget, "--prices", str(prices), *asking(url, at_once)]
                ended = measure(build_command(folder, f"spent-{number}-{at_once}", 3000, *more))
                counted = stats(url)
            used = counted["tokens"] if budget.endswith("tok") else round(counted["cost"] * 1e6)
            yield Spent(budget, at_once, cap, used, ended.code)


if __name__ == "__main__":
    sys.exit(main())
