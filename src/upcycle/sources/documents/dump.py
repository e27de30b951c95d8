"""A MediaWiki XML dump as a stream of pages, in flat memory however large; `.bz2` and `.gz` are unpacked on the way.

In: the path of a dump. Out: `pages(path)`, (title, redirect, wikitext) of every article. The decision: the stream is
cut at `</page>`, which cannot occur inside a page because text in a dump is escaped, and only a page that is wanted is
parsed as XML, by itself. So a page that is broken costs that page, nothing outside a page can define an entity, and a
dump is scanned at the speed of the disk (or of bzip2).
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

from upcycle.errors import SourceError
from upcycle.sources.files.opened import printable

_BLOCK = 1 << 20
_LONGEST_PAGE = 32 << 20
_OPEN, _CLOSE = b"<page>", b"</page>"
_ENTITIES = {"&quot;": '"', "&#039;": "'", "&#39;": "'"}


class Page(NamedTuple):
    """An article as the dump holds it; `redirect` is where it leads on to, and then the text says nothing more."""

    title: str
    redirect: str | None
    wikitext: str


class Lost(NamedTuple):
    """A page, or the rest of a dump, that could not be read, and why."""

    name: str
    why: str


def is_dump(path: Path) -> bool:
    """Whether a file is a MediaWiki dump, by its name and its first kilobytes."""
    name = path.name.casefold()
    if not name.endswith((".xml", ".xml.bz2", ".xml.gz")):
        return False
    try:
        with _open(path) as stream:
            return b"<mediawiki" in stream.read(4096)
    except (OSError, EOFError, zlib.error):
        return False


def pages(path: Path, *, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Page | Lost]:
    """Articles (namespace 0) in the order of the dump; pages whose title is not wanted are passed over unparsed.

    Raises:
        SourceError: it cannot be opened, or is no dump.
    """
    try:
        with _open(path) as stream:
            for number, chunk in enumerate(_chunks(stream)):
                if isinstance(chunk, str):
                    yield Lost(f"page {number + 1}", chunk)
                    continue
                title = _between(chunk, b"<title>", b"</title>")
                # Namespaces other than 0 (talk, user, template pages) are told by `<ns>`; old dumps have none.
                if title is None or (_between(chunk, b"<ns>", b"</ns>") or "0").strip() != "0" or not wanted(title):
                    continue
                yield _parsed(title, chunk)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise SourceError(f"{path} cannot be read ({error.strerror})") from error
        yield Lost(printable(path.name), f"the dump ends early or is damaged from there on ({error})")


def _open(path: Path) -> IO[bytes]:
    name = path.name.casefold()
    if name.endswith(".bz2"):
        return bz2.open(path, "rb")
    return gzip.open(path, "rb") if name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _chunks(stream: IO[bytes]) -> Iterator[bytes | str]:
    """Pages as bytes from `<page>` to `</page>`, or why one was left out."""
    buffer = bytearray()
    while block := stream.read(_BLOCK):
        searched = max(0, len(buffer) - len(_CLOSE))
        buffer += block
        start = 0
        while (end := buffer.find(_CLOSE, max(start, searched))) >= 0:
            begin = buffer.find(_OPEN, start, end)
            if begin >= 0:
                yield bytes(buffer[begin : end + len(_CLOSE)])
            start = end + len(_CLOSE)
        del buffer[:start]
        if len(buffer) > _LONGEST_PAGE:
            # A dump of all revisions has pages of gigabytes; what follows up to the next page is passed over.
            yield f"it is longer than {_LONGEST_PAGE >> 20} MB"
            buffer.clear()
    if buffer.find(_OPEN) >= 0:
        yield "the dump ends in the middle of it"


def _between(chunk: bytes, before: bytes, after: bytes) -> str | None:
    start = chunk.find(before)
    end = chunk.find(after, start)
    if start < 0 or end < 0:
        return None
    return unescape(chunk[start + len(before) : end].decode("utf-8", "replace"), _ENTITIES)


def _parsed(title: str, chunk: bytes) -> Page | Lost:
    try:
        page = ElementTree.fromstring(chunk)  # noqa: S314 - a page by itself has no DTD, so it can define no entity
    except (ElementTree.ParseError, ValueError) as error:
        return Lost(title, f"it is not well-formed XML ({error})")
    redirect = page.find("redirect")
    # The last revision is the current one where a dump holds several.
    text = (page.findall("./revision/text") or page.findall(".//text") or [page])[-1].text or ""
    return Page(title, redirect.get("title") if redirect is not None else None, text)
