"""The dataset of a run on disk: `data/*.parquet`, `provenance/*.parquet`, `dropped/*.parquet`.

Rows come from the journal in flat memory, shuffled with the run's seed; every shard is written whole and renamed, and
the card (written last, elsewhere) points `datasets.load_dataset(run)` at all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from upcycle.errors import boundary
from upcycle.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_ROWS = 100_000
STAGE = "transform"
"""The journal's stage that holds examples and drops."""

EXAMPLE_COLUMNS = ("id", "input", "output", "rationale", "choices", "method", "source", "weight")
ORIGIN_COLUMNS = (
    *("method", "source", "revision", "config", "split", "record", "record_sha256", "plan", "program", "calls"),
    *("model", "round", "parents", "licences", "cost_micro_usd", "tokens"),
)


class Written(NamedTuple):
    """Rows on disk: per split, and dropped."""

    splits: dict[str, int]
    dropped: int


def write(run: Run, *, split: dict[str, float], seed: int) -> Written:
    """Write the dataset a run's journal holds; what an earlier call wrote is replaced.

    Raises:
        DiskError: no room; what was there before stays whole.
    """
    import numpy as np

    rows = run.journal.row_numbers(STAGE, "kept")
    order = np.random.default_rng(seed).permutation(len(rows))
    rows = rows[order]
    counts: dict[str, int] = {}
    start = 0
    for name, end in _ends(split, len(rows)):
        if end > start:
            counts[name] = end - start
            part = rows[start:end]
            _write_shards(run.path / "data", name, _chunks(run, part), _example_row, _example_schema())
            _write_shards(run.path / "provenance", name, _chunks(run, part), _origin_row, _origin_schema())
        else:
            _remove_old(run.path / "data", name, keep=set())
            _remove_old(run.path / "provenance", name, keep=set())
        start = end
    dropped = run.journal.row_numbers(STAGE, "dropped")
    failed = run.journal.row_numbers(STAGE, "failed")
    all_dropped = np.concatenate([dropped, failed])
    if len(all_dropped):
        _write_shards(run.path / "dropped", "train", _chunks(run, all_dropped), _dropped_row, _dropped_schema())
    else:
        _remove_old(run.path / "dropped", "train", keep=set())
    return Written(counts, len(all_dropped))


def _ends(split: dict[str, float], rows: int) -> Iterator[tuple[str, int]]:
    total, share = sum(split.values()), 0.0
    for name in ("train", "validation", "test"):
        share += split.get(name, 0.0)
        yield name, round(rows * share / total)


def _chunks(run: Run, rows: Any) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), 2_000):
        yield run.journal.values_at(rows[start : start + 2_000].tolist())


def _example_row(value: dict[str, Any]) -> dict[str, Any]:
    origin = value["origin"]
    return {**{c: value.get(c) for c in EXAMPLE_COLUMNS}, "method": origin["method"], "source": origin["source"]}


def _origin_row(value: dict[str, Any]) -> dict[str, Any]:
    return {"id": value["id"], **value["origin"]}


def _dropped_row(value: dict[str, Any]) -> dict[str, Any]:
    origin = value["origin"]
    return {k: v for k, v in value.items() if k != "origin"} | {c: origin[c] for c in _IDENTIFYING}


_IDENTIFYING = ("method", "source", "revision", "config", "split", "record", "record_sha256", "plan")


def _write_shards(folder: Path, name: str, chunks: Iterator[Sequence[Any]], shape: Any, schema: pa.Schema) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The number of shards is part of their names, so they are written under part names first.
    parts: list[Path] = []
    writer, rows = None, 0
    with boundary(f"{folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for chunk in chunks:
                if writer is None or rows >= SHARD_ROWS:
                    if writer is not None:
                        writer.close()
                    parts.append(folder / f".{name}-{len(parts):05d}.part")
                    writer, rows = pq.ParquetWriter(parts[-1], schema, compression="zstd"), 0
                writer.write_table(pa.Table.from_pylist([shape(value) for value in chunk], schema=schema))
                rows += len(chunk)
            if writer is not None:
                writer.close()
                writer = None
            names = [folder / f"{name}-{i:05d}-of-{len(parts):05d}.parquet" for i in range(len(parts))]
            for part, final in zip(parts, names, strict=True):
                part.replace(final)
            _remove_old(folder, name, keep=set(names))
        finally:
            for part in parts:
                part.unlink(missing_ok=True)


def _remove_old(folder: Path, name: str, *, keep: set[Path]) -> None:
    for old in folder.glob(f"{name}-*.parquet"):
        if old not in keep:
            old.unlink()


def _example_schema() -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    kinds = {"choices": pa.list_(text), "weight": pa.float64()}
    return pa.schema([(name, kinds.get(name, text)) for name in EXAMPLE_COLUMNS])


def _origin_schema() -> pa.Schema:
    import pyarrow as pa

    lists, numbers = {"calls", "parents", "licences"}, {"round", "cost_micro_usd", "tokens"}
    kinds = {**dict.fromkeys(lists, pa.list_(pa.string())), **dict.fromkeys(numbers, pa.int64())}
    return pa.schema([("id", pa.string()), *((name, kinds.get(name, pa.string())) for name in ORIGIN_COLUMNS)])


def _dropped_schema() -> pa.Schema:
    import pyarrow as pa

    names = ["id", *_IDENTIFYING, "stage", "kind", "reason", "input", "output", "score", "other"]
    return pa.schema([(name, pa.float64() if name == "score" else pa.string()) for name in names])
