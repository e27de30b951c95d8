"""A server for `async with` that a plain `with` can use as well: it then runs in a loop and a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Self


class InThread(AbstractAsyncContextManager[Any]):
    """What a server that is an async context manager inherits to be a plain one too."""

    _thread: threading.Thread | None = None
    _stop: Callable[[], object] | None = None

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        assert self._thread is not None
        self._stop()
        self._thread.join()

    async def _serve(self, ready: threading.Event) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = functools.partial(loop.call_soon_threadsafe, stopped.set)
        async with self:
            ready.set()
            await stopped.wait()
