"""How documents come into a store: from folders, files and dumps into one SQLite file, written whole and renamed.

What cannot be read is noted with the reason and the others go on. The decision: rows of one title are paragraphs of one
document, and every title, path and title without its qualifier is a name that links are followed by.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from upcycle.errors import SourceError, boundary
from upcycle.sources.card import read_front_matter
from upcycle.sources.documents.document import LONGEST, Document, key_of, plain_title
from upcycle.sources.documents.dump import Lost, is_dump
from upcycle.sources.documents.files import KINDS, files_of, read_file
from upcycle.sources.documents.folders import folder_names, inside, root_of
from upcycle.sources.documents.rows import documents_of
from upcycle.sources.documents.sampled import add_dump
from upcycle.sources.files.opened import kind_of, printable

SCHEMA = """
CREATE TABLE document (number INTEGER PRIMARY KEY, id TEXT, title TEXT, redirect TEXT, listing INTEGER, body BLOB);
CREATE TABLE name (key TEXT, rank INTEGER, number INTEGER, PRIMARY KEY (key, rank, number)) WITHOUT ROWID;
CREATE TABLE link (target TEXT, number INTEGER, place INTEGER, text TEXT, PRIMARY KEY (target, number)) WITHOUT ROWID;
CREATE TABLE seen (digest BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID;
CREATE TABLE lost (name TEXT, why TEXT);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);
"""
_VERSION = "3"
TITLE, NAME, PLAIN = range(3)
"""How well a name names a document: by its title, by its path, by its title without the qualifier."""

_WHOLE_DIGEST = 64 << 20
_END = 1 << 20
_CARD = "readme"
REPEATED = "it repeats another document"
_SAME_NAME = "another document has its name"


class StoreWriter:
    """Puts documents into a new store; numbers follow from their order."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.count = 0

    def add(self, document: Document | Lost, *, folder: str = "", row: bool = False) -> bool:
        """Take a document, or note what was lost; whether anything was new in it.

        Args:
            folder: in front of its path and its links, where several folders are read.
            row: it is a row of a data file, and lengthens the document that rows before it made under its title.
        """
        if isinstance(document, Lost):
            self._db.execute("INSERT INTO lost VALUES (?, ?)", document)
            return False
        key = key_of(document.title)
        if not key:
            return self.add(Lost(document.id, "its title holds nothing but spaces and underscores"))
        document = inside(folder, document) if folder else document
        body = [[one.text, one.section, [[link.text, link.target] for link in one.links]] for one in document.passages]
        mark = _mark(document.title, body)
        taken = self._db.execute("SELECT number, title, body FROM document WHERE id = ?", [document.id]).fetchone()
        if taken and row:
            return self._lengthen(taken[0], taken[1], taken[2], body)
        if body and document.redirect is None and (same := self._numbered(mark)) is not None:
            self._name(same, {(key_of(name), NAME) for name in document.names})  # links to the copy lead to it
            return self.add(Lost(document.id, REPEATED))
        if taken:
            return self.add(Lost(document.id, _SAME_NAME))
        number = self.count
        self.count += 1
        self._db.execute(
            "INSERT INTO document VALUES (?, ?, ?, ?, ?, ?)",
            [number, document.id, document.title, document.redirect, int(document.disambiguation),
             zlib.compress(orjson.dumps(body), 1)],
        )  # fmt: skip
        names = {(key, TITLE), *((key_of(name), NAME) for name in document.names)}
        if (plain := key_of(plain_title(document.title))) != key:
            names.add((plain, PLAIN))
        self._name(number, names)
        self._link(number, body, 0)
        if body and document.redirect is None:
            self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", [mark, number])
        return True

    def _numbered(self, mark: bytes) -> int | None:
        """The document with this title and text."""
        found = self._db.execute("SELECT number FROM seen WHERE digest = ?", [mark]).fetchone()
        return found[0] if found else None

    def _name(self, number: int, names: set[tuple[str, int]]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO name VALUES (?, ?, ?)", [(*name, number) for name in names])

    def _lengthen(self, number: int, title: str, before: bytes, body: list[Any]) -> bool:
        """Rows of one title are paragraphs of one document; what it holds already is not added again."""
        known = orjson.loads(zlib.decompress(before))
        new = [passage for passage in body if passage not in known]
        if not new or sum(len(passage[0]) for passage in [*known, *new]) > LONGEST:
            return False
        whole = zlib.compress(orjson.dumps([*known, *new]), 1)
        self._db.execute("UPDATE document SET body = ? WHERE number = ?", [whole, number])
        self._db.execute("DELETE FROM seen WHERE digest = ? AND number = ?", [_mark(title, known), number])
        self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", [_mark(title, [*known, *new]), number])
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


def existing(source: str | Path) -> Path:
    """The path of a source.

    Raises:
        SourceError: nothing is there.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise SourceError(
            f"there are no documents at {str(source)!r}; give a folder of Markdown, HTML or text files, a JSONL or"
            " Parquet file of titled paragraphs, or a MediaWiki dump (.xml, .xml.bz2)"
        )
    return path


def write(folder: Path, paths: Sequence[Path], revision: str) -> None:
    """Read these paths into the store of a folder; whole, or not at all.

    Raises:
        SourceError: no document was in any of them.
    """
    part = folder / "documents.db.part"
    part.unlink(missing_ok=True)
    db = sqlite3.connect(part)
    try:
        with boundary(str(folder)):
            db.executescript(SCHEMA)
            # Nothing here is paid for: what a crash loses is read again, so no commit waits for the disk.
            db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            writer = StoreWriter(db)
            licences: set[str] = set()
            names = folder_names(paths)
            for path in paths:
                licences |= _add_path(path, writer, folder, names.get(root_of(path), ""))
            meta = {"digest": revision, "licences": orjson.dumps(sorted(licences)).decode(),
                    "folders": orjson.dumps(sorted(map(key_of, names.values()))).decode()}  # fmt: skip
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


def _mark(title: str, body: list[Any]) -> bytes:
    """Equal for documents of one title and text, wherever their links lead."""
    return hashlib.sha256(orjson.dumps([title, *(passage[0] for passage in body)])).digest()[:16]


def _add_path(path: Path, writer: StoreWriter, folder: Path, name: str) -> set[str]:
    """Take all documents below a path, files under this name; gives the licences its cards state."""
    if path.is_file():
        _add_file(path, path.parent, writer, folder, name)
        return _licences(path.parent)
    data = [one for one in sorted(path.rglob("*")) if one.is_file() and (kind_of(one) is not None or is_dump(one))]
    for file in data:
        _add_file(file, path, writer, folder, name)
    for file in files_of(path):
        # Beside data files a README is their card, not a document.
        if not (data and file.stem.casefold() == _CARD):
            writer.add(read_file(file, path), folder=name)
    return _licences(path) if data else set()


def _add_file(path: Path, root: Path, writer: StoreWriter, folder: Path, name: str) -> None:
    if is_dump(path):
        add_dump(path, writer, folder)
    elif kind_of(path) is not None:
        try:
            for document in documents_of(path):
                writer.add(document, row=True)
        except SourceError as error:
            writer.add(Lost(printable(path.name), str(error)))
    elif path.suffix.casefold() in KINDS:
        writer.add(read_file(path, root), folder=name)
    else:
        writer.add(Lost(printable(path.name), "it is no kind of file that documents are read from"))


def _licences(folder: Path) -> set[str]:
    readme = folder / "README.md"
    if not readme.is_file():
        return set()
    try:
        licence = read_front_matter(readme.read_text(encoding="utf-8", errors="replace")).licence
    except (SourceError, OSError):
        return set()
    return {licence} if licence else set()


def holds(folder: Path, revision: str) -> bool:
    """Whether the store in this folder is whole, and of this revision."""
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
    return row is not None and row[0] == revision


def digest(paths: Iterable[Path]) -> str:
    """Of names and contents; of a large file its size, when it was written and its ends stand for the contents."""
    whole = hashlib.sha256(_VERSION.encode())
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                name = file.relative_to(path if path.is_dir() else path.parent).as_posix()
                whole.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
                _add_contents(whole, file)
    return whole.hexdigest()[:16]


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
