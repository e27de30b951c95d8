"""The sandbox itself: worker processes, rows sent to them in batches, and what is left of a batch when a worker dies.

Workers run pydantic-monty's interpreter, which has no files, network or environment to reach, limited in time and
memory. The one decision: batches exist for speed only. When one ends early, the row it stopped at is run alone and that
decides its outcome; the rows after it go on in a new batch.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

import orjson

from upcycle.errors import ConfigError
from upcycle.sandbox.dialect import TOO_DEEP, refusal
from upcycle.sandbox.isolation import prepared
from upcycle.sandbox.outcome import COSTLY, Fail, Failed, Outcome
from upcycle.sandbox.worker import Worker, start

MAX_RECORD = 32_000_000
"""Bytes of JSON one record may have."""

_BATCH_ROWS, _FEW_ROWS = 512, 32
_BATCH_BYTES = 4_000_000
_KNOWN = 64  # programs whose check is remembered
_GUILTY, _GUILTY_SHARE = 4, 0.01  # rows that may cost seconds: so many, and this share where there are many rows
_START_SECONDS, _ROW_SECONDS = 30.0, 0.01  # and what all rows together may cost

_GLANCE = 0.1  # seconds between looks at whether somebody pressed Ctrl-C

P = ParamSpec("P")
T = TypeVar("T")


class _Stopped(Exception):  # noqa: N818  not an error: somebody asked for it
    """Nobody waits for this call any more."""


class _Done(NamedTuple):
    """What became of a batch; shorter than the batch where the program is to be given up."""

    outcomes: list[Outcome]
    seconds: float


class Sandbox:
    """Runs programs over rows, each program and each row without any way to reach anything.

    Args:
        workers: worker processes, started when first needed.
        row_seconds: how long one row may take.
        memory_mb: how much one row may allocate.
    """

    def __init__(self, *, workers: int = 1, row_seconds: float = 1.0, memory_mb: int = 512) -> None:
        if workers < 1:
            raise ConfigError(f"workers is {workers}; a sandbox needs at least 1")
        self._count = workers
        self._row_seconds = row_seconds
        self._memory = memory_mb << 20
        self._lock = threading.Lock()
        self._pool: Any = None
        self._threads: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._workers: list[Worker] = []
        self._calls: set[_Call] = set()
        self._sources: dict[tuple[str, str], str | Failed] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, code: str, rows: Sequence[Mapping[str, Any]], *, name: str = "f") -> list[Outcome]:
        """Apply the program's function to every row; one outcome per row, in their order.

        A row is a dict of JSON values (dates become texts, NaN becomes None). Seeded random numbers for a row are given
        by the caller as its field "_draws". After several rows that cost their whole second the program is given up:
        the rows after that are `Failed(..., program=True)`.

        Raises:
            ConfigError: the sandbox cannot start; nothing ran.
        """
        return self._run(_Call(), code, rows, name)

    async def arun(self, code: str, rows: Sequence[Mapping[str, Any]], *, name: str = "f") -> list[Outcome]:
        """`run` without holding up the event loop; cancelling it ends the workers it uses at once."""
        import asyncio  # half of what importing this module would cost

        call = _Call()
        task = asyncio.get_running_loop().run_in_executor(None, self._run, call, code, rows, name)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            call.stop()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not complain of it
            raise

    def check(self, code: str, *, name: str = "f") -> str | None:
        """Why the program cannot run here, in one sentence; None when it can.

        Raises:
            ConfigError: the sandbox cannot start.
        """
        source = self._source(code, name)
        if isinstance(source, Failed):
            return source.reason
        with self._calling(_Call()) as call:
            refused = _result(self._submit(self._load, call, source))
        return refused.reason if refused is not None else None

    def close(self) -> None:
        """End all workers, also those at work."""
        with self._lock:
            first, self._closed = not self._closed, True
        for call in list(self._calls):
            call.stop()
        if first and self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            for worker in self._workers:
                worker.close()
            self._pool.__exit__(None, None, None)

    def _run(self, call: _Call, code: str, rows: Sequence[Mapping[str, Any]], name: str) -> list[Outcome]:
        if not rows:
            return []
        source = self._source(code, name)
        if isinstance(source, Failed):
            return [source] * len(rows)
        tally = _Tally(len(rows))
        pending: deque[Future[_Done | Failed]] = deque()
        with self._calling(call):
            for start, lines in _batches(rows, self._count):
                pending.append(self._submit(self._batch, call, source, start, lines))
                if len(pending) > self._count and not tally.add(_result(pending.popleft())):
                    return tally.outcomes()
            while pending and tally.add(_result(pending.popleft())):
                pass
        return tally.outcomes()

    def _source(self, code: str, name: str) -> str | Failed:
        """What a worker is fed for the program, looked at once for many calls."""
        known = self._sources.get((code, name))
        if known is None:
            try:
                reason = refusal(code, name)
                known = prepared(code, name) if reason is None else Failed(Fail.REFUSED, reason, program=True)
            except RecursionError:
                known = Failed(Fail.REFUSED, TOO_DEEP, program=True)
            if len(self._sources) >= _KNOWN:
                self._sources.clear()
            self._sources[code, name] = known
        return known

    @contextmanager
    def _calling(self, call: _Call) -> Iterator[_Call]:
        """However a call ends (done, given up, interrupted), nothing of it goes on."""
        self._calls.add(call)
        try:
            yield call
        except (_Stopped, CancelledError):
            raise ConfigError("the sandbox was closed while a program ran in it") from None
        finally:
            self._calls.discard(call)
            call.stop()

    def _submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with self._lock:
            if self._closed:
                raise ConfigError("this sandbox is closed; open a new one")
            if self._threads is None:
                self._pool = start(self._count)
                self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="sandbox")
            return self._threads.submit(function, *args, **kwargs)

    def _worker(self) -> Worker:
        worker = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = Worker(self._pool, self._row_seconds, self._memory)
            self._workers.append(worker)
        return worker

    def _load(self, call: _Call, source: str) -> Failed | None:
        with call.using(self._worker()) as worker:
            refused = worker.load(source)
            call.check()
            return refused

    def _batch(self, call: _Call, source: str, start: int, lines: list[bytes | Failed]) -> _Done | Failed:
        """Outcomes of the rows from number `start` on; Failed where the program does not even load."""
        done: list[Outcome] = []
        span = back = len(lines)  # rows sent at once; and after the row that is being run alone
        guilty, seconds, crashed = 0, 0.0, False
        with call.using(self._worker()) as worker:
            while len(done) < len(lines) and not _given_up(guilty, seconds, start + len(done)):
                unsent = lines[len(done)]
                if isinstance(unsent, Failed):
                    done.append(unsent)
                    continue
                refused = worker.load(source)
                call.check()
                if refused is not None:
                    return refused
                part = _leading(lines[len(done) : len(done) + span])
                began = time.monotonic()
                outcomes, death = worker.feed(part)
                seconds += time.monotonic() - began
                call.check()
                done += outcomes
                if death is not None and len(part) > 1:
                    span, back = 1, 1 if death.kind in COSTLY else max(1, len(part) // 2)
                    continue
                if death is not None:
                    if death.kind is Fail.CRASHED and not crashed:
                        crashed = True  # once may have been a signal meant for somebody else
                        continue
                    done.append(death)
                    guilty += death.kind in COSTLY
                span, crashed = back if death else max(2 * span, back), False
        return _Done(done, seconds)


class _Call:
    """One call of `run`: which workers are busy with it, and whether anybody still wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: set[Worker] = set()
        self._stopped = False

    @contextmanager
    def using(self, worker: Worker) -> Iterator[Worker]:
        with self._lock:
            self.check()
            worker.begin()
            self._busy.add(worker)
        try:
            yield worker
        finally:
            with self._lock:
                self._busy.discard(worker)

    def check(self) -> None:
        if self._stopped:
            raise _Stopped

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for worker in self._busy:
                worker.kill()


class _Tally:
    """Outcomes in the order of the rows, up to where the program is given up."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._known: list[Outcome] = []
        self._rest: Failed | None = None
        self._guilty: Counter[Fail] = Counter()
        self._seconds = 0.0

    def add(self, done: _Done | Failed) -> bool:
        """Take the next batch; whether to go on."""
        if isinstance(done, Failed):
            self._rest = done
            return False
        self._seconds += done.seconds
        for outcome in done.outcomes:
            self._known.append(outcome)
            if isinstance(outcome, Failed) and outcome.kind in COSTLY:
                self._guilty[outcome.kind] += 1
                if _given_up(self._guilty.total(), 0.0, len(self._known)):
                    break
        if not _given_up(self._guilty.total(), self._seconds, len(self._known)):
            return True
        if self._guilty:
            kind, rows = self._guilty.most_common(1)[0]
            reason = f"{rows} of its first {len(self._known)} rows ended {kind}"
        else:
            kind, reason = Fail.OUT_OF_TIME, f"its first {len(self._known)} rows took {self._seconds:.0f} s"
        self._rest = Failed(kind, f"the program was given up: {reason}", program=True)
        return False

    def outcomes(self) -> list[Outcome]:
        if self._rest is not None:
            self._known += [self._rest] * (self._wanted - len(self._known))
        return self._known


def _result(future: Future[T]) -> T:
    # A signal may be delivered to another thread; a main thread that waits without end would not see the Ctrl-C.
    while not future.done():
        wait([future], timeout=_GLANCE)
    return future.result()


def _given_up(guilty: int, seconds: float, rows: int) -> bool:
    return guilty > max(_GUILTY, _GUILTY_SHARE * rows) or seconds > _START_SECONDS + _ROW_SECONDS * rows


def _leading(lines: list[bytes | Failed]) -> list[bytes]:
    """Those before the first that is not sent at all."""
    sent: list[bytes] = []
    for line in lines:
        if isinstance(line, Failed):
            break
        sent.append(line)
    return sent


def _batches(rows: Sequence[Mapping[str, Any]], workers: int) -> Iterator[tuple[int, list[bytes | Failed]]]:
    """Rows as JSON, in batches small enough that every worker gets some; with the number of the first."""
    most = min(_BATCH_ROWS, max(_FEW_ROWS, -(-len(rows) // workers)))
    start, size = 0, 0
    lines: list[bytes | Failed] = []
    for row in rows:
        line = _encoded(row)
        size += len(line) if isinstance(line, bytes) else 0
        if lines and (len(lines) == most or size > _BATCH_BYTES):
            yield start, lines
            start, size, lines = start + len(lines), len(line) if isinstance(line, bytes) else 0, []
        lines.append(line)
    yield start, lines


def _encoded(row: Mapping[str, Any]) -> bytes | Failed:
    try:
        line = orjson.dumps(dict(row))
    except TypeError as error:
        return Failed(Fail.REFUSED, f"the record cannot be given to a program: {error}")
    if len(line) > MAX_RECORD:
        return Failed(Fail.TOO_BIG, f"the record has {len(line):,} bytes of JSON; at most {MAX_RECORD:,} can be given")
    return line


def check_program(code: str, *, name: str = "f") -> str | None:
    """Why this program cannot run in the sandbox (syntax, what is not available, no such function), else None.

    Raises:
        ConfigError: the sandbox cannot start.
    """
    with Sandbox() as sandbox:
        return sandbox.check(code, name=name)
