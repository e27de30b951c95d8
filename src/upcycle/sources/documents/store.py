"""The documents of a source on disk, to be found by title, by link, by what they say, or at random.

In: paths. Out: a `DocumentStore`. Everything a source holds goes into one SQLite file, so that memory does not grow
with it; a search index over the text (tantivy) is made beside it the first time something is looked for without links.
A folder that is given is used again as long as the source has not changed. The decision: of a MediaWiki dump with more
articles than `sampled.SAMPLE` only a sample and what it links to is taken, in two passes or three: a few thousand
questions need 20 GB to be read, but not to be written anew.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import orjson

from upcycle.sources.documents.document import Document, Link, Passage, key_of
from upcycle.sources.documents.dump import Lost
from upcycle.sources.documents.filling import NAME, PLAIN, digest, existing, holds, write
from upcycle.sources.documents.folders import keys_of
from upcycle.sources.documents.search import TextIndex, name_candidates

_MOST_REDIRECTS = 5


class Mention(NamedTuple):
    """A document that a text names: as it stands there, and the document's number."""

    text: str
    number: int


class Linking(NamedTuple):
    """A document that links to something: number and id, the passage its first such link stands in, the link's text."""

    number: int
    id: str
    place: int
    text: str


class DocumentStore:
    """Documents on disk; made by `open`, to be closed."""

    def __init__(self, folder: Path, *, temporary: bool) -> None:
        self._folder, self._temporary = folder, temporary
        self._db = sqlite3.connect(folder / "documents.db")
        self._index: TextIndex | None = None
        self.revision = self._meta("digest")
        self.licences = tuple(orjson.loads(self._meta("licences") or "[]"))
        self._folders = frozenset(orjson.loads(self._meta("folders") or "[]"))
        self.linked = bool(self._db.execute("SELECT 1 FROM link LIMIT 1").fetchone())

    @classmethod
    def open(cls, sources: Sequence[str | Path], folder: Path | None = None) -> Self:
        """Read the sources, or go on with what a folder holds of them already.

        Args:
            sources: folders, files (Markdown, HTML, text, JSONL, JSON, CSV, Parquet), MediaWiki dumps.
            folder: where the documents are kept; a temporary one, removed on `close`, where none is given.

        Raises:
            SourceError: a path that is not there, or no document in any of them.
            ConfigError: a library that reads this kind of file is not installed.
        """
        paths = [existing(source) for source in dict.fromkeys(map(str, sources))]
        revision = digest(paths)
        if folder is None:
            temporary = Path(tempfile.mkdtemp(prefix="upcycle-documents-"))
            try:
                write(temporary, paths, revision)
                return cls(temporary, temporary=True)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        if not holds(folder, revision):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder / "index", ignore_errors=True)
            write(folder, paths, revision)
        return cls(folder, temporary=False)

    def __len__(self) -> int:
        """Number of documents that can be asked about: neither redirects nor lists of meanings."""
        return self._db.execute("SELECT count(*) FROM document WHERE redirect IS NULL AND NOT listing").fetchone()[0]

    def close(self) -> None:
        """Close the files, and remove them where they are temporary."""
        self._db.close()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    def numbers(self, seed: int) -> Iterator[int]:
        """Numbers of all documents in an order that hangs on the seed alone; redirects and lists are among them."""
        numbers = array("q", (row[0] for row in self._db.execute("SELECT number FROM document ORDER BY number")))
        random.Random(seed).shuffle(numbers)  # type: ignore[arg-type]
        yield from numbers

    def lost(self) -> list[Lost]:
        """What of the sources could not be read, and why."""
        return [Lost(*row) for row in self._db.execute("SELECT name, why FROM lost ORDER BY rowid")]

    def get(self, number: int) -> Document:
        """The document with this number."""
        row = self._db.execute("SELECT id, title, redirect, listing, body FROM document WHERE number = ?", [number])
        name, title, redirect, listing, body = row.fetchone()
        passages = (
            Passage(text, section, tuple(Link(*link) for link in links))
            for text, section, links in orjson.loads(zlib.decompress(body))
        )
        return Document(name, title, tuple(passages), redirect=redirect, disambiguation=bool(listing))

    def find(self, title: str, *, whole: bool = False) -> int | None:
        """Number of the document that a title or a link's target leads to, over redirects; None where it leads nowhere.

        A redirect that leads back to itself and a list of meanings lead nowhere.

        Args:
            whole: a title without its qualifier in brackets does not do.
        """
        seen: set[int] = set()
        target: str | None = title
        while target is not None and len(seen) <= _MOST_REDIRECTS:
            number = self._named(target, whole=whole)
            if number is None or number in seen:
                return None
            seen.add(number)
            target, listing = self._db.execute(
                "SELECT redirect, listing FROM document WHERE number = ?", [number]
            ).fetchone()
            if target is None:
                return None if listing else number
        return None

    def named(self, number: int) -> tuple[str, str]:
        """Id and title of the document with this number."""
        return self._db.execute("SELECT id, title FROM document WHERE number = ?", [number]).fetchone()

    def linking(self, target: str, *, limit: int = 50) -> list[Linking]:
        """Documents that link to this target, whether or not there is a document behind it, each by its first link."""
        rows = self._db.execute(
            "SELECT number, id, place, text FROM link JOIN document USING (number) WHERE target = ?"
            " ORDER BY number LIMIT ?",
            [key_of(target), limit],
        )
        return [Linking(*row) for row in rows]

    def holding(self, phrase: str, *, limit: int = 20) -> list[int]:
        """Numbers of documents in which these words stand next to each other, the most telling first."""
        return self._text_index().phrase(phrase, limit)

    def like(self, text: str, *, limit: int = 20) -> list[int]:
        """Numbers of documents that share the most telling words with a text."""
        return self._text_index().like(text, limit)

    def named_in(self, text: str) -> list[Mention]:
        """Documents whose title stands in a text, in its order, the longest title at each place.

        A title counts whole, its qualifier in brackets included, for who says "Phoenix" may mean the city. One word
        alone counts only with the title's own capitals, and not where a sentence begins.
        """
        found: list[Mention] = []
        end = 0
        for start, alone, forms in name_candidates(text):
            if start < end:
                continue
            for form in forms:
                number = self.find(form, whole=True)
                if number is not None and (" " in form or (alone and self._is_titled(number, form))):
                    found.append(Mention(form, number))
                    end = start + len(form)
                    break
        return found

    def _is_titled(self, number: int, form: str) -> bool:
        return len(form) > 2 and form == self.named(number)[1]

    def _named(self, target: str, *, whole: bool) -> int | None:
        for key in keys_of(target, self._folders):
            rows = self._db.execute(
                "SELECT number, rank FROM name WHERE key = ? AND rank <= ? ORDER BY rank, number LIMIT 2",
                [key, NAME if whole else PLAIN],
            ).fetchall()
            # Two documents whose titles differ only in what stands in brackets: nobody said which one is meant.
            if rows and not (len(rows) == 2 and rows[0][1] == rows[1][1] == PLAIN):
                return rows[0][0]
        return None

    def _text_index(self) -> TextIndex:
        if self._index is None:
            articles = "SELECT number, body FROM document WHERE redirect IS NULL AND NOT listing"
            texts = (
                (number, "\n".join(passage[0] for passage in orjson.loads(zlib.decompress(body))))
                for number, body in self._db.execute(articles)
            )
            self._index = TextIndex.open(self._folder / "index", texts)
        return self._index

    def _meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", [key]).fetchone()
        return row[0] if row else ""
