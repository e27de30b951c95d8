"""The documents of a source on disk, to be found by title, by link, by what they say, or at random.

In: paths. Out: a `DocumentStore`. Everything a source holds goes into one SQLite file, so that memory does not grow
with it; a search index over the text (tantivy) is made beside it the first time something is looked for without links.
A folder that is given is used again as long as the source has not changed. The decision: of a MediaWiki dump with more
articles than `sampled.SAMPLE` only a sample and what it links to is taken, in two passes or three: a few thousand
questions need 20 GB to be read, but not to be written anew.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from upcycle.errors import SourceError, boundary
from upcycle.sources.card import read_front_matter
from upcycle.sources.documents.document import LONGEST, Document, Link, Passage, key_of, plain_title
from upcycle.sources.documents.dump import Lost, is_dump
from upcycle.sources.documents.files import KINDS, files_of, read_file
from upcycle.sources.documents.rows import documents_of
from upcycle.sources.documents.sampled import add_dump
from upcycle.sources.documents.search import TextIndex, name_candidates
from upcycle.sources.readers import kind_of

_SCHEMA = """
CREATE TABLE document (number INTEGER PRIMARY KEY, id TEXT, title TEXT, redirect TEXT, listing INTEGER, body BLOB);
CREATE TABLE name (key TEXT, rank INTEGER, number INTEGER, PRIMARY KEY (key, rank, number)) WITHOUT ROWID;
CREATE TABLE link (target TEXT, number INTEGER, place INTEGER, text TEXT, PRIMARY KEY (target, number)) WITHOUT ROWID;
CREATE TABLE lost (name TEXT, why TEXT);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);
"""
_VERSION = "2"
_MOST_REDIRECTS = 5
_WHOLE_DIGEST = 64 << 20
_END = 1 << 20
_TITLE, _NAME, _PLAIN = range(3)
_CARD = "readme"


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
        paths = [_existing(source) for source in sources]
        digest = _digest(paths)
        if folder is None:
            temporary = Path(tempfile.mkdtemp(prefix="upcycle-documents-"))
            try:
                _write(temporary, paths, digest)
                return cls(temporary, temporary=True)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        if not _holds(folder, digest):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder / "index", ignore_errors=True)
            _write(folder, paths, digest)
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
        for key in _keys(target):
            rows = self._db.execute(
                "SELECT number, rank FROM name WHERE key = ? AND rank <= ? ORDER BY rank, number LIMIT 2",
                [key, _NAME if whole else _PLAIN],
            ).fetchall()
            # Two documents whose titles differ only in what stands in brackets: nobody said which one is meant.
            if rows and not (len(rows) == 2 and rows[0][1] == rows[1][1] == _PLAIN):
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


class StoreWriter:
    """Puts documents into a new store; numbers follow from their order."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.count = 0

    def add(self, document: Document | Lost) -> bool:
        """Take a document, or note what was lost; whether anything was new in it."""
        if isinstance(document, Lost):
            self._db.execute("INSERT INTO lost VALUES (?, ?)", document)
            return False
        key = key_of(document.title)
        taken = self._db.execute("SELECT number, body FROM document WHERE id = ?", [document.id]).fetchone()
        if not key:
            return False
        body = [[one.text, one.section, [[link.text, link.target] for link in one.links]] for one in document.passages]
        if taken:
            return self._lengthen(taken[0], taken[1], body)
        number = self.count
        self.count += 1
        self._db.execute(
            "INSERT INTO document VALUES (?, ?, ?, ?, ?, ?)",
            [number, document.id, document.title, document.redirect, int(document.disambiguation),
             zlib.compress(orjson.dumps(body), 1)],
        )  # fmt: skip
        names = {(key, _TITLE), *((key_of(name), _NAME) for name in document.names)}
        if (plain := key_of(plain_title(document.title))) != key:
            names.add((plain, _PLAIN))
        self._db.executemany("INSERT OR IGNORE INTO name VALUES (?, ?, ?)", [(*name, number) for name in names])
        self._link(number, body, 0)
        return True

    def _lengthen(self, number: int, before: bytes, body: list[Any]) -> bool:
        """Rows of one title are paragraphs of one document; what it holds already is not added again."""
        known = orjson.loads(zlib.decompress(before))
        new = [passage for passage in body if passage not in known]
        if not new or sum(len(passage[0]) for passage in [*known, *new]) > LONGEST:
            return False
        whole = zlib.compress(orjson.dumps([*known, *new]), 1)
        self._db.execute("UPDATE document SET body = ? WHERE number = ?", [whole, number])
        self._link(number, new, len(known))
        return True

    def _link(self, number: int, body: list[Any], begin: int) -> None:
        found = (
            (key_of(target), number, place, text)
            for place, (_, _, links) in enumerate(body, begin)
            for text, target in links
        )
        self._db.executemany("INSERT OR IGNORE INTO link VALUES (?, ?, ?, ?)", found)

    def has(self, title: str) -> bool:
        """Whether there is a document under this title or name."""
        return bool(self._db.execute("SELECT 1 FROM name WHERE key = ? LIMIT 1", [key_of(title)]).fetchone())


def _existing(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if not path.exists():
        raise SourceError(
            f"there are no documents at {str(source)!r}; give a folder of Markdown, HTML or text files, a JSONL or"
            " Parquet file of titled paragraphs, or a MediaWiki dump (.xml, .xml.bz2)"
        )
    return path


def _write(folder: Path, paths: Sequence[Path], digest: str) -> None:
    part = folder / "documents.db.part"
    part.unlink(missing_ok=True)
    db = sqlite3.connect(part)
    try:
        with boundary(str(folder)):
            db.executescript(_SCHEMA)
            # Nothing here is paid for: what a crash loses is read again, so no commit waits for the disk.
            db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            writer = StoreWriter(db)
            licences: set[str] = set()
            for path in paths:
                licences |= _add_path(path, writer, folder)
            meta = {"digest": digest, "licences": orjson.dumps(sorted(licences)).decode()}
            db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            usable = db.execute("SELECT count(*) FROM document WHERE redirect IS NULL AND NOT listing").fetchone()[0]
            lost = db.execute("SELECT name, why FROM lost ORDER BY rowid LIMIT 3").fetchall()
            db.commit()
    finally:
        db.close()
    if not usable:
        part.unlink()
        named = ", ".join(map(str, paths))
        told = f" ({'; '.join(f'{name}: {why}' for name, why in lost)})" if lost else ""
        raise SourceError(
            f"no document was found in {named}{told}; give Markdown, HTML or text files, rows with a text and a title"
            " column, or a MediaWiki dump"
        )
    part.replace(folder / "documents.db")


def _add_path(path: Path, writer: StoreWriter, folder: Path) -> set[str]:
    """Take all documents below a path; gives the licences its cards state."""
    if path.is_file():
        _add_file(path, path.parent, writer, folder)
        return _licences(path.parent)
    data = [one for one in sorted(path.rglob("*")) if one.is_file() and (kind_of(one) is not None or is_dump(one))]
    for file in data:
        _add_file(file, path, writer, folder)
    for file in files_of(path):
        # Beside data files a README is their card, not a document.
        if not (data and file.stem.casefold() == _CARD):
            writer.add(read_file(file, path))
    return _licences(path) if data else set()


def _add_file(path: Path, root: Path, writer: StoreWriter, folder: Path) -> None:
    if is_dump(path):
        add_dump(path, writer, folder)
    elif kind_of(path) is not None:
        try:
            for document in documents_of(path):
                writer.add(document)
        except SourceError as error:
            writer.add(Lost(path.name, str(error)))
    elif path.suffix.casefold() in KINDS:
        writer.add(read_file(path, root))
    else:
        writer.add(Lost(path.name, "it is no kind of file that documents are read from"))


def _licences(folder: Path) -> set[str]:
    readme = folder / "README.md"
    if not readme.is_file():
        return set()
    try:
        licence = read_front_matter(readme.read_text(encoding="utf-8", errors="replace")).licence
    except SourceError:
        return set()
    return {licence} if licence else set()


def _holds(folder: Path, digest: str) -> bool:
    path = folder / "documents.db"
    if not path.is_file():
        return False
    try:
        db = sqlite3.connect(path)
        try:
            row = db.execute("SELECT value FROM meta WHERE key = 'digest'").fetchone()
        finally:
            db.close()
    except sqlite3.DatabaseError:
        return False
    return row is not None and row[0] == digest


def _digest(paths: Iterable[Path]) -> str:
    """Of names and contents; of a large file its size, when it was written and its ends stand for the contents."""
    digest = hashlib.sha256(_VERSION.encode())
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                name = file.relative_to(path if path.is_dir() else path.parent).as_posix()
                digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
                _add_contents(digest, file)
    return digest.hexdigest()[:16]


def _add_contents(digest: Any, file: Path) -> None:
    facts = file.stat()
    try:
        with file.open("rb") as stream:
            if facts.st_size <= _WHOLE_DIGEST:
                digest.update(stream.read())
            else:
                digest.update(str(facts.st_mtime_ns).encode())
                digest.update(stream.read(_END))
                stream.seek(-_END, 2)
                digest.update(stream.read(_END))
    except OSError:
        digest.update(b"unreadable")  # it is named as lost when it is read


def _keys(target: str) -> list[str]:
    """Keys under which a link's target may be known: as it is, without the kind of file, its last part."""
    whole = key_of(target)
    keys: list[Any] = [whole]
    stem = whole.rpartition(".")[0] if whole.rpartition(".")[2] in ("md", "html", "htm", "txt") else ""
    keys.append(stem)
    keys.append((stem or whole).rpartition("/")[2] if "/" in whole else "")
    return [key for key in dict.fromkeys(keys) if key]
