"""What tests of the whole command share: notes, a plan that asks a model, and `upcycle` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

PLAN = """\
source: notes
steps:
- {do: llm, into: title, fields: [text], ask: Write a short title for the note.}
input: "{text}"
output: "{title}"
"""
INSTRUCTION = "Write a short title for a note"
UPCYCLE = str(Path(sys.executable).with_name("upcycle"))


def write_inputs(folder: Path, count: int) -> None:
    """`notes.jsonl` with so many different notes, and `plan.yaml`."""
    lines = [json.dumps({"text": f"Note {number}: it says {number * number}."}) for number in range(count)]
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "plan.yaml").write_text(PLAN)


def command(folder: Path, url: str, rows: int, *more: str, instruction: str = INSTRUCTION) -> list[str]:
    """`upcycle build` over the notes into `folder/run`, one note a call unless `--batch` says otherwise."""
    flags = ["--source", str(folder / "notes.jsonl"), "--plan", str(folder / "plan.yaml"), "-o", str(folder / "run")]
    model = [] if "--model" in more else ["--model", "openai/fake"]
    batch = [] if "--batch" in more else ["--batch", "1"]
    return [UPCYCLE, "build", instruction, "-n", str(rows), *flags, "--base-url", url, *model, *batch, *more]


def run(asked: Sequence[str], **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with no key but what is given."""
    known = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(asked, capture_output=True, text=True, env={**known, **environ}, timeout=120, check=False)


def start(asked: Sequence[str]) -> subprocess.Popen[str]:
    """Start a command whose events are read line by line."""
    return subprocess.Popen([*asked, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_kept(process: subprocess.Popen[str], count: int) -> None:
    """Return once the process says that it kept so many rows; by then more may be under way."""
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line)
        if event["kind"] == "progress" and event["kept"] >= count:
            return
    raise AssertionError("the process ended before it kept as many rows")


def kept(folder: Path) -> list[dict[str, Any]]:
    """Rows of the dataset."""
    return pq.read_table(folder / "run" / "data").to_pylist()


def notes_of(rows: Sequence[dict[str, Any]]) -> list[int]:
    """Which notes the rows were made of, sorted."""
    return sorted(int(row["input"].removeprefix("Note ").partition(":")[0]) for row in rows)
