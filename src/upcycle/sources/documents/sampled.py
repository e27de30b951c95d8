"""The articles of a MediaWiki dump that a store takes: all of a small one, of a large one a sample and its links.

The sample are the articles whose titles have the lowest digests, so it hangs on nothing but titles, and the links
followed are again those with the lowest digests: articles of the sample then share many of them, which is what
questions over two articles need. First pass: the sample. Second: what it links to. Third, only where such a link was a
redirect: where that leads.
"""

from __future__ import annotations

import hashlib
import heapq
import sqlite3
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from upcycle.sources.documents.document import Document, key_of, make_document
from upcycle.sources.documents.dump import Lost, Page, pages
from upcycle.sources.documents.wikitext import is_disambiguation, passages_of, redirect_of

if TYPE_CHECKING:
    from upcycle.sources.documents.filling import StoreWriter

SAMPLE = 2000
"""Articles taken at random."""
LINKED = 5
"""Links of each that are followed."""
_MOST_PASSES = 3
_MOST_LOST = 1000


def add_dump(path: Path, writer: StoreWriter, folder: Path, *, sample: int = SAMPLE, linked: int = LINKED) -> None:
    """Take a dump's articles into a store; `folder` is where pages wait on disk until it is known whether they stay."""
    waiting = _Waiting(folder / "pages.part", sample)
    try:
        whole = _first_pass(path, waiting, writer)
        wanted: set[str] = set()
        for page in waiting.pages():
            document = _document(page)
            writer.add(document)
            if not whole and document.redirect is None:
                lowest = heapq.nsmallest(linked, {key_of(link.target) for link in document.links}, key=_rank)
                wanted.update(lowest)
    finally:
        waiting.close()
    for _ in range(1, _MOST_PASSES):
        wanted = {key for key in wanted if not writer.has(key)}
        if not wanted:
            break
        wanted = _further_pass(path, wanted, writer)


def _first_pass(path: Path, waiting: _Waiting, writer: StoreWriter) -> bool:
    """Fill the sample; whether it is the whole dump."""
    lost = 0
    for page in pages(path, wanted=waiting.wants):
        if isinstance(page, Lost):
            lost += 1
            if lost <= _MOST_LOST:
                writer.add(page)
        else:
            waiting.add(page)
    return waiting.whole


def _further_pass(path: Path, wanted: set[str], writer: StoreWriter) -> set[str]:
    """Take the wanted articles; gives the titles that redirects among them lead to."""
    further: set[str] = set()
    for page in pages(path, wanted=lambda title: key_of(title) in wanted):
        if not isinstance(page, Lost):
            document = _document(page)
            writer.add(document)
            if document.redirect is not None:
                further.add(key_of(document.redirect))
    return further


class _Waiting:
    """Pages of the sample so far, on disk; redirects are kept only while the sample may yet be the whole dump."""

    def __init__(self, path: Path, sample: int) -> None:
        path.unlink(missing_ok=True)
        self._path, self._sample = path, sample
        self._db = sqlite3.connect(path)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE page (number INTEGER PRIMARY KEY, title TEXT, redirect TEXT, body BLOB)"
        )
        self._lowest: list[tuple[int, int]] = []  # (minus the title's rank, number): the highest rank comes out first
        self._redirects = 0
        self._seen = 0
        self.whole = True

    def wants(self, title: str) -> bool:
        return len(self._lowest) < self._sample or _rank(key_of(title)) < -self._lowest[0][0]

    def add(self, page: Page) -> None:
        redirect = page.redirect or redirect_of(page.wikitext)
        if redirect is not None and (not self.whole or self._redirects > 4 * self._sample):
            return
        self._seen += 1
        number = self._seen
        text = "" if redirect else page.wikitext
        body = zlib.compress(text.encode("utf-8", "replace"), 1)
        self._db.execute("INSERT INTO page VALUES (?, ?, ?, ?)", [number, page.title, redirect, body])
        if redirect is not None:
            self._redirects += 1
            return
        heapq.heappush(self._lowest, (-_rank(key_of(page.title)), number))
        if len(self._lowest) > self._sample:
            self.whole = False
            self._db.execute("DELETE FROM page WHERE number = ?", [heapq.heappop(self._lowest)[1]])

    def pages(self) -> list[Page] | map[Page]:
        """The pages that stay, in the order of the dump; redirects only where what they lead to stays too."""
        which = "" if self.whole else "WHERE redirect IS NULL"
        rows = self._db.execute(f"SELECT title, redirect, body FROM page {which} ORDER BY number")
        return map(lambda row: Page(row[0], row[1], zlib.decompress(row[2]).decode()), rows)  # noqa: C417

    def close(self) -> None:
        self._db.close()
        self._path.unlink(missing_ok=True)


def _rank(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest())


def _document(page: Page) -> Document:
    redirect = page.redirect or redirect_of(page.wikitext)
    return make_document(
        page.title,
        page.title,
        [] if redirect else passages_of(page.wikitext),
        redirect=redirect,
        disambiguation=not redirect and is_disambiguation(page.wikitext),
    )
