"""What `build` and `plan` do before and around their one function: settings, consent, the open run, events."""

from __future__ import annotations

import argparse
import asyncio
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


def _loop() -> asyncio.AbstractEventLoop:
    """uvloop's: its turns cost a third less, 0.2 ms of every call (design/2026-11-21-uvloop.md)."""
    import uvloop

    return uvloop.new_event_loop()
