"""The journal: the file (`run.db`) that remembers every completion and every row's fate.

To resume is to run again: a call whose key is done here is answered from here, for free. One connection in one process
writes (SQLite releases before 3.51.3 can lose commits with two writers). Everything written during one turn of the
event loop is committed together at its end, and calls go on only then: a request is sent once its hold, and every reply
written down before it, is on disk. A reply itself waits for nobody: it is on disk with the next request, or 2 ms later.
So what a crash can lose is never more than what may be in flight at once, at one commit (40 us) a turn.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from upcycle.errors import DiskError, StaleRunError, boundary

SCHEMA_VERSION = "1"
_COMMIT_EVERY = 500  # writes nobody awaits (row fates) are committed at least this often
_COMMIT_WITHIN = 0.002  # seconds until a reply is on disk where no request follows it
_ROWS_TOGETHER = 256
_ROWS_WITHIN = 0.5  # seconds a row's fate may wait for others, so that `status` is of now


class StoredCall(NamedTuple):
    """A finished call as the journal holds it; `usage` is (prompt, completion, cached) tokens."""

    response: bytes
    usage: tuple[int, int, int]
    cost_micro: int


class Spent(NamedTuple):
    """What all calls of a run have cost so far."""

    micro: int
    tokens: int
    calls: int


class Journal:
    """The only writer of `run.db`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with boundary("the journal"):
            self._db = connect(path)
            self._db.executescript((Path(__file__).parent / "schema.sql").read_text())
        self._writes = 0
        self._pending: list[tuple[Any, ...]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._broken: DiskError | None = None
        self._check_version()
        # Calls in flight when the last process died may have been paid: they count at their bound, and are asked again.
        self._execute(
            "UPDATE calls SET state='lost', cost_micro=cost_micro+held_micro, tokens=tokens+held_tokens,"
            " held_micro=0, held_tokens=0, error='the run ended while this call was in flight' WHERE state='in-flight'"
        )
        self.commit()
        # Most lookups are of calls nobody has made yet: a few bytes of each key spare them the query.
        self._done = {key[:8] for (key,) in self._db.execute("SELECT key FROM calls WHERE state='done'")}

    def _check_version(self) -> None:
        found = self.meta("schema_version")
        if found is None:
            self.set_meta("schema_version", SCHEMA_VERSION)
        elif found != SCHEMA_VERSION:
            raise StaleRunError(
                f"{self.path} was written by another release (schema {found}, this one reads {SCHEMA_VERSION});"
                " use another output folder"
            )

    # -- calls ---------------------------------------------------------------------------------------------------

    def finished(self, key: bytes) -> StoredCall | None:
        """The reply to this call if it is known, else None."""
        if key[:8] not in self._done:
            return None
        row = self._db.execute(
            "SELECT response, usage, cost_micro FROM calls WHERE key=? AND state='done'", (key,)
        ).fetchone()
        return StoredCall(row[0], tuple(orjson.loads(row[1])), row[2]) if row else None

    async def begin(
        self, key: bytes, *, stage: str, model: str, request: bytes, held_micro: int, held_tokens: int
    ) -> None:
        """A call is about to be sent and may cost this much; on disk when it returns."""
        self._execute(
            "INSERT INTO calls (key, stage, model, state, request, held_micro, held_tokens, started)"
            " VALUES (?, ?, ?, 'in-flight', ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET state='in-flight', held_micro=excluded.held_micro,"
            " held_tokens=excluded.held_tokens, started=excluded.started, error=NULL",
            (key, stage, model, request, held_micro, held_tokens, time.time()),
        )
        await self._durable()

    def finish(
        self, key: bytes, *, response: bytes, usage: tuple[int, int, int], cost_micro: int, attempts: int
    ) -> None:
        """The reply came; on disk before the next request is sent. `cost_micro` is of all attempts of this process."""
        self._execute(
            "UPDATE calls SET state='done', response=?, usage=?, cost_micro=cost_micro+?, tokens=tokens+?,"
            " held_micro=0, held_tokens=0, attempts=attempts+?, ended=? WHERE key=?",
            (response, orjson.dumps(usage).decode(), cost_micro, usage[0] + usage[1], attempts, time.time(), key),
        )
        self._done.add(key[:8])
        self._soon()

    def fail(self, key: bytes, *, error: str, cost_micro: int, tokens: int, attempts: int) -> None:
        """The call was given up; what its attempts may have cost stays spent."""
        self._execute(
            "UPDATE calls SET state='failed', error=?, cost_micro=cost_micro+?, tokens=tokens+?,"
            " held_micro=0, held_tokens=0, attempts=attempts+?, ended=? WHERE key=?",
            (error[:2000], cost_micro, tokens, attempts, time.time(), key),
        )
        self._soon()

    def spent(self) -> Spent:
        """Totals over all calls, calls lost in a crash at their bound."""
        row = self._db.execute(
            "SELECT coalesce(sum(cost_micro), 0), coalesce(sum(tokens), 0), coalesce(sum(max(attempts, 1)), 0)"
            " FROM calls"
        ).fetchone()
        return Spent(*row)

    # -- rows ----------------------------------------------------------------------------------------------------

    def row(self, stage: str, row: str, *, state: str, kind: str, value: Any = None, verdict: Any = None) -> None:
        """Remember how a row ended; replaces what was known of it. Committed with the next turn of the loop."""
        self._pending.append((stage, row, state, kind, _text(value), _text(verdict), time.time()))
        if len(self._pending) >= _ROWS_TOGETHER or self._pending[-1][-1] - self._pending[0][-1] > _ROWS_WITHIN:
            self._write_rows()

    def _write_rows(self) -> None:
        # Unlike replies, fates cost nothing to find out again: they are written many at a time.
        rows, self._pending = self._pending, []
        if rows:
            self._execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._lazily()

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        self._write_rows()
        return self._db.execute(sql, values)

    def rows(self, stage: str, state: str | None = None) -> Iterator[tuple[str, str, str, Any, Any]]:
        """Rows of a stage as (row, state, kind, value, verdict), sorted by row; streamed."""
        query = "SELECT row, state, kind, value, verdict FROM rows WHERE stage=?"
        cursor = self._read(
            query + (" AND state=?" if state else "") + " ORDER BY row", (stage, state) if state else (stage,)
        )
        for row, found, kind, value, verdict in cursor:
            yield row, found, kind, _value(value), _value(verdict)

    def row_names(self, stage: str, state: str) -> list[str]:
        """Names of a stage's rows in one state, sorted."""
        found = self._read("SELECT row FROM rows WHERE stage=? AND state=? ORDER BY row", (stage, state))
        return [name for (name,) in found]

    def row_numbers(self, stage: str, state: str) -> array[int]:
        """Numbers of a stage's rows in one state, sorted by row name: the same order on every machine."""
        found = self._read("SELECT rowid FROM rows WHERE stage=? AND state=? ORDER BY row", (stage, state))
        return array("q", (number for (number,) in found))

    def texts_at(self, numbers: Sequence[int]) -> list[str]:
        """Values of the rows with these numbers as JSON text, in this order."""
        marks = ",".join("?" * len(numbers))
        texts = dict(self._read(f"SELECT rowid, value FROM rows WHERE rowid IN ({marks})", tuple(numbers)))
        return [texts[number] for number in numbers]

    def counts(self, stage: str) -> dict[str, int]:
        """How many rows of a stage ended in each kind."""
        found = self._read("SELECT kind, count(*) FROM rows WHERE stage=? GROUP BY kind", (stage,))
        return dict(found.fetchall())

    def sources(self, stage: str) -> list[tuple[str, str, str, str, list[str], int]]:
        """Kept rows by (method, source, plan, revision, licences), with their number; "" where there is none."""
        wanted = ", ".join(f"'$.origin.{name}'" for name in ("method", "source", "plan", "revision", "licences"))
        # All of them in one call, so that a value is parsed once.
        found = self._read(
            f"SELECT json_extract(value, {wanted}), count(*) FROM rows WHERE stage=? AND state='kept' GROUP BY 1",
            (stage,),
        )
        used = [(*orjson.loads(origin), count) for origin, count in found]
        return [(method, source or "", plan or "", revision or "", licences or [], count)
                for method, source, plan, revision, licences, count in used]  # fmt: skip

    def costs(self, stage: str) -> dict[str, tuple[int, int]]:
        """What the rows of a stage cost, kept or not, by source ("" without one): (millionths of a dollar, tokens)."""
        if not self.answered():
            return {}
        found = self._read(
            "SELECT coalesce(json_extract(value, '$.origin.source'), ''),"
            " sum(json_extract(value, '$.origin.cost_micro_usd')), sum(json_extract(value, '$.origin.tokens'))"
            " FROM rows WHERE stage=? GROUP BY 1",
            (stage,),
        )
        return {source: (micro or 0, tokens or 0) for source, micro, tokens in found}

    def made_instead(self, stage: str) -> int:
        """Kept rows of a source that a model made because the program could not."""
        found = self._read(
            "SELECT count(*) FROM rows WHERE stage=? AND state='kept' AND json_extract(value, '$.origin.plan') IS NOT"
            " NULL AND json_extract(value, '$.origin.program') IS NULL",
            (stage,),
        )
        return found.fetchone()[0]

    def seconds_per_call(self, stage: str) -> float:
        """How long a call of a stage took, on average; 0 where there was none."""
        found = self._read(
            "SELECT avg(ended - started) FROM calls WHERE stage=? AND state='done' AND ended > started", (stage,)
        )
        return found.fetchone()[0] or 0.0

    def ledger(self) -> list[dict[str, Any]]:
        """What each stage and model cost so far."""
        cursor = self._db.execute("SELECT * FROM ledger")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def forget_rows(self, stage: str, *, kind: str | None = None, state: str | None = None) -> int:
        """Forget rows of a stage, so that they are worked again; returns how many."""
        query, values = "DELETE FROM rows WHERE stage=?", [stage]
        for column, value in (("kind", kind), ("state", state)):
            if value is not None:
                query, values = f"{query} AND {column}=?", [*values, value]
        self._write_rows()
        cursor = self._execute(query, tuple(values))
        self.commit()
        return cursor.rowcount

    def forget_calls(self, keys: Sequence[bytes]) -> None:
        """Ask these calls afresh next time; what they cost stays spent."""
        for key in keys:
            self._execute("UPDATE calls SET state='failed' WHERE key=?", (key,))
        self.commit()

    # -- events and settings -------------------------------------------------------------------------------------

    def event(self, stage: str, kind: str, **data: Any) -> None:
        """Remember that something happened, with its fields."""
        self._execute(
            "INSERT INTO events (at, stage, kind, data) VALUES (?, ?, ?, ?)", (time.time(), stage, kind, _text(data))
        )
        self._lazily()

    def meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        self._execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
        self.commit()

    def answered(self) -> bool:
        """Whether any call ever brought a reply."""
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM calls WHERE state='done')").fetchone()[0])

    def holds_work(self) -> bool:
        """Whether anything was answered, decided or made; settings, and calls in vain, are none of these."""
        return bool(
            self._read(
                "SELECT EXISTS (SELECT 1 FROM calls WHERE state='done')"
                " OR EXISTS (SELECT 1 FROM rows)"
                " OR EXISTS (SELECT 1 FROM meta WHERE key NOT IN ('schema_version', 'settings', 'models'))"
            ).fetchone()[0]
        )

    # -- writing -------------------------------------------------------------------------------------------------

    def _execute(self, sql: str, values: tuple[Any, ...] | list[tuple[Any, ...]] = ()) -> sqlite3.Cursor:
        if self._broken is not None:
            raise self._broken
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            if isinstance(values, list):
                self._writes += len(values)
                return self._db.executemany(sql, values)
            self._writes += 1
            return self._db.execute(sql, values)
        except sqlite3.OperationalError:
            with boundary("the journal"):
                raise

    def _lazily(self) -> None:
        if self._writes >= _COMMIT_EVERY:
            self._commit()

    def _durable(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._commit_turn)
        return future

    def _soon(self) -> None:
        if self._timer is None and not self._scheduled:
            self._timer = asyncio.get_running_loop().call_later(_COMMIT_WITHIN, self._commit_late)

    def _commit_late(self) -> None:
        with suppress(DiskError):
            # Nobody awaits this commit: the next write says that it failed.
            self._commit()

    def _commit_turn(self) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        try:
            self._commit()
        except Exception as error:
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def commit(self) -> None:
        """Write everything down now."""
        if self._broken is None:
            self._write_rows()
        self._commit()

    def _commit(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._writes = 0
        try:
            with boundary("the journal"):
                if self._db.in_transaction:
                    self._db.execute("COMMIT")
        except DiskError as error:
            # SQLite may have rolled it back: whatever is written or sent after it would stand on lost ground.
            self._broken = error
            raise

    def close(self) -> None:
        """Commit and close."""
        try:
            self.commit()
        finally:
            self._db.close()


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open `run.db`: WAL where the file system allows it (it does not on NFS or SMB), rollback journal elsewhere."""
    if read_only:
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError:
        db.execute("PRAGMA journal_mode=DELETE")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA wal_autocheckpoint=4000")
    return db


def _text(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=str).decode()


def _value(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)
