"""The only concurrency: `run_rows` works rows side by side, `InOrder` batches of them.

Of `run_rows` the results come back as they end. A row is started only while the rows already in flight could not
satisfy what is still needed. So nothing is paid beyond the asked number, and the rows worked are always a prefix of the
iterator: the same set whatever the concurrency, and after any number of kills. Where what is started next hangs on what
came back, as with batches whose size adapts, `InOrder` keeps that true: results are seen in the order of their starts,
never in that of their ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from upcycle.errors import RowError

R = TypeVar("R")
T = TypeVar("T")


async def run_rows(
    rows: Iterable[R],
    work: Callable[[R], Awaitable[T]],
    *,
    at_once: int,
    needed: Callable[[], int],
) -> AsyncGenerator[tuple[R, T | RowError], None]:
    """Work rows side by side and yield (row, result or the row's failure) in the order they end.

    Args:
        at_once: the most rows in flight.
        needed: how many results are still wanted; asked before each start. 0 stops starting rows.

    Raises:
        UpcycleError: whatever is not a row's own failure (budget, provider, disk). Rows in flight then get to finish
            first: they are paid for, and their replies are in the journal.
    """
    iterator = iter(rows)
    running: dict[asyncio.Task[T], R] = {}
    done: asyncio.Queue[asyncio.Task[T]] = asyncio.Queue()
    exhausted, fatal = False, None
    try:
        while True:
            while not exhausted and fatal is None and len(running) < min(at_once, needed()):
                try:
                    row = next(iterator)
                except StopIteration:
                    exhausted = True
                    break
                task = asyncio.ensure_future(work(row))
                running[task] = row
                task.add_done_callback(done.put_nowait)
            if not running:
                break
            task = await done.get()
            row = running.pop(task)
            error = task.exception()
            if error is None:
                yield row, task.result()
            elif isinstance(error, RowError):
                yield row, error
            elif fatal is None:
                fatal = error
        if fatal is not None:
            raise fatal
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class InOrder(Generic[T]):
    """Work side by side whose results come back in the order it was started.

    Args:
        at_once: the most in flight; the caller starts nothing more while `full`.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._running: deque[asyncio.Future[T]] = deque()

    @property
    def full(self) -> bool:
        return len(self._running) >= self._at_once

    @property
    def idle(self) -> bool:
        return not self._running

    def start(self, work: Awaitable[T]) -> None:
        self._running.append(asyncio.ensure_future(work))

    async def oldest(self) -> T:
        """The result of what was started first.

        Raises:
            UpcycleError: what that work raised; what is in flight then gets to finish first, for it is paid for.
        """
        task = self._running[0]
        try:
            return await task
        except asyncio.CancelledError:
            raise
        except BaseException:
            await asyncio.gather(*self._running, return_exceptions=True)
            raise
        finally:
            if task.done():
                self._running.popleft()

    async def close(self) -> None:
        """Cancel what is in flight."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
