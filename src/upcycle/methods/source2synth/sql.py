"""SQL that a model wrote, executed on one table where it can do nothing else.

`Sql.run(table, statements)` gives one outcome for each statement: a `Result`, or `Refused` with its kind and reason.
The one decision: the statement runs in a process that can be killed (`sql_worker`), because the engine's own limits
look at the clock only between its steps, and one built-in on a large value takes as long as it likes between two. Many
statements travel in one message; where the process dies of one, that one is refused and the rest go on in a new one.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import orjson

from upcycle.errors import ConfigError
from upcycle.methods.source2synth.sql_worker import LONGEST, TABLE
from upcycle.sources.tables.table import Cell, Table

__all__ = ["TABLE", "Outcome", "Refused", "Result", "Sql"]

_GRACE = 1.0  # seconds after its own alarm that a silent worker is killed from outside
_LOADING = 60.0  # seconds within which a process is there and has taken a table
_CHUNK = 1 << 16
_AT_ONCE = 16_000  # bytes that fit into any empty pipe
_KNOWN = 8  # tables a worker keeps; as in sql_worker
_WORKER = Path(__file__).with_name("sql_worker.py")


class Result(NamedTuple):
    """What a statement came to.

    Attributes:
        names: of the result's columns.
        read: columns of the table it read; "" for the table as a whole.
        unsettled: with the table's rows in reverse order it comes to something else.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    read: tuple[str, ...]
    unsettled: bool


class Refused(NamedTuple):
    """A statement without a result."""

    kind: Literal["invalid", "refused", "out-of-time", "too-big"]
    reason: str


Outcome = Result | Refused
_TOO_LONG = Refused("invalid", f"it is longer than {LONGEST:,} characters")


class Sql:
    """Executes statements over tables, in worker processes without any way to reach anything.

    Args:
        workers: processes, started when first needed.
        seconds: how long one statement may take, its end included.
        rows: the most rows a result may have; `size` its most bytes.
        memory_mb: address space of a worker.
        twice: execute on the reversed table too, for `Result.unsettled`.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        seconds: float = 1.0,
        rows: int = 1000,
        size: int = 100_000,
        memory_mb: int = 1024,
        twice: bool = True,
    ) -> None:
        if workers < 1 or seconds <= 0:
            raise ConfigError("SQL needs at least one worker and more than 0 seconds a statement")
        self._limits = {"seconds": seconds, "rows": rows, "bytes": size, "memory": memory_mb << 20, "twice": twice}
        self._idle = [_Worker(self._limits) for _ in range(workers)]
        self._all = tuple(self._idle)
        self._free = threading.Condition()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, table: Table, statements: Sequence[str]) -> list[Outcome]:
        """One outcome for each statement, in their order; the table is `TABLE` in them.

        A statement that is far too long is not even sent.

        Raises:
            ConfigError: no worker can be started.
        """
        with self._free:
            while not self._idle and not self._closed:
                self._free.wait(0.2)
            if self._closed:
                raise ConfigError("this Sql was closed")
            # The one that has the table already, if it is free.
            worker = next((one for one in self._idle if table.revision in one.tables), self._idle[-1])
            self._idle.remove(worker)
        try:
            short = [statement for statement in statements if len(statement) <= LONGEST]
            outcomes = iter(worker.run(table, short))
            return [next(outcomes) if len(statement) <= LONGEST else _TOO_LONG for statement in statements]
        finally:
            with self._free:
                self._idle.append(worker)
                self._free.notify()

    async def arun(self, table: Table, statements: Sequence[str]) -> list[Outcome]:
        """`run` without holding up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, self.run, table, statements)

    def close(self) -> None:
        """End all workers, also those at work."""
        with self._free:
            self._closed = True
            self._free.notify_all()
        for worker in self._all:
            worker.end()


class _Worker:
    """One process, started again when it died; used by one thread at a time, `end` by any."""

    def __init__(self, limits: dict[str, Any]) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._rest = b""
        self.tables: dict[str, None] = {}

    def run(self, table: Table, statements: Sequence[str]) -> list[Outcome]:
        done: list[Outcome] = []
        careful, deaths = len(statements) == 1, 0
        while len(done) < len(statements):
            if not self._ready(table):
                self._bury()
                refused = Refused("too-big", "the table does not fit into the memory that SQL may use")
                return done + [refused] * (len(statements) - len(done))
            found = self._feed(table, statements[len(done) :], careful)
            done += found
            if len(done) == len(statements):
                break
            dead = self._bury()
            if not careful:
                careful = True  # what was done and not yet told is done again, to see which one it dies of
                continue
            deaths = 1 if found else deaths + 1
            # Once may have been a signal that was meant for somebody else.
            if dead.kind == "out-of-time" or deaths > 1:
                done.append(dead)
                careful, deaths = False, 0
        return done

    def end(self) -> None:
        self._ended = True
        if (process := self._process) is not None:
            process.kill()  # what it has said and nobody read yet must not make it look dead already
        self._bury()

    def _ready(self, table: Table) -> bool:
        """Have a process that holds the table."""
        if self._process is not None and table.revision in self.tables:
            return True
        head = b""
        if self._process is None:
            if self._ended:
                raise ConfigError("this Sql was closed")
            self._process = _start()
            self.tables.clear()
            self._rest = b""
            head = orjson.dumps(self._limits) + b"\n"
        self.tables[table.revision] = None
        if len(self.tables) > _KNOWN:
            del self.tables[next(iter(self.tables))]
        columns = [[column.name, column.kind] for column in table.columns]
        body = orjson.dumps({"table": table.revision, "columns": columns, "rows": table.rows})
        with self._sending(head + body + b"\n"):
            return bool(self._lines(_LOADING))

    def _feed(self, table: Table, statements: Sequence[str], careful: bool) -> list[Outcome]:
        """Outcomes as far as the process lives to tell them; where `careful`, each before the next is begun."""
        outcomes: list[Outcome] = []
        message = {"table": table.revision, "statements": list(statements), "careful": careful}
        asked = json.dumps(message).encode() + b"\n"
        with self._sending(asked):
            while len(outcomes) < len(statements) and (lines := self._lines(self._limits["seconds"] + _GRACE)):
                outcomes += map(_outcome, lines)
        return outcomes

    @contextmanager
    def _sending(self, data: bytes) -> Iterator[None]:
        """Send while answers are read: of long messages either pipe may be full."""
        assert self._process is not None
        pipe = self._process.stdin
        if len(data) <= _AT_ONCE:
            _write(pipe, data)
            yield
            return
        writing = threading.Thread(target=_write, args=(pipe, data), daemon=True)
        writing.start()
        try:
            yield
        finally:
            # Of a process that answers no more, the pipe has to break before the thread can end.
            writing.join(0.0 if self._process.poll() is None else None)

    def _lines(self, patience: float) -> list[bytes]:
        """The next whole lines; none when the process is dead, or silent for `patience` seconds."""
        assert self._process is not None
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        end = time.monotonic() + patience
        while b"\n" not in self._rest:
            ready, _, _ = select.select([out], [], [], max(0.0, end - time.monotonic()))
            data = os.read(out, _CHUNK) if ready else b""
            if not data:
                return []
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return lines

    def _bury(self) -> Refused:
        """End the process; why the statement it was at has no result."""
        process, self._process = self._process, None
        seconds = self._limits["seconds"]
        if process is None:
            return Refused("refused", "it was stopped")
        if not process.stdout or not select.select([process.stdout], [], [], 0)[0]:
            process.kill()  # it is silent; where it closed its end it died by itself, and of what is worth knowing
        try:
            code = process.wait(_GRACE)
        except subprocess.TimeoutExpired:  # it lives, and was only late with what it said
            process.kill()
            code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError, ValueError):
                pipe.close() if pipe is not None else None
        if code in (-14, -9):
            return Refused("out-of-time", f"it ran longer than {seconds:g} s")
        return Refused("too-big", "the process that executed it died of it")


def _start() -> subprocess.Popen[bytes]:
    # -I: nothing of the environment or the working folder; -S: nothing installed either.
    command = [sys.executable, "-I", "-S", str(_WORKER)]
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=kept, start_new_session=True)
    except OSError as error:
        raise ConfigError(f"the process that executes SQL cannot be started ({error}); none was run") from None


def _write(pipe: Any, data: bytes) -> None:
    with suppress(OSError, ValueError):  # it died, or was ended: whoever reads its answers sees it
        pipe.write(data)
        pipe.flush()


def _outcome(line: bytes) -> Outcome:
    said = orjson.loads(line)
    if said[0] == "ok":
        _, names, rows, read, unsettled = said
        return Result(tuple(names), tuple(map(tuple, rows)), tuple(read), unsettled)
    return Refused(said[1], said[2])
