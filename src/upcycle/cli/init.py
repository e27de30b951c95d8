"""Write a commented task file, from four questions or from flags."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "write a commented task file"

_TEMPLATE = """\
# What the small model must do. Every key is explained in docs/task-file.md.
name: {name}
instruction: {instruction}

# A few examples of what you want, or the path of a .jsonl, .json, .csv or .tsv file with input and output.
demonstrations: {demonstrations}

# What every output must be is read off the demonstrations; anything given here wins.
# contract: {{kind: text, max_chars: 200}}     # kind: label, choice, text, number, code or span
# language: en
# gold: gold.jsonl                            # labelled items kept for evaluation; rows that repeat them are dropped

rows: {rows}
sources: {sources}                  # folders or files of datasets; "stdlib" is the built-in one

# model: openai/NAME                          # or anthropic/NAME, embedded/smollm2, a .gguf file, none
# budget: 5usd                                # or 200ktok, 1000calls
"""


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "file", nargs="?", default="task.yaml", metavar="FILE", help="where to write it (default: task.yaml)"
    )
    verb.add_argument("--instruction", metavar="TEXT", help="what the model must do")
    verb.add_argument("--examples", metavar="FILE", help="file with demonstrations")
    verb.add_argument("--rows", type=int, metavar="N", help="how many examples")
    verb.add_argument("--source", action="append", metavar="DIR|stdlib", help="where data may come from")
    verb.add_argument("--force", action="store_true", help="replace the file if it exists")


def run(args: argparse.Namespace) -> int:
    import json

    from upcycle.cli import console
    from upcycle.errors import ConfigError
    from upcycle.run.folder import write_text
    from upcycle.task import slug
    from upcycle.taskfile import load_task_file

    path = Path(args.file)
    if path.exists() and not args.force:
        raise ConfigError(f"{path} exists; give another name, or --force to replace it")
    instruction = args.instruction or _ask("What must the model do, in a sentence?", None)
    examples = args.examples or _ask("A file with demonstrations (empty for none)?", "")
    rows = args.rows if args.rows is not None else _ask("How many examples?", "500")
    sources = args.source or [_ask("A folder of datasets, or stdlib?", "stdlib")]
    quoted = json.dumps
    text = _TEMPLATE.format(
        name=slug(instruction),
        instruction=quoted(instruction, ensure_ascii=False),
        demonstrations=quoted(examples, ensure_ascii=False) if examples else "[]",
        rows=rows,
        sources=quoted(sources, ensure_ascii=False),
    )
    write_text(path, text)
    try:
        load_task_file(path)
    except ConfigError:
        path.unlink()
        raise
    if args.json:
        console.print_object({"file": str(path)})
    else:
        print(f"wrote {path}; next: upcycle build {path}")
    return 0


def _ask(question: str, default: str | None) -> str:
    from upcycle.errors import ConfigError

    if not sys.stdin.isatty():
        if default is None:
            raise ConfigError("there is no terminal to ask on; give --instruction (and --examples, --rows, --source)")
        return default
    answer = input(f"{question} " + (f"[{default}] " if default else "")).strip()
    while not answer and default is None:
        answer = input(f"{question} ").strip()
    return answer or default or ""
