"""The whole chain with a served model: search, rerank, expand, fields, plan, pilot, transform; killed and resumed.

The model is the embedded one behind its own local server: small and slow, so the numbers are of the machinery. Needs
the weights (`upcycle models fetch smollm2`) and the shared data folder (`UPCYCLE_DATA`, or ../shared/data).
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from bench import UPCYCLE, Line, arguments, finish, kept_rows, served, stats

DATA = Path(os.environ.get("UPCYCLE_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
ROWS = 40
KILLS = 3
_VERDICTS = """\
source: rotten_tomatoes
steps:
- do: llm
  into: verdict
  fields: [text]
  ask: Is the review positive or negative?
  contract: {kind: label, labels: [positive, negative]}
input: "{text}"
output: "{verdict}"
"""
TASKS = {
    "math_word_problems": ("gsm8k", None),
    "imdb_sentiment": ("sst2", None),
    "elementary_math_qa": ("aqua_rat", None),
    "imdb_sentiment, written by the model": (
        "rotten_tomatoes",
        _VERDICTS,
    ),
}


def main() -> int:
    """Run every task, killing each at random moments."""
    given = arguments(__doc__).parse_args()
    if not DATA.is_dir():
        sys.exit(f"the shared data folder is not at {DATA}")
    lines: list[Line] = []
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, served("--model", "embedded/smollm2") as url:
        for number, (name, (source, plan)) in enumerate(TASKS.items()):
            out = Path(folder) / f"run{number}"
            command = _command(Path(folder), number, name, source, plan, url, out)
            started, paid = time.perf_counter(), stats(url)["paid"]
            kills = _killed(command, Random(number))
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            calls = _calls(out)
            rows = kept_rows(out)
            unique = len({row["id"] for row in rows})
            facts[name] = {
                "rows": len(rows),
                "unique": unique,
                "kills": kills,
                "seconds": round(time.perf_counter() - started, 1),
                "calls": calls,
                "paid": stats(url)["paid"] - paid,
            }
            good = done.returncode == 0 and len(rows) == unique == ROWS
            told = ", ".join(f"{stage} {count}" for stage, count in calls.items())
            lines.append(Line(name, f"{len(rows)} rows, {kills} kills", f"{ROWS} rows; calls: {told}", good))
            if not good:
                print(done.stderr[-1500:], file=sys.stderr)
    return finish("The chain with a served model, killed and resumed", lines, facts, as_json=given.json)


def _command(folder: Path, number: int, name: str, source: str, plan: str | None, url: str, out: Path) -> list[str]:
    task = (DATA / "tasks" / name.split(",")[0] / "task.json").read_text(encoding="utf-8")
    file = folder / f"task{number}.yaml"
    # JSON is YAML: the task's own keys, and the settings as one more.
    merged = task.rstrip().removesuffix("}").replace('"gold": "gold.jsonl"', '"gold": null')
    file.write_text(merged + ', "methods": {"datatune": {"votes": 1, "candidates": 3, "max_sources": 1,'
                    ' "pilot_records": 2}}}', encoding="utf-8")  # fmt: skip
    more: list[str] = []
    if plan is not None:
        (folder / f"plan{number}.yaml").write_text(plan, encoding="utf-8")
        more = ["--plan", str(folder / f"plan{number}.yaml")]
    model = ["--model", "openai/smollm2", "--base-url", url, "--concurrency", "2"]
    return [
        *UPCYCLE,
        "build",
        str(file),
        "-n",
        str(ROWS),
        "--source",
        str(DATA / "hub" / source),
        *model,
        *more,
        "-o",
        str(out),
    ]


def _killed(command: list[str], random: Random) -> int:
    """Start the command and kill it at a random moment, `KILLS` times or until it ends before."""
    for kill in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=random.uniform(5, 15))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        else:
            return kill
    return KILLS


def _calls(run: Path) -> dict[str, int]:
    db = sqlite3.connect(f"file:{run / 'run.db'}?mode=ro", uri=True)
    try:
        return dict(db.execute("SELECT stage, count(*) FROM calls WHERE state='done' GROUP BY stage").fetchall())
    finally:
        db.close()


if __name__ == "__main__":
    sys.exit(main())
