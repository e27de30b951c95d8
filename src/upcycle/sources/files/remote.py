"""A file that lies elsewhere and is read where a reader looks, in blocks: what the readers take besides a path.

In: a name, a size, and a function that gets bytes from a place. Out: a stream with `seek`, as if it were here. The
decision: blocks of 256 KB that were read lately are kept, and more is read at once while somebody reads on and on, so
that the footer and a few columns of a Parquet file of gigabytes cost a few requests, and so do the first lines of text.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from pathlib import PurePosixPath

BLOCK = 256 << 10
_SMALL = 1 << 20
_MOST_AHEAD = 16
_KEPT = 128

Fetch = Callable[[int, int], bytes]
"""Bytes from the first place up to, not including, the second."""


class Blocks:
    """Blocks that were read lately, of all files of a source: at most 32 MB."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def get(self, name: str, number: int) -> bytes | None:
        """A block, if it is still here."""
        found = self._held.get((name, number))
        if found is not None:
            self._held.move_to_end((name, number))
        return found

    def put(self, name: str, number: int, block: bytes) -> None:
        """Keep a block; the one that was not asked for the longest goes."""
        self._held[name, number] = block
        while len(self._held) > _KEPT:
            self._held.popitem(last=False)


class RemoteFile:
    """One file elsewhere.

    Args:
        name: its path there.
        size: in bytes.
        fetch: gets a part of it.
        blocks: where blocks are kept; shared by the files of a source.
    """

    def __init__(self, name: str, size: int, fetch: Fetch, blocks: Blocks) -> None:
        self.path = name
        self.size = size
        self._fetch, self._blocks = fetch, blocks
        self._next, self._ahead = -1, 1

    def __repr__(self) -> str:
        return f"RemoteFile({self.path!r})"

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """Its kind, with the dot."""
        return PurePosixPath(self.path).suffix

    @property
    def stem(self) -> str:
        """Its name without its kind."""
        return PurePosixPath(self.path).stem

    def open(self) -> io.BufferedReader:
        """A stream of its bytes."""
        return io.BufferedReader(_Stream(self), 1 << 16)

    def read_at(self, start: int, length: int) -> bytes:
        """Some of its bytes; fewer at its end."""
        end = min(start + length, self.size)
        if start >= end:
            return b""
        first, last = start // BLOCK, (end - 1) // BLOCK
        parts = [self._block(number, last) for number in range(first, last + 1)]
        return b"".join(parts)[start - first * BLOCK : end - first * BLOCK]

    def _block(self, number: int, last: int) -> bytes:
        found = self._blocks.get(self.path, number)
        if found is not None:
            return found
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if number == self._next else 1
        count = max(self._ahead, min(last - number + 1, _MOST_AHEAD))
        start, count = (0, _SMALL // BLOCK) if self.size <= _SMALL else (number, count)
        got = self._fetch(start * BLOCK, min((start + count) * BLOCK, self.size))
        self._next = start + count
        for place in range(0, len(got), BLOCK):
            self._blocks.put(self.path, start + place // BLOCK, got[place : place + BLOCK])
        return got[(number - start) * BLOCK : (number - start + 1) * BLOCK]


class _Stream(io.RawIOBase):
    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self._file.read_at(self._at, len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
