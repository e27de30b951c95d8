"""How large `report.html` is, how soon it can be used, and how long writing it takes: 3,000 rows, and 100,000.

Rows are of up to 1,000 characters (500 on average where there are 100,000), drawn from a vocabulary with the skew of
English; each lies on the page beside its source record. A page counts as interactive once its lists answer, read in
the browser from the start of navigation.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import bench

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip


def write_rows(path: Path, count: int, chars: int) -> None:
    random = Random(0)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(random.choices(letters, weights=range(26, 0, -1), k=random.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (place + 3) for place in range(len(words))]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = f"{number} {' '.join(random.choices(words, weights, k=chars // 5))}"
            text = text[: random.randint(chars // 2, chars)]
            file.write(json.dumps({"number": number, "text": text, "label": random.choice(["yes", "no"])}) + "\n")


def made(folder: Path, count: int, chars: int) -> Path:
    """A run of so many rows."""
    write_rows(folder / "rows.jsonl", count, chars)
    (folder / "plan.yaml").write_text('source: rows\ninput: "{text}"\noutput: "{label}"\n')
    flags = ["--source", str(folder / "rows.jsonl"), "--plan", str(folder / "plan.yaml"), "--model", "none"]
    asked = [*bench.UPCYCLE, "build", "Say yes or no", "-n", str(count), "-o", str(folder / "run"), *flags]
    bench.checked(bench.measure(asked))
    return folder / "run"


def opened(path: Path) -> dict[str, float]:
    """Seconds until the page is interactive, and until a search over all its rows has ended."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        sys.exit("no Chromium was found; install it (apt-get install chromium) and run this again")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        readings = []
        for _ in range(3):
            page = browser.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            ready = page.evaluate("Number(document.documentElement.dataset.ready)")
            started = page.evaluate("performance.now()")
            page.fill("#examples input[type=search]", "no row holds this")
            page.wait_for_selector("#examples .nothing", timeout=120_000)
            readings.append((ready / 1e3, (page.evaluate("performance.now()") - started) / 1e3))
            page.close()
        browser.close()
    return {"interactive": min(one for one, _ in readings), "search": min(one for _, one in readings)}


def main() -> int:
    parser = bench.arguments(__doc__)
    parser.add_argument("--small", action="store_true", help="leave the 100,000 rows out")
    args = parser.parse_args()
    facts: dict[str, Any] = {}
    lines: list[bench.Line] = []
    for count, chars, name in ((3_000, 1_000, "3000"), (100_000, 500, "100000"))[: 1 if args.small else 2]:
        with tempfile.TemporaryDirectory() as folder:
            run = made(Path(folder), count, chars)
            written = bench.checked(bench.measure([*bench.UPCYCLE, "report", str(run)]))
            page = run / "report.html"
            facts |= {f"mb_{name}": round(page.stat().st_size / 1e6, 2), f"s_write_{name}": round(written.seconds, 2),
                      f"rss_mb_{name}": round(written.rss_mb)}  # fmt: skip
            read = opened(page)
            facts |= {f"s_{what}_{name}": round(seconds, 2) for what, seconds in read.items()}
        told = f"{count:,} rows of up to {chars:,} characters"
        size, soon = facts[f"mb_{name}"], facts[f"s_interactive_{name}"]
        target = count == 3_000
        lines += [
            bench.Line(f"{told}: size", f"{size:.1f} MB", "under 5 MB" if target else "", size < 5 if target else None),
            bench.Line(
                "interactive after", f"{soon:.2f} s", "within 1 s" if target else "", soon < 1 if target else None
            ),
            bench.Line("all rows searched in", f"{facts[f's_search_{name}']:.2f} s"),
            bench.Line("written in", f"{facts[f's_write_{name}']:.1f} s"),
            bench.Line("peak memory of writing", f"{facts[f'rss_mb_{name}']:,} MB"),
        ]
    return bench.finish("report.html", lines, facts, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
