"""Giving a dataset away: `export` to another tool's shape, `push` to a Hub.

The work is file and network bound and done by ordinary functions (`report.exporters`, `report.push`), which the command
line calls as they are so that Ctrl-C stops them at once; here they run in a thread, so that an event loop goes on.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upcycle.report.exporters import Exported
    from upcycle.report.push import Pushed
    from upcycle.sources.reading import Columns


async def export(
    path: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    instruction: bool | str = False,
    rationale: bool = False,
    base_model: str | None = None,
    columns: Columns | None = None,
) -> Exported:
    """Write a dataset in another tool's shape; see `report.exporters.export` for the arguments.

    Raises:
        UpcycleError: in one sentence; nothing is left behind.
    """
    from upcycle.report.exporters import export as write
    from upcycle.report.exporters.recipe import BASE_MODEL

    return await asyncio.to_thread(
        write,
        os.fspath(path),
        to,
        None if out is None else os.fspath(out),
        split=split,
        instruction=instruction,
        rationale=rationale,
        base_model=base_model or BASE_MODEL,
        columns=columns,
    )


async def push(
    path: str | os.PathLike[str],
    repo: str,
    *,
    endpoint: str | None = None,
    public: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """Put a run's dataset on a Hub in one commit, private unless `public`; see `report.push.push`.

    Raises:
        UpcycleError: in one sentence.
    """
    from upcycle.report.push import push as send

    return await asyncio.to_thread(send, os.fspath(path), repo, endpoint=endpoint, public=public, dry_run=dry_run)
