"""What is known of datasets elsewhere: one SQLite file that a crawl or an import fills and an index is written from.

In: listings, and what is still owed of each (its card, its rows). Out: the same, in the order of their ids. The
decision: every answer is committed with the place from which to go on, so that a crawl killed at any moment asks for
nothing twice; the index itself is written anew from here, whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from upcycle.errors import SourceError, StaleRunError, boundary
from upcycle.sources.index.listing import Listing, as_json, from_json

VERSION = "1"
_TABLES = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS datasets(
  id TEXT PRIMARY KEY, modified TEXT NOT NULL, revision TEXT NOT NULL, owes_card INTEGER NOT NULL,
  owes_rows INTEGER NOT NULL, listing BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS owing ON datasets(owes_card, owes_rows);
CREATE TABLE IF NOT EXISTS crawled(id TEXT PRIMARY KEY, walk INTEGER NOT NULL, etag TEXT);
"""


class Entry(NamedTuple):
    """A dataset, and what has still to be asked about it."""

    listing: Listing
    owes_card: bool = False
    owes_rows: bool = False


class Known:
    """The file, open for one writer; use it as `with`.

    Raises:
        SourceError: the file is of another version, or no such file.
        StaleRunError: another process writes to it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "known.db"
        self._lock = _locked(folder)
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _TABLES)
            found = self.meta("version")
        except sqlite3.DatabaseError as error:
            self.close()
            raise SourceError(f"{self._path} is not what an index is made from ({error}); delete it") from error
        if found not in (None, VERSION):
            self.close()
            raise SourceError(
                f"{self._path} is of version {found} and this upcycle reads version {VERSION};"
                f" delete {folder} and build the index again"
            )
        self.set_meta("version", VERSION)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write."""
        self._db.close()
        self._lock.close()

    def __len__(self) -> int:
        return self._db.execute("SELECT count(*) FROM datasets").fetchone()[0]

    @contextmanager
    def together(self) -> Iterator[None]:
        """All or nothing of what is written inside."""
        with boundary(str(self._path)):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def meta(self, key: str) -> str | None:
        """A remembered text."""
        found = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return found[0] if found else None

    def set_meta(self, key: str, value: str | None) -> None:
        """Remember a text, or forget it."""
        if value is None:
            self._db.execute("DELETE FROM meta WHERE key=?", (key,))
        else:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (key, value))

    def put(self, entries: Iterable[Entry]) -> None:
        """Remember datasets; one that is known in a newer state stays as it is."""
        self._db.executemany(
            "INSERT INTO datasets VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET modified=excluded.modified,"
            " revision=excluded.revision, owes_card=excluded.owes_card, owes_rows=excluded.owes_rows,"
            " listing=excluded.listing WHERE excluded.modified >= datasets.modified",
            (
                (one.listing.id, one.listing.modified, one.listing.revision, one.owes_card, one.owes_rows,
                 as_json(one.listing).decode())
                for one in entries
            ),
        )  # fmt: skip

    def forget(self) -> None:
        """Everything, also where a crawl stood."""
        self._db.execute("DELETE FROM datasets")
        self._db.execute("DELETE FROM crawled")
        self._db.execute("DELETE FROM meta WHERE key != 'version'")

    def get(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Those of these datasets that are known."""
        found: dict[str, Entry] = {}
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT owes_card, owes_rows, listing FROM datasets WHERE id IN ({marks})"
            for owes_card, owes_rows, told in self._db.execute(query, some):
                listing = from_json(told)
                found[listing.id] = Entry(listing, bool(owes_card), bool(owes_rows))
        return found

    def owing(self, what: str, most: int) -> list[str]:
        """Of the `most` datasets that are used most, those whose "card" or "rows" have still to be asked for."""
        column = {"card": "owes_card", "rows": "owes_rows"}[what]
        query = (
            f"SELECT id FROM (SELECT id, {column} FROM datasets WHERE id IN (SELECT id FROM crawled)"
            f" ORDER BY json_extract(listing, '$.popularity') DESC, id LIMIT ?) WHERE {column}"
        )
        return [name for (name,) in self._db.execute(query, (most,))]

    def listed(self) -> int:
        """How many of them a Hub listed."""
        return self._db.execute("SELECT count(*) FROM crawled").fetchone()[0]

    def saw(self, ids: Iterable[str], walk: int) -> None:
        """Remember that a Hub listed these in its walk of this number."""
        self._db.executemany(
            "INSERT INTO crawled VALUES(?, ?, NULL) ON CONFLICT(id) DO UPDATE SET walk=excluded.walk",
            ((name, walk) for name in ids),
        )

    def forget_unseen(self, walk: int) -> int:
        """Drop what a Hub listed once and not in this walk; how many."""
        gone = "SELECT id FROM crawled WHERE walk < ?"
        count = self._db.execute(f"DELETE FROM datasets WHERE id IN ({gone})", (walk,)).rowcount
        self._db.execute("DELETE FROM crawled WHERE walk < ?", (walk,))
        return count

    def forget_one(self, name: str) -> None:
        """Drop a dataset that is gone."""
        self._db.execute("DELETE FROM datasets WHERE id=?", (name,))
        self._db.execute("DELETE FROM crawled WHERE id=?", (name,))

    def etag(self, name: str) -> str | None:
        """What a Hub called the state of this dataset's card when it was read."""
        found = self._db.execute("SELECT etag FROM crawled WHERE id=?", (name,)).fetchone()
        return found[0] if found else None

    def set_etag(self, name: str, etag: str | None) -> None:
        """Remember it."""
        self._db.execute("UPDATE crawled SET etag=? WHERE id=?", (etag, name))

    def newest(self) -> str:
        """When the dataset that changed last, of those a Hub listed, did; "" where that is not known."""
        query = "SELECT max(modified) FROM datasets WHERE id IN (SELECT id FROM crawled)"
        return self._db.execute(query).fetchone()[0] or ""

    def listings(self) -> Iterator[Listing]:
        """All of them, in the order of their ids."""
        for (told,) in self._db.execute("SELECT listing FROM datasets ORDER BY id"):
            yield from_json(told)


def _locked(folder: Path) -> Any:
    import fcntl

    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StaleRunError(f"another process writes the index in {folder}; wait until it is done") from None
    return lock
