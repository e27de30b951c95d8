"""The dataset of a run on disk: `data/*.parquet`, `provenance/*.parquet`, `dropped/*.parquet`.

Rows come from the journal in flat memory, shuffled with the run's seed; every shard is written whole and renamed, and
the card (written last, elsewhere) points `datasets.load_dataset(run)` at all of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import orjson

from upcycle.errors import boundary
from upcycle.records import Dropped, Example
from upcycle.run import Run

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_ROWS = 100_000
STAGE = "transform"
"""The journal's stage that holds examples and drops."""

EXAMPLE_COLUMNS = ("id", "input", "output", "rationale", "choices", "method", "source", "weight")
ORIGIN_COLUMNS = (
    *("method", "source", "revision", "config", "split", "record", "record_sha256", "plan", "plan_by", "program"),
    *("calls", "model", "round", "parents", "licences", "cost_micro_usd", "tokens"),
)
_IDENTIFYING = ("method", "source", "revision", "config", "split", "record", "record_sha256", "plan")
DROPPED_COLUMNS = ("id", *_IDENTIFYING, "stage", "kind", "reason", "input", "output", "score", "other")
_CHUNK = 2_000


class Written(NamedTuple):
    """Rows on disk: per split, and dropped."""

    splits: dict[str, int]
    dropped: int


def write(run: Run, *, split: dict[str, float], seed: int) -> Written:
    """Write the dataset a run's journal holds; what an earlier call wrote is replaced.

    Raises:
        DiskError: no room; what was there before stays whole.
    """
    rows = run.journal.row_numbers(STAGE, "kept")
    Random(seed).shuffle(rows)
    counts: dict[str, int] = {}
    start = 0
    for name, end in _ends(split, len(rows)):
        if end > start:
            counts[name] = end - start
        _write_split(run, name, rows[start:end], {"data": EXAMPLE_COLUMNS, "provenance": ("id", *ORIGIN_COLUMNS)})
        start = end
    dropped = run.journal.row_numbers(STAGE, "dropped") + run.journal.row_numbers(STAGE, "failed")
    _write_split(run, "train", dropped, {"dropped": DROPPED_COLUMNS})
    return Written(counts, len(dropped))


def write_examples(path: Path, splits: Mapping[str, Sequence[Example]], dropped: Sequence[Dropped]) -> Written:
    """Write examples that are in memory in the same layout, in their order; what an earlier call wrote is replaced.

    Raises:
        DiskError: no room; what was there before stays whole.
    """
    for name, examples in splits.items():
        columns = {"data": EXAMPLE_COLUMNS, "provenance": ("id", *ORIGIN_COLUMNS)}
        _write_shards(path, name, map(_table, _texts(examples)), columns)
    _write_shards(path, "train", map(_table, _texts(dropped)), {"dropped": DROPPED_COLUMNS})
    for folder in ("data", "provenance"):
        for file in (path / folder).glob("*.parquet"):
            if file.name.rsplit("-", 3)[0] not in splits:
                file.unlink()
    return Written({name: len(examples) for name, examples in splits.items() if examples}, len(dropped))


def _texts(values: Sequence[Example] | Sequence[Dropped]) -> Iterator[list[str]]:
    for start in range(0, len(values), _CHUNK):
        yield [orjson.dumps(value).decode() for value in values[start : start + _CHUNK]]


def _ends(split: dict[str, float], rows: int) -> Iterator[tuple[str, int]]:
    total, share = sum(split.values()), 0.0
    for name in ("train", "validation", "test"):
        share += split.get(name, 0.0)
        yield name, round(rows * share / total)


def _write_split(run: Run, name: str, rows: array[int], folders: Mapping[str, Sequence[str]]) -> None:
    """Write the rows with these numbers into one or more folders, each with its own columns of them."""
    chunks = (rows[start : start + _CHUNK].tolist() for start in range(0, len(rows), _CHUNK))
    _write_shards(run.path, name, (_table(run.journal.texts_at(chunk)) for chunk in chunks), folders)


def _write_shards(path: Path, name: str, tables: Iterable[pa.Table], folders: Mapping[str, Sequence[str]]) -> None:
    shards = [_Shards(path / folder, name, columns) for folder, columns in folders.items()]
    try:
        for table in tables:
            for one in shards:
                one.add(table)
        for one in shards:
            one.close()
        for one in shards:
            one.publish()
    finally:
        for one in shards:
            one.discard()


class _Shards:
    """Parquet files of one split: their number is part of their names, so they get those once all are written."""

    def __init__(self, folder: Path, name: str, columns: Sequence[str]) -> None:
        self._folder, self._name, self._columns = folder, name, columns
        self._parts: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, _type(name)) for name in self._columns])
        with boundary(f"{self._folder}"):
            if self._writer is None or self._rows >= SHARD_ROWS:
                self.close()
                self._folder.mkdir(parents=True, exist_ok=True)
                self._parts.append(self._folder / f".{self._name}-{len(self._parts):05d}.part")
                self._writer, self._rows = pq.ParquetWriter(self._parts[-1], schema, compression="zstd"), 0
            columns = [table[name if name in table.column_names else f"origin.{name}"] for name in self._columns]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            self._rows += len(table)

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with boundary(f"{self._folder}"):
                writer.close()

    def publish(self) -> None:
        """Give the files their names and remove those of an earlier call."""
        names = [f"{self._name}-{i:05d}-of-{len(self._parts):05d}.parquet" for i in range(len(self._parts))]
        with boundary(f"{self._folder}"):
            for part, name in zip(self._parts, names, strict=True):
                part.replace(self._folder / name)
        for old in self._folder.glob(f"{self._name}-*.parquet"):
            if old.name not in names:
                old.unlink()

    def discard(self) -> None:
        """Remove what was not published."""
        for part in self._parts:
            part.unlink(missing_ok=True)


def _table(texts: Sequence[str]) -> pa.Table:
    """The journal's values as columns, those inside `origin` under their dotted names.

    They are JSON already, so Arrow reads them: a tenth of the time of decoding and converting them here, and building
    arrays from Python values would import pandas wherever it is installed.
    """
    import pyarrow as pa
    import pyarrow.json as pj

    lines = "\n".join(texts).encode()
    named = [(name, _type(name)) for name in dict.fromkeys((*EXAMPLE_COLUMNS, *DROPPED_COLUMNS))]
    origin = pa.struct([(name, _type(name)) for name in ORIGIN_COLUMNS])
    schema = pa.schema([*((name, kind) for name, kind in named if name not in ORIGIN_COLUMNS), ("origin", origin)])
    return pj.read_json(
        pa.BufferReader(lines),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    ).flatten()


def _type(name: str) -> pa.DataType:
    import pyarrow as pa

    if name in ("choices", "calls", "parents", "licences"):
        return pa.list_(pa.string())
    if name in ("weight", "score"):
        return pa.float64()
    return pa.int64() if name in ("round", "cost_micro_usd", "tokens") else pa.string()
