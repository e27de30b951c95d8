"""`make demo`: the main job with no key and no network, and five of its rows beside the records they came from.

Sources are real and on every machine: the functions of the standard library and of installed packages. The embedded
model reranks and plans; it shows the machinery, not the quality of a served model.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq

import upcycle
from upcycle.cli import main
from upcycle.sources.source import open_sources

HERE = Path(__file__).parent
OUT = Path("runs") / "demo"
SOURCES = ("stdlib", "python:numpy", "python:pydantic", "python:rich")
INSTRUCTION = "Say in one English sentence what a Python function does."


def demo() -> int:
    """Build, check, show."""
    arguments = ["build", INSTRUCTION, "-e", str(HERE / "python_demos.jsonl"), "-n", "100", "-o", str(OUT)]
    arguments += [part for source in SOURCES for part in ("--source", source)]
    arguments += ["--model", "embedded/smollm2", "--max-share", "0.5", "--max-sources", "3"]
    print("$ upcycle", *(f'"{part}"' if " " in part else part for part in arguments), flush=True)
    code = main(arguments)
    rows = pq.read_table(OUT / "data").to_pylist()
    origins = {row["id"]: row for row in pq.read_table(OUT / "provenance").to_pylist()}
    used = {row["source"] for row in rows}
    if code or len(rows) < 50 or len(used) < 2:
        print(f"expected 50 examples from 2 sources, found {len(rows)} from {len(used)}", file=sys.stderr)
        return code or 1
    show(rows, origins)
    print(f"\nThe dataset is in {OUT.resolve()}: {len(rows)} examples from {', '.join(sorted(used))}.")
    print(
        f'Load it with datasets.load_dataset("{OUT}"); ask why a row is there with: upcycle why {OUT} {rows[0]["id"]}'
    )
    return 0


def show(rows: list[dict], origins: dict[str, dict]) -> None:
    """Five rows beside their source records, from as many sources as there are."""
    picked: list[dict] = []
    for source in sorted({row["source"] for row in rows}) * 5:
        more = [row for row in rows if row["source"] == source and row not in picked]
        if more and len(picked) < 5:
            picked.append(min(more, key=lambda row: len(row["input"])))
    opened, _ = open_sources(SOURCES)
    wanted = {(origins[row["id"]]["source"], origins[row["id"]]["record"]): row for row in picked}
    records = {}
    for source in opened:
        for record in source.records():
            if (source.card.id, record.id) in wanted:
                records[source.card.id, record.id] = record
    for key, row in wanted.items():
        print(f"\n{'─' * 100}\nrecord {key[1]} of {key[0]}, upcycle {upcycle.__version__}, example {row['id']}")
        print(_beside("as found", _text(records[key].fields), "as made", f"{row['input']}\n\n=> {row['output']}"))


def _text(fields: object) -> str:
    return "\n".join(f"{name}: {value}" for name, value in dict(fields).items())  # type: ignore[call-overload]


def _beside(left_title: str, left: str, right_title: str, right: str, width: int = 58, most: int = 14) -> str:
    columns = []
    for title, text in ((left_title, left), (right_title, right)):
        lines = [
            piece for line in text.split("\n") for piece in (textwrap.wrap(line, width, drop_whitespace=False) or [""])
        ]
        columns.append([title.upper(), *(lines if len(lines) <= most else [*lines[: most - 1], "…"])])
    height = max(map(len, columns))
    padded = [column + [""] * (height - len(column)) for column in columns]
    return "\n".join(f"{a:<{width}} │ {b}" for a, b in zip(*padded, strict=True))


if __name__ == "__main__":
    sys.exit(demo())
