"""One reader per kind of file: JSONL, JSON, CSV, TSV, Parquet, Arrow; text kinds also as `.gz`.

In: a path. Out: `rows(path)`, an iterator of dicts and `Damaged` in the order of the file, in flat memory; `probe`,
`count` and `class_names` look at a file without reading it all. The decision: a damaged row is a value that keeps its
place, a damaged file is a `SourceError` whose text says what is wrong with it; the caller names the file.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, TextIO

import orjson

from upcycle.errors import SourceError
from upcycle.sources.card import label_names
from upcycle.sources.remote import BLOCK, RemoteFile
from upcycle.sources.tabular import Damaged, Dialect, cells, find_dialect, tabular_rows

Rows = Iterator[dict[str, Any] | Damaged]
File = Path | RemoteFile
"""What is read: a file here, or one elsewhere."""

_KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_TEXT_KINDS = frozenset({"jsonl", "json", "csv", "tsv"})
READABLE = "JSONL, JSON, CSV, TSV, Parquet or Arrow"

_HEAD = 1 << 16
_COUNTABLE = 50 << 20
_BATCH_BYTES = 8 << 20
_LONGEST_LINE = 256 << 20
_WHOLE_JSON = 512 << 20
_BOM = b"\xef\xbb\xbf"
_BETWEEN = re.compile(r"[\s,]*")


def kind_of(path: File) -> str | None:
    """Kind of the file by its name, None where no reader takes it."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        kind = _KINDS.get(Path(path.stem).suffix.lower())
        return kind if kind in _TEXT_KINDS else None
    return _KINDS.get(suffix)


def stem_of(path: File) -> str:
    """Name of the file without its kind and without `.gz`."""
    name = path.name[:-3] if path.suffix.lower() == ".gz" else path.name
    return Path(name).stem


def rows(path: File) -> Rows:
    """Rows of the file as its kind gives them, nested fields as they are.

    Raises:
        SourceError: the file cannot be read (from here on); rows before that were given.
    """
    with _said(path):
        match _checked_kind(path):
            case "parquet":
                yield from _parquet_rows(path)
            case "arrow":
                yield from _arrow_rows(path)
            case "jsonl":
                yield from _jsonl_rows(path)
            case "json":
                yield from _json_rows(path)
            case kind:
                with _open_text(path) as stream:
                    yield from tabular_rows(stream, _dialect(path, kind))


def grid(path: File) -> Iterator[list[str]]:
    """Cells of a CSV or TSV file as they stand, its first line included: for who reads headers himself.

    Raises:
        SourceError: the file cannot be read (from here on).
    """
    with _said(path), _open_text(path) as stream:
        yield from cells(stream, _dialect(path, _checked_kind(path)))


def probe(path: File) -> str | None:
    """Why the file cannot be read, or None: it gives at least one row."""
    why = "it holds no rows"
    try:
        for number, row in enumerate(rows(path)):
            if not isinstance(row, Damaged):
                return None
            why = f"no row of it can be read ({row.reason})"
            if number >= 100:
                break
    except SourceError as error:
        return str(error)
    return why


def count(path: File) -> int | None:
    """Number of rows where finding it is cheap (Parquet metadata, text under 50 MB), else None.

    Raises:
        SourceError: the file cannot be read.
    """
    with _said(path):
        kind = _checked_kind(path)
        if kind == "parquet":
            import pyarrow.parquet as pq

            return pq.read_metadata(_for_arrow(path)).num_rows
        limit = _COUNTABLE // 10 if path.suffix.lower() == ".gz" or kind == "json" else _COUNTABLE
        if _size(path) > limit:
            return None
        if kind == "jsonl" and not _starts_an_array(path):
            with _open_bytes(path) as stream:
                return sum(1 for line in stream if not line.isspace())
        if kind in ("csv", "tsv"):
            with _open_text(path) as stream:
                return max(0, sum(1 for _ in cells(stream, _dialect(path, kind))) - 1)
        return sum(1 for _ in rows(path))


def class_names(path: File) -> dict[str, tuple[str, ...]]:
    """Class names by flat column name, from the features that `datasets` writes into Parquet and Arrow files."""
    kind = kind_of(path)
    try:
        with _said(path):
            if kind == "parquet":
                import pyarrow.parquet as pq

                metadata = pq.read_schema(_for_arrow(path)).metadata
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


def _checked_kind(path: File) -> str:
    kind = kind_of(path)
    if kind is None:
        raise SourceError(f"it is not a kind of file that can be read ({READABLE})")
    if _size(path) == 0:
        raise SourceError("it is empty")
    if kind in _TEXT_KINDS:
        with _open_bytes(path) as stream:
            head = stream.read(_HEAD)
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise SourceError("it is UTF-16 text; save it as UTF-8")
        if b"\0" in head:
            raise SourceError("it is a binary file, not text")
        if not head.strip():
            raise SourceError("it is empty")
        if kind != "jsonl" and not _is_utf8(head):
            raise SourceError("it is not UTF-8 text; save it as UTF-8")
    return kind


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The head may end in the middle of a character.
        return len(head) == _HEAD and error.start >= len(head) - 3
    return True


@contextmanager
def _said(path: File) -> Iterator[None]:
    """Every way in which a library says that a file is broken, as one `SourceError`."""
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise SourceError(f"it is a damaged gzip file ({error})") from error
    except UnicodeDecodeError as error:
        raise SourceError("it is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise SourceError(f"it cannot be read ({reason})") from error
    except ValueError as error:
        # pyarrow's own errors are ValueErrors; their first line is the sentence.
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(f"it is not a readable {path.suffix.lstrip('.')} file ({text[:200]})") from error


def _size(path: File) -> int:
    return path.size if isinstance(path, RemoteFile) else path.stat().st_size


def _for_arrow(path: File) -> Any:
    return path.open() if isinstance(path, RemoteFile) else path


def _open_bytes(path: File) -> IO[bytes]:
    if isinstance(path, RemoteFile):
        return gzip.open(path.open(), "rb") if path.suffix.lower() == ".gz" else path.open()  # type: ignore[return-value]
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _open_text(path: File) -> TextIO:
    # Undecodable bytes survive as surrogates, so that one bad row costs one row and not the file.
    return TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _dialect(path: File, kind: str) -> Dialect:
    with _open_text(path) as stream:
        return find_dialect(stream.read(1 << 18), "\t" if kind == "tsv" else ",")


def _jsonl_rows(path: File) -> Rows:
    if _starts_an_array(path):
        yield from _json_array_rows(path)
        return
    with _open_bytes(path) as stream:
        first = True
        while line := stream.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise SourceError(f"a line of it is longer than {_LONGEST_LINE >> 20} MB")
            if first:
                line, first = line.removeprefix(_BOM), False
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                if line.isspace() or not line:
                    continue
                row = _loads_leniently(line)
            yield row if isinstance(row, dict | Damaged) else _not_an_object(row)


def _loads_leniently(line: bytes) -> Any:
    """What strict JSON refuses and people write: NaN and Infinity become null."""
    try:
        row = json.loads(line, parse_constant=lambda _: None)
        orjson.dumps(row)
    except UnicodeDecodeError:
        return Damaged("it is not UTF-8 text")
    except json.JSONDecodeError as error:
        return Damaged(f"it is not JSON ({error.msg} at column {error.colno})")
    except RecursionError:
        return Damaged("it is nested too deeply")
    except (TypeError, ValueError):
        return Damaged("it holds text that is not Unicode or a number too large")
    return row


def _not_an_object(row: Any) -> Damaged:
    return Damaged(f"it is a JSON {type(row).__name__}, not an object of fields")


def _starts_an_array(path: File) -> bool:
    with _open_bytes(path) as stream:
        return stream.read(_HEAD).removeprefix(_BOM).lstrip().startswith(b"[")


def _json_rows(path: File) -> Rows:
    if _starts_an_array(path):
        yield from _json_array_rows(path)
        return
    with _open_bytes(path) as stream:
        first = stream.readline(_LONGEST_LINE).removeprefix(_BOM)
        more = stream.read(_HEAD).strip()
    if more and isinstance(_loads_leniently(first), dict):
        yield from _jsonl_rows(path)
        return
    if _size(path) > _WHOLE_JSON:
        raise SourceError(f"it is one JSON object of over {_WHOLE_JSON >> 20} MB; write its rows one a line (JSONL)")
    with _open_bytes(path) as stream:
        whole = _loads_leniently(stream.read().removeprefix(_BOM))
    if isinstance(whole, Damaged):
        raise SourceError(whole.reason)
    yield from _rows_of_object(whole)


def _rows_of_object(whole: Any) -> Rows:
    """Rows inside one JSON object: a list of rows under some key, rows by key, columns, or the one row it is."""
    if not isinstance(whole, dict):
        raise SourceError(_not_an_object(whole).reason)
    values = list(whole.values())
    tables = [
        value for value in values if isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
    ]
    if tables:
        yield from (row if isinstance(row, dict) else _not_an_object(row) for row in max(tables, key=len))
    elif len(values) > 1 and all(isinstance(value, dict) and value for value in values):
        yield from ({"key": key, **value} for key, value in whole.items())
    elif values and all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        yield from (dict(zip(whole, row, strict=True)) for row in zip(*values, strict=True))
    else:
        yield whole


def _json_array_rows(path: File) -> Rows:
    """Elements of a top-level array, decoded one by one out of a buffer that is refilled as they are taken."""
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    with _open_text(path) as stream:
        text, at, step = stream.read(_HEAD).lstrip()[1:], 0, _HEAD
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if text.startswith("]", at):
                return
            try:
                row, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                more = stream.read(step)
                if not more or len(text) - at > _LONGEST_LINE:
                    raise SourceError(f"it is not valid JSON, or cut short ({error.msg})") from error
                # Doubling keeps the re-reading of one long element linear.
                text, at, step = text[at:] + more, 0, step * 2
                continue
            yield _clean(row)
            step = _HEAD


def _clean(row: Any) -> dict[str, Any] | Damaged:
    if not isinstance(row, dict):
        return _not_an_object(row)
    try:
        orjson.dumps(row)
    except (TypeError, ValueError):
        return Damaged("it holds text that is not UTF-8 or a number too large")
    return row


def group_sizes(path: File) -> list[int]:
    """Rows of each row group of a Parquet file.

    Raises:
        SourceError: the file cannot be read.
    """
    import pyarrow.parquet as pq

    with _said(path):
        facts = pq.read_metadata(_for_arrow(path))
        return [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]


def group_rows(path: File, group: int) -> Rows:
    """Rows of one row group of a Parquet file.

    Raises:
        SourceError: the file cannot be read (from here on).
    """
    with _said(path), _parquet(path) as file:
        yield from _group(file, group)


def _parquet_rows(path: File) -> Rows:
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


def _arrow_rows(path: File) -> Rows:
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
