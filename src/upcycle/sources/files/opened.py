"""A file before it is read: its kind by its name, what is wrong with it at a glance, and how it is opened.

In: a path here, or a file elsewhere. Out: streams, and every way in which a library says that a file is broken as one
`SourceError`.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, TextIO

from upcycle.errors import SourceError
from upcycle.sources.files.remote import RemoteFile
from upcycle.sources.files.tabular import Damaged

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
TEXT_KINDS = frozenset({"jsonl", "json", "csv", "tsv"})
READABLE = "JSONL, JSON, CSV, TSV, Parquet or Arrow"

HEAD = 1 << 16
"""Bytes from which it is seen what a file is."""


def kind_of(path: File) -> str | None:
    """Kind of the file by its name, None where no reader takes it."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        kind = _KINDS.get(Path(path.stem).suffix.lower())
        return kind if kind in TEXT_KINDS else None
    return _KINDS.get(suffix)


def stem_of(path: File) -> str:
    """Name of the file without its kind and without `.gz`."""
    name = path.name[:-3] if path.suffix.lower() == ".gz" else path.name
    return Path(name).stem


def checked_kind(path: File) -> str:
    kind = kind_of(path)
    if kind is None:
        raise SourceError(f"it is not a kind of file that can be read ({READABLE})")
    if size_of(path) == 0:
        raise SourceError("it is empty")
    if kind in TEXT_KINDS:
        with open_bytes(path) as stream:
            head = stream.read(HEAD)
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
        return len(head) == HEAD and error.start >= len(head) - 3
    return True


@contextmanager
def said(path: File) -> Iterator[None]:
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
    except RecursionError as error:
        raise SourceError("it is nested too deeply") from error
    except (ValueError, OverflowError) as error:
        # pyarrow's own errors are ValueErrors; their first line is the sentence. A date that no Python value can hold
        # overflows.
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(f"it is not a readable {path.suffix.lstrip('.')} file ({text[:200]})") from error


def printable(name: str) -> str:
    r"""A file's name as text that can be stored and sent; bytes that are not UTF-8 are spelt out: names stay distinct.

    >>> printable("caf\udce9.csv")
    'caf\\xe9.csv'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def size_of(path: File) -> int:
    return path.size if isinstance(path, RemoteFile) else path.stat().st_size


def for_arrow(path: File) -> Any:
    return path.open() if isinstance(path, RemoteFile) else path


def open_bytes(path: File) -> IO[bytes]:
    if isinstance(path, RemoteFile):
        return gzip.open(path.open(), "rb") if path.suffix.lower() == ".gz" else path.open()  # type: ignore[return-value]
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def open_text(path: File) -> TextIO:
    # Undecodable bytes survive as surrogates, so that one bad row costs one row and not the file.
    return TextIOWrapper(open_bytes(path), encoding="utf-8-sig", errors="surrogateescape", newline="")
