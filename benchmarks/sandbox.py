"""What running a program in the sandbox costs, beside the same program in plain Python.

    python benchmarks/sandbox.py [--records 40000] [--json]

The program re-arranges records of about 300 characters: a substitution, a split, a format. Records arrive 4,096 at a
time, as a build reads them. The median of three is shown; start-up is that of fresh processes.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from bench import Line, arguments, checked, finish, measure
from upcycle.sandbox import Sandbox, Value

ASKED = 20_000
ASKED_START = 0.2
CHUNK = 4096
PROGRAM = r"""
import re

LABELS = {"0": "negative", "1": "positive"}
SPACE = re.compile(r"\s+")


def f(record):
    text = SPACE.sub(" ", record["text"]).strip()
    head, _, rest = text.partition(".")
    words = rest.split(" ")
    return f"{head}: {len(words)} words, {' '.join(words[:5])} ({LABELS[record['label']]})"
"""
KEEPING = PROGRAM.replace("def f(record):\n", "SEEN = []\n\n\ndef f(record):\n    SEEN.append(record['id'])\n")
"""The same, with a list that is made anew for every record."""
_WORDS = ["alpha", "beta", "gamma", "delta ", "epsilon", "zeta", "eta", "theta\n", "iota", "kappa."]

Rows = list[dict[str, Any]]


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=40_000)
    args = parser.parse_args()
    rows = records(args.records)
    plain = in_process()
    wanted = [Value(plain(row)) for row in rows]
    facts: dict[str, Any] = {"plain_records_per_s": rate(lambda: [plain(row) for row in rows], len(rows))}
    same = True
    for workers in (1, 2):
        with Sandbox(workers=workers) as sandbox:
            same = same and in_chunks(sandbox, PROGRAM, rows) == wanted
            facts[f"records_per_s_{workers}"] = rate(lambda s=sandbox: in_chunks(s, PROGRAM, rows), len(rows))
            if workers == 2:
                facts["records_per_s_made_anew"] = rate(lambda s=sandbox: in_chunks(s, KEEPING, rows), len(rows))
    facts["records_per_s"] = reached = facts["records_per_s_2"]
    facts["same_results"] = same
    facts["import_s"], facts["start_s"] = imported, _ = started()
    lines = [
        Line("plain Python, in process", f"{facts['plain_records_per_s']:,}/s"),
        Line("sandbox, 1 worker", f"{facts['records_per_s_1']:,}/s"),
        Line("sandbox, 2 workers", f"{reached:,}/s", f">= {ASKED:,}/s", reached >= ASKED),
        Line("a list made anew for every record", f"{facts['records_per_s_made_anew']:,}/s"),
        Line("same results as plain Python", "yes" if same else "no", "yes", same),
        Line("import upcycle.sandbox", f"{imported:.3f} s", f"<= {ASKED_START} s", imported <= ASKED_START),
        Line("first outcome of a first program", f"{facts['start_s']:.3f} s"),
    ]  # fmt: skip
    return finish(f"Programs over {len(rows):,} records of 300 characters", lines, facts, as_json=args.json)


def records(count: int) -> Rows:
    """Records of about 300 characters of text, made from a seed."""
    random = Random(0)
    texts = (" ".join(random.choices(_WORDS, k=60))[:300] for _ in range(count))
    return [{"id": n, "text": text, "label": "01"[n % 2], "score": n / 7} for n, text in enumerate(texts)]


def in_process() -> Callable[[Any], Any]:
    """The program as an ordinary function; it is ours, so it may run here."""
    names: dict[str, Any] = {}
    exec(PROGRAM, names)
    return names["f"]


def in_chunks(sandbox: Sandbox, code: str, rows: Rows) -> list[Any]:
    """Outcomes of all rows, sent as a build would send them."""
    return [one for at in range(0, len(rows), CHUNK) for one in sandbox.run(code, rows[at : at + CHUNK])]


def rate(work: Callable[[], Any], count: int) -> int:
    """Records per second, the median of three."""
    seconds: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return round(count / statistics.median(seconds))


def started() -> tuple[float, float]:
    """Seconds a fresh process spends on the import, and from there to the first outcome; medians of five."""
    code = (
        "import time\nbegan = time.perf_counter()\n"
        "from upcycle.sandbox import Sandbox\nread = time.perf_counter()\n"
        "with Sandbox() as sandbox:\n"
        "    sandbox.run('def f(record): return 1', [{}])\n"
        "    print(read - began, time.perf_counter() - read)\n"
    )
    runs = [[float(part) for part in line(code).split()] for _ in range(5)]
    return round(middle([run[0] for run in runs]), 3), round(middle([run[1] for run in runs]), 3)


def line(code: str) -> str:
    return checked(measure([sys.executable, "-c", code])).out


def middle(values: Sequence[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    sys.exit(main())
