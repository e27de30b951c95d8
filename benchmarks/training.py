"""LoRA fine-tuning of the embedded language model on a CPU: seconds and memory of one epoch over 500 examples.

    python benchmarks/training.py [--rows 500] [--threads 2] [--student smollm2] [--json]

The examples are made up and as long as the target says: a note of English words and its three longest words, together
128 tokens at most, to which the model's chat template adds its own. What is measured is `upcycle train` as a user runs
it, start-up, loading and writing included, in a process of its own with so many threads. `--rows 24` is a quick look.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import bench

ROWS = 500
TOKENS = 128
SECONDS = 12 * 60
MEGABYTES = 6 * 1024
_WORDS = (
    *("river", "mountain", "table", "seven", "green", "house", "under", "bright", "winter", "machine", "letter"),
    *("garden", "orange", "paper", "music", "silver", "window", "forest", "the", "a", "and", "then", "over", "near"),
    *("walked", "found", "small", "old", "came", "before", "after", "with", "their", "water", "light", "story"),
)


def main() -> int:
    parser = bench.arguments(__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="examples (default: 500; 24 for a quick look)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")
    parser.add_argument("--student", default="smollm2", help="smollm2, or the folder of a causal language model")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "notes.jsonl"
        write_notes(file, args.rows, args.student)
        command = [*bench.UPCYCLE, "train", str(file), "--student", args.student, "--kind", "text", "--epochs", "1"]
        command += ["--json", "-o", str(Path(folder) / "model"), "--patience", "0"]
        env = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
        measured = bench.checked(bench.measure(command, env=env))
    said = json.loads(measured.out)
    return bench.finish(
        f"upcycle train, {args.student}, LoRA rank 8, 1 epoch, {args.rows} examples, {args.threads} threads",
        list(lines(measured, said, args.rows)),
        {
            "s_500": round(measured.seconds * ROWS / args.rows, 1) if args.rows == ROWS else None,
            "seconds": round(measured.seconds, 1), "rss_mb": round(measured.rss_mb), "rows": args.rows,
            "cpu_seconds": round(measured.cpu, 1), "train_loss": said["train_loss"], "threads": args.threads,
        },
        as_json=args.json,
    )  # fmt: skip


def lines(measured: bench.Measured, said: dict[str, Any], rows: int) -> list[bench.Line]:
    whole = rows == ROWS
    fast, slim = measured.seconds <= SECONDS, measured.rss_mb <= MEGABYTES
    asked, good = (f"at most {SECONDS}", fast) if whole else ("", None)
    return [
        bench.Line("seconds", f"{measured.seconds:.0f}", asked, good),
        bench.Line("CPU seconds", f"{measured.cpu:.0f}", "", None),
        bench.Line("peak memory, MB", f"{measured.rss_mb:.0f}", f"at most {MEGABYTES}", slim),
        bench.Line("examples a second of training", f"{said['examples'] / said['seconds']:.2f}", "", None),
        bench.Line("loss on the validation tenth", "" if said["loss"] is None else f"{said['loss']:.3f}", "", None),
    ]


def write_notes(path: Path, rows: int, student: str) -> None:
    """Notes of 128 tokens at most with their output, by the student's own tokenizer."""
    from upcycle.training.bases import base_folder
    from upcycle.training.causal.model import open_tokenizer

    tokenizer = open_tokenizer(base_folder(student))
    draw = Random(0)
    # A tenth is held out as validation, and as many as the target says are to be learned.
    with path.open("w", encoding="utf-8") as file:
        for _ in range(round(rows / 0.9)):
            wanted = draw.randint(TOKENS // 2, TOKENS)
            words: list[str] = []
            output = text = ""
            while len(tokenizer(f"{text} {output}", verbose=False)["input_ids"]) < wanted - 3:
                words.append(draw.choice(_WORDS))
                text = f"Name the three longest words of this note. {' '.join(words)}."
                output = ", ".join(sorted(set(words), key=lambda word: (-len(word), word))[:3])
            file.write(json.dumps({"input": text, "output": output}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
