"""How long an index of 75,000 and of 1,000,000 dataset cards takes to build, to search, and in memory.

    python benchmarks/catalog.py --data FOLDER [--json] [--small 75000] [--large 1000000] [--no-large] [--dense]

The cards are those of the catalog dump (described.parquet, name_only.parquet), repeated with edits up to the size:
a repeated card gets another id, drops some of its words and swaps others with another card's. Everything runs in
processes of its own; the first search of each is the cold one, from the command line, start-up included.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from bench import UPCYCLE, Line, arguments, checked, finish, measure

_SEARCHES = 200
_INSIDE = """
import json, os, sys, time
from pathlib import Path
from random import Random
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from upcycle.sources.index.card_index import CardIndex
from upcycle.sources.index.shortlist import CONSIDERED, looked_into
index = CardIndex.open(Path(sys.argv[1]), dense=sys.argv[3] == "dense")
queries = json.loads(Path(sys.argv[2]).read_text())
for query in queries[:5]:
    index.search(query, limit=10)
seconds = []
for query in queries:
    began = time.perf_counter()
    index.search(query, limit=10)
    seconds.append(time.perf_counter() - began)
again = []
for query in queries:
    began = time.perf_counter()
    looked_into(query, index.search(query, limit=CONSIDERED))
    again.append(time.perf_counter() - began)
told = {"p50": np.percentile(seconds, 50), "p95": np.percentile(seconds, 95), "again": np.percentile(again, 95)}
print(json.dumps({name: float(value) for name, value in told.items()}))
"""
_BUILD = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
from upcycle.sources.encoder import encoder_named
from upcycle.sources.index.listing import from_row
from upcycle.sources.index.store import write_index
rows = (row for batch in pq.ParquetFile(sys.argv[1]).iter_batches(4096) for row in batch.to_pylist())
encoder = encoder_named(sys.argv[3]) if len(sys.argv) > 3 else None
write_index(filter(None, map(from_row, rows)), Path(sys.argv[2]), encoder=encoder)
"""


def cards(data: Path, count: int) -> Iterator[dict[str, Any]]:
    """So many cards: the real ones, then edited copies."""
    import pyarrow.parquet as pq

    real: list[dict[str, Any]] = []
    for name in ("described.parquet", "name_only.parquet"):
        real += pq.read_table(data / name).to_pylist()
    random = Random(0)
    for number in range(count):
        row = real[number % len(real)]
        if number >= len(real):
            row = _edited(row, real[random.randrange(len(real))], number, random)
        keys = ("description", "language", "license", "task_categories", "features", "downloads")
        yield {"id": row["name"], **{key: row.get(key) for key in keys}}


def _edited(row: dict[str, Any], other: dict[str, Any], number: int, random: Random) -> dict[str, Any]:
    mine, theirs = (row.get("description") or "").split(), (other.get("description") or "").split()
    words = [word for word in mine if random.random() > 0.15]
    for _ in range(min(len(words), len(theirs)) // 5):
        words[random.randrange(len(words))] = random.choice(theirs)
    return {**row, "name": f"{row['name']}-{number}", "description": " ".join(words)}


def write_cards(data: Path, count: int, path: Path) -> None:
    """The cards as a dump, a few at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    strings = pa.list_(pa.string())
    schema = pa.schema([("id", pa.string()), ("description", pa.string()), ("language", strings), ("license", strings),
                        ("task_categories", strings), ("features", strings), ("downloads", pa.int64())])  # fmt: skip
    with pq.ParquetWriter(path, schema) as writer:
        waiting: list[dict[str, Any]] = []
        for row in cards(data, count):
            waiting.append(row)
            if len(waiting) == 20_000:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []
        writer.write_table(pa.Table.from_pylist(waiting, schema))


def queries(data: Path) -> list[str]:
    """Pieces of descriptions, and sentences as people write them."""
    import pyarrow.parquet as pq

    random = Random(1)
    texts = [text for text in pq.read_table(data / "described.parquet")["description"].to_pylist() if text]
    found = []
    for number in range(_SEARCHES):
        words = random.choice(texts).split()
        start = random.randrange(max(1, len(words) - 8))
        piece = " ".join(words[start : start + random.randint(3, 12)])
        found.append(piece if number % 2 else f"We want to build a system for {piece}")
    return found


def searched(folder: Path, asked: Path, *, dense: bool) -> tuple[dict[str, float], float]:
    """Times of warm searches, and peak memory (MB), of a process of its own."""
    measured = checked(measure([sys.executable, "-c", _INSIDE, str(folder), str(asked), "dense" if dense else "words"]))
    return json.loads(measured.out.splitlines()[-1]), measured.rss_mb


def built(dump: Path, folder: Path, *encoder: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of building an index."""
    measured = checked(measure([sys.executable, "-c", _BUILD, str(dump), str(folder), *encoder]))
    return measured.seconds, measured.rss_mb


def cold(dump: Path, cache: Path, query: str) -> float:
    """Seconds of `upcycle search` from the command line; the median of five."""
    env = {**os.environ, "UPCYCLE_CACHE": str(cache)}
    checked(measure([*UPCYCLE, "index", "import", str(dump), "--encoder", "none"], env=env))
    command = [*UPCYCLE, "search", query, "--source", "hub"]
    return sorted(checked(measure(command, env=env)).seconds for _ in range(5))[2]


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with described.parquet and name_only.parquet")
    parser.add_argument("--small", type=int, default=75_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--no-large", action="store_true", help="leave the large one out")
    args = parser.parse_args()
    if not (args.data / "described.parquet").is_file():
        print(f"{args.data} holds no described.parquet; give the folder of the catalog dump", file=sys.stderr)
        return 2
    lines: list[Line] = []
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        asked = place / "queries.json"
        asked.write_text(json.dumps(queries(args.data)))
        small = place / "small.parquet"
        write_cards(args.data, args.small, small)
        _small(small, place, asked, lines, facts)
        if not args.no_large:
            large = place / "large.parquet"
            write_cards(args.data, args.large, large)
            _large(large, place, asked, lines, facts)
    return finish("An index of dataset cards", lines, facts, as_json=args.json)


def _small(dump: Path, place: Path, asked: Path, lines: list[Line], facts: dict[str, Any]) -> None:
    seconds, _ = built(dump, place / "words")
    times, rss = searched(place / "words", asked, dense=False)
    first = cold(dump, place / "cache", json.loads(asked.read_text())[0])
    began = time.perf_counter()
    dense_seconds, _ = built(dump, place / "dense", "static")
    dense_times, dense_rss = searched(place / "dense", asked, dense=True)
    facts |= {
        "build_s_75k": round(seconds, 2),
        "p95_ms_75k": round(1e3 * times["p95"], 2),
        "shortlist_p95_ms_75k": round(1e3 * times["again"], 2),
        "cold_ms_75k": round(1e3 * first, 1),
        "rss_mb_75k": round(rss, 1),
        "dense_build_s_75k": round(dense_seconds, 1),
        "dense_p95_ms_75k": round(1e3 * dense_times["p95"], 1),
        "dense_rss_mb_75k": round(dense_rss, 1),
        "dense_s_75k": round(time.perf_counter() - began, 1),
    }
    lines += [
        Line("75,000 cards: words indexed", f"{seconds:.1f} s", "20 s"),
        Line("  search, p95 warm (p50)", f"{1e3 * times['p95']:.1f} ms ({1e3 * times['p50']:.1f})", "10 ms"),
        Line("  a hundred found and looked into again, p95", f"{1e3 * times['again']:.1f} ms"),
        Line("  search, cold from the command line", f"{1e3 * first:.0f} ms", "250 ms"),
        Line("  memory while searching", f"{rss:.0f} MB", "400 MB"),
        Line("  words and static vectors indexed", f"{dense_seconds:.1f} s", "360 s"),
        Line("  search with both, p95 warm", f"{1e3 * dense_times['p95']:.1f} ms", "60 ms"),
        Line("  memory with both", f"{dense_rss:.0f} MB"),
    ]


def _large(dump: Path, place: Path, asked: Path, lines: list[Line], facts: dict[str, Any]) -> None:
    seconds, rss = built(dump, place / "large", "static")
    times, _ = searched(place / "large", asked, dense=False)
    both, dense_rss = searched(place / "large", asked, dense=True)
    facts |= {
        "build_s_1m": round(seconds, 1),
        "build_rss_mb_1m": round(rss, 1),
        "p95_ms_1m": round(1e3 * times["p95"], 2),
        "dense_p95_ms_1m": round(1e3 * both["p95"], 1),
        "dense_rss_mb_1m": round(dense_rss, 1),
    }
    lines += [
        Line("1,000,000 cards: both indexed", f"{seconds:.0f} s, {rss:.0f} MB"),
        Line("  search by words, p95 warm", f"{1e3 * times['p95']:.1f} ms", "50 ms"),
        Line("  search with both, p95 warm", f"{1e3 * both['p95']:.1f} ms", "300 ms"),
    ]


if __name__ == "__main__":
    sys.exit(main())
