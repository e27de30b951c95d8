"""What verbs do around their one function: settings, consent, the open run, events, and Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from upcycle.cli.options import build_settings
from upcycle.config import BuildConfig
from upcycle.run import Run
from upcycle.task import Task

T = TypeVar("T")


def in_run(args: argparse.Namespace, work: Callable[[Task, BuildConfig, Run], Coroutine[Any, Any, T]]) -> T:
    """Do `work` in the run that the flags describe."""
    from upcycle import api
    from upcycle.cli import console
    from upcycle.cli.consent import agree

    task, config = api.resolve(args.task, **build_settings(args))
    asyncio.run(agree(config, yes=args.yes))
    with console.events(args) as listener, api.open_run(task, config, args.out, listener) as run:
        run.tell("task", "contract", text=task.contract.described())
        with asyncio.Runner(loop_factory=_loop) as runner:
            return runner.run(work(task, config, run))


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Do work that computes more than it waits, so that Ctrl-C ends it where it is.

    asyncio only cancels, which work that computes for minutes between two awaits does not notice.
    """

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        return asyncio.run(work)
    finally:
        signal.signal(signal.SIGINT, before)


def _loop() -> asyncio.AbstractEventLoop:
    """uvloop's: its turns cost a third less, 0.2 ms of every call (design/2026-11-21-uvloop.md)."""
    import uvloop

    return uvloop.new_event_loop()
