"""What `source2synth.py` works on: documents and tables of the shared data, and held-out questions over others.

Each application gives its sources, its task file and its gold as rows with `id`, `input`, `output`; inputs of the gold
are worded as the product's own. No title and no table of the gold is among the sources.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("UPCYCLE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SENTENCES = 2  # of a paragraph: two cores read 300 tokens an example in the hour, not 1,000
TABLE_CHARS = 800  # of a table, likewise

Row = dict[str, Any]


def write_documents(place: Path, count: int) -> list[Row]:
    """Paragraphs of HotpotQA and 2WikiMultihopQA as `documents.jsonl`; gives bridge questions of HotpotQA as gold."""
    import pyarrow.parquet as pq

    folder = SHARED / "documents"
    questions = pq.read_table(folder / "hotpotqa" / "dev_500.parquet").to_pylist()
    held_out = [row for row in questions if row["type"] == "bridge"][:count]
    titles = {title for row in held_out for title in row["context"]["title"]}
    ids = {row["id"] for row in held_out}
    texts: dict[str, str] = {}
    for row in questions:
        if row["id"] not in ids:
            for title, said in zip(row["context"]["title"], row["context"]["sentences"], strict=True):
                texts.setdefault(title, "".join(said[:SENTENCES]).strip())
    for row in pq.read_table(folder / "multihop_2wiki" / "corpus.parquet").to_pylist():
        texts.setdefault(row["title"], " ".join(re.split(r"(?<=[.!?]) ", row["text"])[:SENTENCES]))
    _write_lines(
        place / "documents.jsonl",
        [{"title": title, "text": text} for title, text in texts.items() if title not in titles],
    )
    return [{"id": row["id"], "input": _hotpot(row), "output": row["answer"]} for row in held_out]


def _hotpot(row: Row) -> str:
    """A HotpotQA question with its two paragraphs."""
    wanted = dict.fromkeys(row["supporting_facts"]["title"])
    texts = dict(zip(row["context"]["title"], row["context"]["sentences"], strict=True))
    context = "\n\n".join(f"{title}: {''.join(texts[title]).strip()}" for title in wanted)
    return f"Context: {context}\nQuestion: {row['question']}"


def write_tables(place: Path, count: int) -> list[Row]:
    """Small WikiSQL tables as `small.tables.jsonl`; gives people's questions over other ones, answered by a cell."""
    from upcycle.sources.tables.table import cell_text

    folder = SHARED / "tables" / "wikisql_join"
    _write_lines(place / "small.tables.jsonl", [row for row, _ in _small(folder / "train.tables.jsonl")])
    asked = {row["id"]: text for row, text in _small(folder / "dev.tables.jsonl")}
    found: list[Row] = []
    for number, row in enumerate(map(json.loads, (folder / "dev.jsonl").open(encoding="utf-8"))):
        context = asked.get(row["table_id"])
        if context is None or row["sql"]["agg"] or len(row["answer"]) != 1:
            continue
        answer = cell_text(row["answer"][0])
        if f" {answer} " in f" {context} ".replace("\n", " "):
            found.append({"id": str(number), "input": f"Context: {context}\nQuestion: {row['question']}",
                          "output": answer})  # fmt: skip
    return found[:: max(1, len(found) // count)][:count]


def _small(path: Path) -> Iterator[tuple[Row, str]]:
    """Tables that can be used and are short, each with what it shows."""
    from upcycle.sources.tables.table import Table, make_table, shown

    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            table = make_table(row["id"], row["header"], row["rows"], title=row["page_title"])
            if isinstance(table, Table) and len(text := shown(table)) <= TABLE_CHARS:
                yield row, text


def _write_lines(path: Path, rows: list[Row]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
