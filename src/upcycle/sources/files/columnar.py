"""Parquet and Arrow: rows in flat memory, row groups, and the class names that `datasets` writes into them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from upcycle.errors import SourceError
from upcycle.sources.card import label_names
from upcycle.sources.files.opened import File, Rows, for_arrow, kind_of, said
from upcycle.sources.files.remote import BLOCK, RemoteFile

_BATCH_BYTES = 8 << 20


def group_sizes(path: File) -> list[int]:
    """Rows of each row group of a Parquet file.

    Raises:
        SourceError: the file cannot be read.
    """
    import pyarrow.parquet as pq

    with said(path):
        facts = pq.read_metadata(for_arrow(path))
        return [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]


def group_rows(path: File, group: int) -> Rows:
    """Rows of one row group of a Parquet file.

    Raises:
        SourceError: the file cannot be read (from here on).
    """
    with said(path), _parquet(path) as file:
        yield from _group(file, group)


def parquet_rows(path: File) -> Rows:
    with _parquet(path) as file:
        for group in range(file.num_row_groups):
            yield from _group(file, group)


def _parquet(path: File) -> Any:
    import pyarrow.parquet as pq

    if isinstance(path, RemoteFile):
        # Without a buffer Arrow would read whole columns of a row group before its first row.
        return pq.ParquetFile(path.open(), buffer_size=BLOCK, pre_buffer=False)
    return pq.ParquetFile(path)


def _group(file: Any, group: int) -> Iterator[dict[str, Any]]:
    facts = file.metadata.row_group(group)
    # Batches by bytes, not by rows: a thousand rows of 1 MB each must not be in memory at once.
    size = max(1, min(1024, _BATCH_BYTES * max(1, facts.num_rows) // max(1, facts.total_byte_size)))
    for batch in file.iter_batches(batch_size=size, row_groups=[group]):
        yield from batch.to_pylist(maps_as_pydicts="lossy")


def arrow_rows(path: File) -> Rows:
    for batch in _arrow_readers(path):
        for start in range(0, batch.num_rows, 256):
            yield from batch.slice(start, 256).to_pylist(maps_as_pydicts="lossy")


def _arrow_readers(path: File) -> Iterator[Any]:
    """Record batches of an IPC file (Feather) or an IPC stream (what `datasets` keeps)."""
    import pyarrow as pa

    with path.open() if isinstance(path, RemoteFile) else pa.memory_map(str(path)) as mapped:
        try:
            file = pa.ipc.open_file(mapped)
        except pa.ArrowInvalid:
            mapped.seek(0)
            yield from pa.ipc.open_stream(mapped)
        else:
            for number in range(file.num_record_batches):
                yield file.get_batch(number)


def class_names(path: File) -> dict[str, tuple[str, ...]]:
    """Class names by flat column name, from the features that `datasets` writes into Parquet and Arrow files."""
    kind = kind_of(path)
    try:
        with said(path):
            if kind == "parquet":
                import pyarrow.parquet as pq

                metadata = pq.read_schema(for_arrow(path)).metadata
            elif kind == "arrow":
                metadata = next(_arrow_readers(path)).schema.metadata
            else:
                return {}
            features = orjson.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    except (SourceError, ValueError, AttributeError):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        _classes_in(feature, str(name), found)
    return found


def _classes_in(feature: Any, name: str, found: dict[str, tuple[str, ...]]) -> None:
    if isinstance(feature, list):
        feature = {"feature": feature[0]} if feature else {}
    if not isinstance(feature, dict):
        return
    if feature.get("_type") == "ClassLabel":
        if names := label_names(feature.get("names")):
            found[name] = names
    elif "feature" in feature:
        _classes_in(feature["feature"], name, found)
    elif "_type" not in feature:
        for key, inner in feature.items():
            _classes_in(inner, f"{name}.{key}", found)
