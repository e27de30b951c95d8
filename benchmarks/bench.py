"""What the benchmarks share: made-up rows, a plan with one call a row, a served model, measured processes, a table.

Nothing is measured in this process: every number is of a child, from `os.wait4` (wall, CPU of user and system, peak
memory), so start-up and imports count.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

import upcycle

INSTRUCTION = "Write a short title for a note"
MODEL = "openai/fake"
UPCYCLE = (str(Path(sys.executable).with_name("upcycle")),)
_WORDS = [
    "river",
    "mountain",
    "table",
    "quickly",
    "seven",
    "green",
    "house",
    "walking",
    "under",
    "bright",
    "winter",
    "machine",
    "letter",
    "garden",
    "orange",
    "paper",
    "music",
    "silver",
    "window",
    "forest",
]
_PLAN = """\
source: rows
steps:
- {do: llm, into: title, fields: [text], ask: Write a short title for the note.}
input: "{text}"
output: "{title}"
"""
_FREE_PLAN = """\
source: rows
input: "{text}"
output: "{number}"
"""


class Measured(NamedTuple):
    """One process from start to end; `rss_mb` is its peak."""

    seconds: float
    cpu: float
    rss_mb: float
    code: int
    out: str
    err: str


class Line(NamedTuple):
    """One line of the table: what, what it came to, what was asked."""

    what: str
    measured: str
    asked: str = ""
    good: bool | None = None


def arguments(about: str | None) -> argparse.ArgumentParser:
    """The flags every benchmark takes; also compiles the package, as installing it from a wheel would have."""
    compileall.compile_dir(Path(upcycle.__file__).parent, quiet=1)
    parser = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return parser


def write_rows(path: Path, count: int, *, seed: int = 0) -> None:
    """`count` different notes of about 150 characters as JSONL."""
    random = Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            words = " ".join(random.choices(_WORDS, k=25))
            file.write(json.dumps({"number": number, "text": f"Note {number}: {words}"}) + "\n")


def write_inputs(folder: Path, count: int, *, free: bool = False) -> None:
    """`rows.jsonl` and `plan.yaml`: one call a row, or none where `free`."""
    write_rows(folder / "rows.jsonl", count)
    (folder / "plan.yaml").write_text(_FREE_PLAN if free else _PLAN, encoding="utf-8")


ONE_A_CALL = ("--batch", "1")
"""What these benchmarks count are calls; how many records travel in one is measured in programs.py."""


def build_command(folder: Path, out: str, rows: int, *more: str) -> list[str]:
    """`upcycle build` over the folder's rows by its plan."""
    flags = ["-n", str(rows), "--source", str(folder / "rows.jsonl"), "--plan", str(folder / "plan.yaml"), *ONE_A_CALL]
    return [*UPCYCLE, "build", INSTRUCTION, *flags, "-o", str(folder / out), *more]


def asking(url: str, concurrency: int) -> list[str]:
    """Flags that name the served model."""
    return ["--model", MODEL, "--base-url", url, "--concurrency", str(concurrency)]


def measure(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end."""
    with _Output() as out, _Output() as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out.write, stderr=err.write, env=dict(env) if env else None)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        # ru_maxrss is in kilobytes on Linux and in bytes on macOS.
        rss = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        return Measured(seconds, usage.ru_utime + usage.ru_stime, rss, process.returncode, out.text(), err.text())


class _Output:
    """A pipe's worth of output in a file without a name, so that nobody has to read while the child runs."""

    def __enter__(self) -> Self:
        import tempfile

        self.write = tempfile.TemporaryFile()
        return self

    def text(self) -> str:
        self.write.seek(0)
        return self.write.read().decode(errors="replace")

    def __exit__(self, *_: object) -> None:
        self.write.close()


def checked(measured: Measured) -> Measured:
    """The same, or the end of the benchmark where the process failed."""
    if measured.code != 0:
        sys.exit(f"a measured process ended with {measured.code}:\n{measured.err[-2000:]}")
    return measured


@contextmanager
def served(*flags: str) -> Iterator[str]:
    """The fake server as a process of its own; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "upcycle.testing", "serve", *flags], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        if not (address := process.stdout.readline().strip()):
            raise SystemExit("the fake server did not start; its port may be taken")
        yield address
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def stats(url: str) -> dict[str, Any]:
    """What the server counted so far."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/stats", timeout=10) as answer:
        return json.loads(answer.read())


def kept_rows(run: Path) -> list[dict[str, Any]]:
    """Rows of the dataset in a run's folder."""
    import pyarrow.parquet as pq

    files = sorted((run / "data").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def finish(title: str, lines: Sequence[Line], facts: Mapping[str, Any], *, as_json: bool) -> int:
    """Print the table and, where wanted, the object; the exit code says whether everything asked was reached."""
    widths = [max(len(str(line[column])) for line in lines) for column in range(3)]
    print(f"\n{title}")
    for line in lines:
        verdict = {None: "", True: "yes", False: "NO"}[line.good]
        print(f"  {line.what:{widths[0]}}  {line.measured:>{widths[1]}}  {line.asked:{widths[2]}}  {verdict}".rstrip())
    if as_json:
        print(json.dumps(dict(facts)))
    return 0 if all(line.good is not False for line in lines) else 1
